"""The residual stream between a model's layers, and what the model would predict from any place of it.

A model predicts from its last layer's output by its tail: the final norm, the output layer and, in some families, a scale
or a cap of the logits. From another layer's output it predicts by the same tail, run by the model itself with its layers
left out, so that nothing of it is written anew here. Whether that is right is tried on a few tokens: from the last layer's
output the tail must give the model's own prediction.
"""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from clada_neuro.models.families import FAMILIES, Family
from clada_neuro.models.limits import is_masked
from clada_neuro.models.placing import home

EMBEDDED = -1  # the place before the first layer
TOLERANCE_BITS = 1e-5  # of the model's own predictions
_LENGTH = 16  # tokens
_FAILURES = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


@dataclass
class _Trunk(BaseModelOutputWithPastAndCrossAttentions):
    """What the layers hand to the tail; mixtures of experts look for their routers there."""

    router_logits: Any = None


class Stream:
    """The residual stream of a causal language model.

    Attributes
    ----------
    modules : torch.nn.ModuleList
        The layers.
    n_layers : int
    no_lens : str
        Why nothing can be predicted from inner places, empty where it can.

    Raises
    ------
    AttributeError
        If no list of layers stands where the family has it, or where Llama has it in families that are not known.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        family = FAMILIES.get(model.config.get_text_config().model_type, Family())
        self._model, self._norm = model, family.norm
        layers: Any = model.get_submodule(family.layers)
        self.modules: nn.ModuleList = layers
        self.n_layers = len(self.modules)
        self.no_lens = self._tried()

    def run(self, ids: Tensor) -> None:
        """Let the model read, (rows, seq), and predict from the last column alone."""
        head = self._model.get_output_embeddings()
        handle = head.register_forward_pre_hook(lambda _, args: (args[0][:, -1:],))
        try:
            self._model(input_ids=ids, use_cache=False)
        finally:
            handle.remove()

    @contextmanager
    def recorded(self, places: Collection[int]) -> Iterator[dict[int, Tensor]]:
        """Record the stream after layers (`EMBEDDED`: before the first) while the model runs, each (rows, seq, hidden)."""
        found: dict[int, Tensor] = {}
        handles = [
            self._before_first(found) if place == EMBEDDED else self._after(place, found) for place in places
        ]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()

    def predict(self, states: Tensor) -> Tensor:
        """Return the logits, (…, vocabulary), that the tail makes of a stream, (…, hidden)."""
        path, _, _ = self._norm.rpartition(".")
        trunk = self._model.get_submodule(path)
        # Flat but for one row, as output layers see the positions that are asked for.
        normed = self._model.get_submodule(self._norm)(states.reshape(1, -1, states.shape[-1]))
        ids = torch.zeros(normed.shape[:2], dtype=torch.long, device=home(self._model))
        with _in_place_of(trunk, lambda *_, **__: _Trunk(last_hidden_state=normed)):
            logits = self._model(input_ids=ids, use_cache=False).logits
        return logits.reshape(*states.shape[:-1], -1)

    def _before_first(self, found: dict[int, Tensor]) -> Any:
        def see(_: nn.Module, args: tuple[Tensor, ...], named: dict[str, Any]) -> None:
            found[EMBEDDED] = args[0] if args else named["hidden_states"]

        return self.modules[0].register_forward_pre_hook(see, with_kwargs=True)

    def _after(self, place: int, found: dict[int, Tensor]) -> Any:
        def see(_: nn.Module, __: tuple[Tensor, ...], output: Any) -> None:
            found[place] = output if isinstance(output, Tensor) else output[0]

        return self.modules[place].register_forward_hook(see)

    @torch.inference_mode()
    def _tried(self) -> str:
        """Return how the tail fails to give the model's own predictions from the last layer's output."""
        size = int(self._model.get_output_embeddings().weight.shape[0])
        ids = (torch.arange(3, 3 + _LENGTH, device=home(self._model)) % size)[None]
        last = self.n_layers - 1
        try:
            with self.recorded([last]) as found:
                own = self._model(input_ids=ids, use_cache=False).logits
            other = self.predict(found[last])
            bits = [logits.double().log_softmax(dim=-1) / math.log(2) for logits in (own, other)]
            apart = float((bits[0] - bits[1]).abs().max())
        except _FAILURES as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            return f"the model's final norm and output layer cannot be run alone: {reason}"
        if apart <= TOLERANCE_BITS:
            return ""
        return (
            f"the final norm and output layer give predictions {apart:.2g} bits from the model's own, "
            f"{TOLERANCE_BITS:g} allowed"
        )


def stream_of(model: PreTrainedModel) -> tuple[Stream | None, str]:
    """Return a model's residual stream and no reason, or None and the reason why it is not known.

    In a family that is not known here, it is where its last place gives the model's own predictions.
    """
    kind = model.config.get_text_config().model_type
    if is_masked(model):
        return None, "a masked language model reads every text as often as it has words, each time otherwise"
    unknown = f"model type '{kind}' has no residual stream that is known here"
    try:
        stream = Stream(model)
    except AttributeError:
        return None, unknown
    if stream.no_lens and kind not in FAMILIES:
        return None, f"{unknown} ({stream.no_lens})"
    return stream, ""


@contextmanager
def _in_place_of(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let another function run when a module is called."""
    own = vars(module).get("forward")  # of one that is spread over devices
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own
