"""Words read under each policy at each sparsity, for 27_brain_fit.py; what was traced before is read from disk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from clada_neuro.artifacts import cache_folder, content_hash, versions
from clada_neuro.cache import DOCUMENT, Store, cache_key
from clada_neuro.calibration.texts import first_texts
from clada_neuro.errors import CalibrationError
from clada_neuro.instrument.trace import Trace, trace
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.pieces import PIECE
from clada_neuro.policies.cats import Cats, thresholds_at
from clada_neuro.policies.registry import policy_for
from clada_neuro.policies.teal import Teal, fit_blocks
from clada_neuro.policies.wina import Wina
from clada_neuro.runtime.policy import GATE, Policy
from clada_neuro.stimuli import datasets

_WORDS, _ASKED = "words.parquet", "asked"
DOCUMENTS = 16  # whose first texts are those on which thresholds beyond the calibration are fitted


@dataclass(frozen=True)
class Cell:
    """A policy at a sparsity; ``reached`` is the highest that can be asked of it where that is less than was meant."""

    policy: str
    asked: float
    reached: float | None = None

    @property
    def sparsity(self) -> float:
        """What is asked of the policy."""
        return self.asked if self.reached is None else self.reached

    def __str__(self) -> str:
        return f"{self.policy}-{self.sparsity:g}"


@dataclass(frozen=True)
class Beyond:
    """Baselines fitted as a calibration fits them, at sparsities for which the one that ships has no tables."""

    model: LanguageModel
    texts: tuple[str, ...]

    def policy(self, name: str, sparsity: float) -> Policy:
        """Return the policy; its thresholds are kept, so that they are fitted once."""
        tables = self._kept.once(f"{name}-{sparsity:g}", lambda: ({}, self._tables(name, sparsity)))[1]
        if name == "teal":
            return Teal({site: tables[site] for site in Teal.sites}, {})
        if name == "wina":
            return Wina({site: tables[site] for site in Wina.sites}, self._passes.norms)
        return Cats({GATE: tables[GATE]}, {})

    def _tables(self, name: str, sparsity: float) -> Mapping[str, Tensor]:
        passes = self._passes
        if name == "teal":
            return dict(fit_blocks(passes, {}, sparsity)[1].thresholds)
        if name == "wina":
            return fit_blocks(passes, passes.norms, sparsity)[0]
        return dict(thresholds_at(passes, sparsity))

    @cached_property
    def _passes(self) -> Passes:
        layers = ffn_layers(self.model.model)
        return Passes(self.model.model, layers, self._tokens, self._kept, lambda count: None)

    @cached_property
    def _kept(self) -> Store:
        key = cache_key(__name__, self.model.weights_hash, self._tokens.tolist())
        return Store(cache_folder("analyses", "brain_fit", "fitted"), key, PIECE)

    @cached_property
    def _tokens(self) -> Tensor:
        return first_texts(self.model, self.texts)[:DOCUMENTS]


@dataclass(frozen=True)
class Traces:
    """Every data set's words under every policy."""

    model: LanguageModel
    beyond: Beyond
    reach: Mapping[str, float]

    def cells(self, names: Sequence[str], sparsities: Sequence[float]) -> Iterator[Cell]:
        """Yield what can be asked of each policy: each sparsity that it reaches, and its reach in place of the first beyond."""
        for name in names:
            reach = self.reach.get(name, 1.0)
            yield from (Cell(name, asked) for asked in sparsities if asked <= reach)
            beyond = [asked for asked in sparsities if asked > reach]
            if beyond and reach not in sparsities:
                yield Cell(name, beyond[0], reach)

    def words(self, dataset: str, cell: Cell | None) -> pd.DataFrame:
        """Return a data set's words under a policy, dense without one; what was traced of the same before is read."""
        stimuli = up_to_critical(datasets.load(dataset))
        policy = None if cell is None else self.policy(cell)
        place = self._place(dataset, cell)
        asked = self._asked(place, stimuli, policy)
        if asked.whole(_ASKED):
            return Trace.read(place).words
        words = trace(stimuli, self.model, policy=policy, out=place, progress=False).words
        asked.write(_ASKED, {"dataset": dataset, "policy": "dense" if cell is None else str(cell)})
        return words

    def _asked(self, place: Path, stimuli: pd.DataFrame, policy: Policy | None) -> Store[dict[str, Any]]:
        """Return what says of a trace what was asked of it: texts, model, the policy's numbers, and the package's version.

        The code between two versions is no part of it, as it is of a trace's own id: these traces take hours.
        """
        model = self.model
        numbers = [model.weights_hash, model.start_token_id, str(model.model.dtype), _numbers(policy)]
        return Store(place, content_hash(stimuli, numbers, versions()["clada-neuro"]), DOCUMENT)

    def is_there(self, dataset: str, cell: Cell | None) -> bool:
        """Return whether the words were traced before."""
        return (self._place(dataset, cell) / _WORDS).is_file()

    def _place(self, dataset: str, cell: Cell | None) -> Path:
        return cache_folder("analyses", "brain_fit", dataset) / ("dense" if cell is None else str(cell))

    def policy(self, cell: Cell) -> Policy:
        """Return the policy by the calibration that ships, or fitted where that has no tables."""
        try:
            return policy_for(self.model, cell.policy, cell.sparsity)
        except CalibrationError:
            if cell.policy not in ("teal", "wina", "cats"):
                raise
            return self.beyond.policy(cell.policy, cell.sparsity)


def _numbers(value: Any) -> Any:
    """Return a policy as values that can be hashed."""
    if isinstance(value, Tensor):
        return value.cpu().numpy()
    if is_dataclass(value):
        # A table that only policies of a wider scope have, and this one has not, decides nothing.
        decides = [one.name for one in fields(value) if one.name != "mean_at" or getattr(value, one.name)]
        return {type(value).__name__: {name: _numbers(getattr(value, name)) for name in decides}}
    return {key: _numbers(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def up_to_critical(stimuli: pd.DataFrame) -> pd.DataFrame:
    """Return texts that end with their critical word: what follows it changes nothing before. Others stay whole."""
    cut = [
        text if pd.isna(index) else " ".join(text.split(" ")[: int(index) + 1])
        for text, index in zip(stimuli["sentence"], stimuli["critical_index"], strict=True)
    ]
    return stimuli.assign(sentence=cut)
