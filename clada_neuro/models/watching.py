"""See what arrives at the linear maps of feed-forward blocks, and of attention, while a model runs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from clada_neuro.models.ffn import FFN

See = Callable[[FFN, Tensor], None]


@contextmanager
def watching(
    layers: Iterable[FFN],
    *,
    x: See | None = None,
    a: See | None = None,
    qkv: See | None = None,
    out: See | None = None,
) -> Iterator[None]:
    """Show what maps read inside a ``with`` block; nothing is left in the model after it.

    Parameters
    ----------
    layers : iterable of FFN
    x, a : callable, optional
        Called in the model's order with a block and what its map reads: x ``(batch, seq, hidden)`` or a ``(batch, seq,
        intermediate)``, whose first two dimensions OPT flattens.
    qkv, out : callable, optional
        Likewise, with what attention's maps of the block's layer read: its x, and what the heads gathered.
    """
    with ExitStack() as hooks:
        for ffn in layers:
            for see, part in ((x, ffn.inputs[0]), (a, ffn.down)):
                if see is not None:
                    hooks.callback(part.register_forward_pre_hook(_showing(see, ffn)).remove)
            if qkv is not None:
                hooks.callback(ffn.attention.qkv[0].register_forward_pre_hook(_showing(qkv, ffn)).remove)
            if out is not None:
                hooks.callback(ffn.attention.out.register_forward_pre_hook(_showing(out, ffn)).remove)
        yield


def _showing(see: See, ffn: FFN) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    return lambda module, args: see(ffn, args[0])
