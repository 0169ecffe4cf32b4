"""Measures of feed-forward activity on neuron contributions e_i = |a_i|·c_i.

a_i is a neuron's activation and c_i = ‖W_d[:, i]‖₂ the norm of what it writes, so e_i is the length of the neuron's
output. The measures of one token in one layer, with their formulas, are declared in `clada_neuro.measures.activity`; those
of `Origin.CONTRIBUTIONS` are computed here by their names.

The prefix is every token before this one that the model saw, except the first, the start token: that one is an
attention sink, whose contributions are tens of times larger than any other token's. A vector of zeros has no measures
(NaN), and this is how the start token leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clada_neuro.instrument import activity_cpu
from clada_neuro.instrument.tree import Branches
from clada_neuro.measures.measure import Origin
from clada_neuro.measures.tokens import named

ENERGY = 0.99
SMALLEST = torch.finfo(torch.float32).smallest_normal
MEASURES = named(Origin.CONTRIBUTIONS)
_ALL_COMPILED = not set(MEASURES) - set(activity_cpu.NAMES)


@dataclass(frozen=True)
class Activations:
    """What a block computed, before it is measured.

    Attributes
    ----------
    a : torch.Tensor, shape (rows, seq, n)
    norms : torch.Tensor, shape (n,)
        c, in float32.
    last, total : torch.Tensor, shape (rows, n)
        As `activity` takes them.
    """

    a: Tensor
    norms: Tensor
    last: Tensor
    total: Tensor


def activity(
    e: Tensor, last: Tensor, total: Tensor, branches: Branches | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Measure the contributions of consecutive tokens in one layer.

    Parameters
    ----------
    e : torch.Tensor, shape (rows, seq, n)
        Contributions; zeros at a start token.
    last : torch.Tensor, shape (rows, n)
        Contributions of the token before the first; zeros where there is none.
    total : torch.Tensor, shape (rows, n)
        The sum of contributions over the prefix of the first; zeros where there is none.
    branches : Branches, optional
        Where tokens do not simply follow each other.

    Returns
    -------
    values : dict of torch.Tensor, each of shape (rows, seq)
        One for each of `MEASURES`.
    total : torch.Tensor, shape (rows, n)
        With the last token, and those before it, added.
    """
    if e.device.type != "cpu":
        return defined(e, last, total, branches)
    given = Activations(e, torch.ones(e.shape[2]), last, total)
    [(values, _, after)] = _compiled([given], branches, fresh=False)
    if _ALL_COMPILED:
        return values, after
    # What is not compiled is taken from its definition.
    return defined(e, last, total, branches)[0] | values, after


def of_activations(
    layers: Sequence[Activations], branches: Branches | None = None, *, fresh: bool = False
) -> list[tuple[dict[str, Tensor], Tensor, Tensor]]:
    """Measure |a|·c of layers as `activity` does; on a CPU these contributions are never written down.

    Parameters
    ----------
    layers : sequence of Activations
        Of one shape, on one device.
    fresh : bool
        Tokens with nothing above them are start tokens, whose contributions are left out.

    Returns
    -------
    list of (values, last, total), one a layer
        As `activity` returns them, and the contributions of the last token, (rows, n).
    """
    if layers[0].a.device.type == "cpu" and _ALL_COMPILED:
        return _compiled(layers, branches, fresh)
    found = []
    for layer in layers:
        e = layer.a.abs().float() * layer.norms
        if fresh:
            e.masked_fill_(firsts(e, branches)[..., None], 0)
        values, total = activity(e, layer.last, layer.total, branches)
        found.append((values, e[:, -1].clone(), total))
    return found


def firsts(e: Tensor, branches: Branches | None) -> Tensor:
    """Return which tokens have nothing above them, bool of shape (rows, seq)."""
    if branches is not None:
        return branches.parents.to(e.device) < 0
    return torch.arange(e.shape[1], device=e.device).expand(e.shape[:2]) == 0


def _compiled(
    layers: Sequence[Activations], branches: Branches | None, fresh: bool
) -> list[tuple[dict[str, Tensor], Tensor, Tensor]]:
    parents = None if branches is None else branches.parents
    given = [(layer.a, layer.norms, layer.last, layer.total) for layer in layers]
    return activity_cpu.activities(given, parents, ENERGY, fresh)


def defined(
    e: Tensor, last: Tensor, total: Tensor, branches: Branches | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Return what `activity` returns, by the functions below."""
    run = torch.cat([last[:, None], e], dim=1)
    sparsity, active = active_set(run)
    direction = run / run.norm(dim=-1, keepdim=True)
    if branches is None:
        prefix = torch.cat([total[:, None], e], dim=1).cumsum(dim=1)[:, :-1]
        active_before, direction_before = active[:, :-1], direction[:, :-1]
    else:
        prefix = total[:, None] + branches.above.to(e) @ e
        place = (branches.parents + 1)[..., None].expand(e.shape)
        active_before, direction_before = active.gather(1, place), direction.gather(1, place)
    _, active_prefix = active_set(prefix)
    values = {
        "sparsity_energy99": sparsity[:, 1:],
        "hoyer": hoyer(e),
        "participation_ratio": participation_ratio(e),
        "overlap_prev": jaccard(active[:, 1:], active_before),
        "overlap_prefix": jaccard(active[:, 1:], active_prefix),
        "adjustment_prev": _half_square(direction[:, 1:] - direction_before),
        "adjustment_prefix": _half_square(direction[:, 1:] - prefix / prefix.norm(dim=-1, keepdim=True)),
    }
    return values, prefix[:, -1] + e[:, -1]


def active_set(e: Tensor, energy: float = ENERGY) -> tuple[Tensor, Tensor]:
    """Return the share of neurons outside the smallest set holding `energy` of Σe², and which are inside.

    Of neurons that tie at the edge of the set, all are marked active.
    """
    power = e.square()
    total = power.sum(dim=-1, keepdim=True)
    ascending = power.sort(dim=-1).values
    left_out = torch.count_nonzero(ascending.cumsum(dim=-1) <= (1 - energy) * total, dim=-1)[..., None]
    edge = ascending.gather(-1, left_out.clamp(max=e.shape[-1] - 1))
    share = (left_out / e.shape[-1]).masked_fill(total == 0, torch.nan)
    return share.squeeze(-1), (power >= edge) & (total > 0)


def hoyer(e: Tensor) -> Tensor:
    """Return the Hoyer sparsity: 0 when all neurons contribute equally, 1 when one does all."""
    root = e.shape[-1] ** 0.5
    return (root - e.sum(dim=-1) / e.norm(dim=-1)) / (root - 1)


def participation_ratio(e: Tensor) -> Tensor:
    """Return the share of neurons that take part: 1 when all contribute equally, 1/n when one does all."""
    power = e.square()
    power = power / power.sum(dim=-1, keepdim=True)
    return 1 / (e.shape[-1] * power.square().sum(dim=-1))


def of_share(values: dict[str, Tensor], n: int, share: float) -> dict[str, Tensor]:
    """Return measures counted over a share of the n neurons, outside of which contributions are zero.

    So it is where experts ran and others did not: the same sets and sums, other numbers of neurons.
    """
    ran = share * n
    root, root_of_ran = n**0.5, ran**0.5
    ratio = root - values["hoyer"].double() * (root - 1)  # Σe / √Σe²
    return values | {
        "sparsity_energy99": 1 - (1 - values["sparsity_energy99"]) / share,
        "hoyer": ((root_of_ran - ratio) / (root_of_ran - 1)).float(),
        "participation_ratio": values["participation_ratio"] / share,
    }


def jaccard(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jaccard index of two sets given as masks; NaN when one of them is empty."""
    sizes = torch.count_nonzero(first, dim=-1), torch.count_nonzero(second, dim=-1)
    shared = torch.count_nonzero(first & second, dim=-1)
    index = shared / (sizes[0] + sizes[1] - shared)
    return index.masked_fill((sizes[0] == 0) | (sizes[1] == 0), torch.nan)


def neuron_sparsity(magnitude: Tensor, cutoffs: Tensor | float = SMALLEST) -> Tensor:
    """Return the share of neurons whose |a| lies below its cut-off; by default of those that are exactly zero."""
    return (magnitude < cutoffs).float().mean(dim=-1)


def adjustment(first: Tensor, second: Tensor) -> Tensor:
    """Return 1 - cosine of two vectors, shape (…,)."""
    return _half_square(first / first.norm(dim=-1, keepdim=True) - second / second.norm(dim=-1, keepdim=True))


def _half_square(difference: Tensor) -> Tensor:
    """Return 1 - cosine from the difference of two directions: small changes keep their digits."""
    return difference.square().sum(dim=-1) / 2
