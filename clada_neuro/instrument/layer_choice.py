"""Which layers are asked for, as a caller writes it: ``all``, ``every:4``, ``0,5,29``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clada_neuro.errors import DataError

_EXPECTED = "all, every:N (the last and every N-th before it) or numbers from 0, such as 0,5,11"


@dataclass(frozen=True)
class LayerChoice:
    """Every `step`-th layer, counted from the last, or those that are numbered, and what of them beyond the usual.

    Attributes
    ----------
    step : int
    numbers : tuple of int
    attention : bool
        Whether the entropy of attention is measured, too.
    translators : Path, optional
        A tuned lens's (`clada_neuro.models.translators`), in place of the logit lens.
    """

    step: int = 1
    numbers: tuple[int, ...] = ()
    attention: bool = False
    translators: Path | None = None

    def of(self, n_layers: int) -> list[int]:
        """Return the layers of a model that has so many, in order.

        Raises
        ------
        DataError
            If a layer does not exist.
        """
        beyond = [number for number in self.numbers if number >= n_layers]
        if beyond:
            raise DataError(
                f"layer {beyond[0]} does not exist: the model has {n_layers} layers, 0 to {n_layers - 1}"
            )
        return sorted(set(self.numbers)) or list(range((n_layers - 1) % self.step, n_layers, self.step))


def read_choice(
    given: str | Sequence[int] | None,
    policy: bool = False,
    attention: bool = False,
    translators: str | Path | None = None,
) -> LayerChoice | None:
    """Read which layers are asked for, and what of them; None where none are.

    Raises
    ------
    DataError
        If it cannot be read, the model is to run under a policy, or something is asked of no layers.
    """
    if given is None:
        if attention or translators is not None:
            what = "attention (--attention)" if attention else "translators (--translators)"
            raise DataError(f"{what} given without layers; say of which, such as layers='all' (--layers all)")
        return None
    if policy:
        raise DataError("measures by layer are of dense traces; leave layers (--layers) or the policy out")
    path = None if translators is None else Path(translators)
    if path is not None and not path.is_file():
        raise DataError(f"no file of translators at '{path}'; a safetensors file expected")
    return replace(_layers(given), attention=attention, translators=path)


def _layers(given: str | Sequence[int]) -> LayerChoice:
    text = given if isinstance(given, str) else ",".join(map(str, given))
    every = re.fullmatch(r"all|every:0*([1-9]\d*)", text.strip())
    if every:
        return LayerChoice(step=int(every[1] or 1))
    if re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        return LayerChoice(numbers=tuple(map(int, text.split(","))))
    raise DataError(f"layers '{text}' given, {_EXPECTED} expected")
