"""Information measures of next-token predictions, in bits.

The measures of a prediction p over the vocabulary (one row of logits) and the token that came, with their formulas,
are declared in `clada_neuro.measures.tokens`; those of `Origin.PREDICTION` are computed here by their names. No column, but
computed with them, is `boundary`, -log2 of the mass of tokens that begin a word or end the text.

It is what the whitespace correction needs (Pimentel & Meister 2024, https://aclanthology.org/2024.emnlp-main.1020;
Oh & Schuler 2024, https://aclanthology.org/2024.emnlp-main.202): a tokenizer that writes the space at the beginning of
a word charges it to that word, although it belongs to the end of the word before. With b the boundary term,

    corrected(word) = surprisal(word) - b(before the word) + b(after the word).

At the beginning of a text without leading white space, the tokens that begin a word are those without a space.

On request also the k most probable tokens, ``top_token_1`` … and their probabilities ``top_probability_1`` … .
"""

import math

import numpy as np
import torch

from clada_neuro.instrument import information_cpu
from clada_neuro.instrument.vocabulary import Vocabulary
from clada_neuro.measures.measure import Origin, in_order
from clada_neuro.measures.tokens import named

ROWS_AT_ONCE = 8  # few enough for their values to stay in the processor's cache
_IMPOSSIBLE = -1e4  # nats; stands for a logit of minus infinity, whose 0 · log 0 would be NaN
# Of a prediction: the rank of what came, its logit below the highest one, and with z = logit − highest and e = exp(z)
# Σe, Σz·e and Σ√e over the vocabulary, Σe and Σz·e over the tokens that begin a word there, Σe over those that end a text.
SUMS = ("rank", "below", "whole", "weighted", "roots", "begin", "begin_weighted", "ending")
MEASURES = (*named(Origin.PREDICTION), "boundary")


def names(top_k: int = 0) -> tuple[str, ...]:
    """Return the names of the measures, with the k most probable tokens and their probabilities."""
    ranks = range(1, top_k + 1)
    return (*MEASURES, *(f"top_token_{n}" for n in ranks), *(f"top_probability_{n}" for n in ranks))


def information(
    logits: torch.Tensor,
    targets: torch.Tensor,
    initial: torch.Tensor,
    vocabulary: Vocabulary,
    top_k: int = 0,
    of: torch.Tensor | None = None,
) -> dict[str, np.ndarray]:
    """Measure predictions row by row.

    Parameters
    ----------
    logits : torch.Tensor, shape (n, vocabulary), or any number of rows with `of`; more rows than tokens are left out
    targets : torch.Tensor of int, shape (n,)
        The token that came; -1 when none did (surprisal and rank are then missing).
    initial : torch.Tensor of bool, shape (n,)
        The row predicts the beginning of a text that has no leading white space.
    top_k : int
        How many of the most probable tokens are returned too; at most the vocabulary.
    of : torch.Tensor of int, shape (n,), optional
        Which row of logits each prediction is; one row may be followed by several tokens.

    Returns
    -------
    dict of numpy.ndarray, each of shape (n,) and float64
    """
    if not len(targets):
        return {name: np.empty(0) for name in names(top_k)}
    of = torch.arange(len(targets), device=logits.device) if of is None else of
    if logits.device.type == "cpu" and logits.dtype in information_cpu.DTYPES:
        sums = information_cpu.sums(logits, of, targets, initial, vocabulary)
    else:
        rows = zip(*(values.split(ROWS_AT_ONCE) for values in (of, targets, initial)), strict=True)
        blocks = [_sums(logits[some], came, first, vocabulary) for some, came, first in rows]
        sums = torch.cat(blocks, dim=1).cpu().double()
    found = _bits(dict(zip(SUMS, sums, strict=True)))
    for name in ("surprisal_bits", "rank"):
        found[name].masked_fill_((targets < 0).cpu(), math.nan)
    found |= _highest(logits, of, sums[SUMS.index("whole")].log(), top_k)
    return {
        name: values.numpy() + 0.0
        for name, values in zip(names(top_k), in_order(found, names(top_k)), strict=True)
    }  # no -0.0


def divergence(expected: torch.Tensor, logits: torch.Tensor) -> np.ndarray:
    """Return D(expected || found) in bits row by row, from two sets of logits of shape (n, vocabulary)."""
    blocks = []
    for dense, found in zip(expected.split(ROWS_AT_ONCE), logits.split(ROWS_AT_ONCE), strict=True):
        p, q = (log_probabilities(values) for values in (dense, found))
        blocks.append((p.exp() * (p - q)).sum(dim=1) / math.log(2))
    return torch.cat(blocks).cpu().double().numpy() if blocks else np.empty(0)


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return natural log probabilities, at least in float32."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # Not log_softmax: its running sum over a large vocabulary loses 4e-5 bits in float32.
    return (logits - logits.logsumexp(dim=-1, keepdim=True)).clamp(min=_IMPOSSIBLE)


def _bits(sums: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the measures of predictions from their `SUMS`."""
    log_whole, log_begin = sums["whole"].log(), sums["begin"].log()
    nats = {
        "surprisal_bits": log_whole - sums["below"],
        "entropy_bits": log_whole - sums["weighted"] / sums["whole"],
        "renyi_half_bits": 2 * sums["roots"].log() - log_whole,
        "entropy_boundary_bits": log_begin - sums["begin_weighted"] / sums["begin"],
        "boundary": log_whole - (sums["begin"] + sums["ending"]).log(),
    }
    return {name: values / math.log(2) for name, values in nats.items()} | {"rank": sums["rank"].clone()}


def _highest(
    logits: torch.Tensor, of: torch.Tensor, log_whole: torch.Tensor, top_k: int
) -> dict[str, torch.Tensor]:
    """Return the most probable tokens and their probabilities."""
    if not top_k:
        return {}
    values, tokens = (part[of].cpu() for part in logits.topk(top_k, dim=1))
    values = values.double()
    probabilities = (values - values[:, :1] - log_whole[:, None]).exp()
    ranks = range(1, top_k + 1)
    return {f"top_token_{n}": tokens[:, n - 1].double() for n in ranks} | {
        f"top_probability_{n}": probabilities[:, n - 1] for n in ranks
    }


def _sums(
    logits: torch.Tensor, targets: torch.Tensor, initial: torch.Tensor, vocabulary: Vocabulary
) -> torch.Tensor:
    """Return the `SUMS` of some rows, shape (names, rows).

    Sums, not matrix products: running sums over a large vocabulary lose 2e-4 bits in float32.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    came = targets.clamp(min=0)[:, None]
    rank = torch.count_nonzero(logits > logits.gather(1, came), dim=1).to(logits.dtype) + 1
    z = (logits - logits.amax(dim=1, keepdim=True)).clamp_(min=_IMPOSSIBLE)
    e = z.exp()
    whole, begin = _both(e, initial, vocabulary)
    weighted, begin_weighted = _both(z * e, initial, vocabulary)
    ending = e[:, vocabulary.ending].sum(dim=1)
    below = z.gather(1, came)[:, 0]
    return torch.stack([rank, below, whole, weighted, e.sqrt_().sum(dim=1), begin, begin_weighted, ending])


def _both(
    values: torch.Tensor, initial: torch.Tensor, vocabulary: Vocabulary
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each row's sum over the vocabulary, and over the tokens that begin a word there."""
    begin = (values * vocabulary.begins).sum(dim=1)
    if initial.any():
        begin[initial] = (values[initial] * vocabulary.unspaced).sum(dim=1)
    return values.sum(dim=1), begin
