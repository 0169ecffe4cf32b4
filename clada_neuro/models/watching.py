"""See what arrives at the linear maps of feed-forward blocks while a model runs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from clada_neuro.models.ffn import FFN

See = Callable[[FFN, Tensor], None]


@contextmanager
def watching(layers: Iterable[FFN], *, x: See | None = None, a: See | None = None) -> Iterator[None]:
    """Show blocks' inputs x and hidden activations a inside a ``with`` block; nothing is left in the model after it.

    Parameters
    ----------
    layers : iterable of FFN
    x, a : callable, optional
        Called in the model's order with a block and what its map reads: x ``(batch, seq, hidden)`` or a ``(batch, seq,
        intermediate)``, whose first two dimensions OPT flattens.
    """
    with ExitStack() as hooks:
        for ffn in layers:
            for see, part in ((x, ffn.inputs[0]), (a, ffn.down)):
                if see is not None:
                    hooks.callback(part.register_forward_pre_hook(_showing(see, ffn)).remove)
        yield


def _showing(see: See, ffn: FFN) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    return lambda module, args: see(ffn, args[0])
