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

from clada_neuro.instrument.vocabulary import Vocabulary
from clada_neuro.measures.measure import Origin, in_order
from clada_neuro.measures.tokens import named

ROWS_AT_ONCE = 8  # few enough for their values to stay in the processor's cache
_IMPOSSIBLE = -1e4  # nats; stands for a logit of minus infinity, whose 0 · log 0 would be NaN
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
    logits : torch.Tensor, shape (n, vocabulary), or any number of rows with `of`
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
    of = torch.arange(len(logits), device=logits.device) if of is None else of
    rows = zip(*(values.split(ROWS_AT_ONCE) for values in (of, targets, initial)), strict=True)
    blocks = [_measure(logits[some], came, first, vocabulary, top_k) for some, came, first in rows]
    columns = torch.cat(blocks, dim=1).cpu().double().numpy()
    return dict(zip(names(top_k), columns, strict=True))


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


def _measure(
    logits: torch.Tensor, targets: torch.Tensor, initial: torch.Tensor, vocabulary: Vocabulary, top_k: int
) -> torch.Tensor:
    """Return the measures of some rows, shape (names, rows).

    With z = logit - largest logit and e = exp(z), every measure follows from sums over the vocabulary of e, z·e and √e.
    Sums, not matrix products: running sums over a large vocabulary lose 2e-4 bits in float32.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    came = targets.clamp(min=0)[:, None]
    rank = torch.count_nonzero(logits > logits.gather(1, came), dim=1).to(logits.dtype) + 1
    z = (logits - logits.amax(dim=1, keepdim=True)).clamp_(min=_IMPOSSIBLE)
    nats_below = z.gather(1, came)[:, 0]
    highest = z.topk(top_k, dim=1) if top_k else None
    e = z.exp()
    whole, begin = _sums(e, initial, vocabulary)
    z_whole, z_begin = _sums(z.mul_(e), initial, vocabulary)
    ending = e[:, vocabulary.ending].sum(dim=1)
    log_whole = whole.log()
    nats = {
        "surprisal_bits": log_whole - nats_below,
        "entropy_bits": log_whole - z_whole / whole,
        "renyi_half_bits": 2 * e.sqrt_().sum(dim=1).log() - log_whole,
        "entropy_boundary_bits": begin.log() - z_begin / begin,
        "boundary": log_whole - (begin + ending).log(),
    }
    bits = torch.stack(list(nats.values())) / math.log(2)
    found = dict(zip(nats, bits, strict=True)) | {"rank": rank}
    for name in ("surprisal_bits", "rank"):
        found[name].masked_fill_(targets < 0, math.nan)
    if highest is not None:
        probabilities = (highest.values - log_whole[:, None]).exp()
        for place in range(top_k):
            # Token numbers are exact in float32 up to 2^24.
            found[f"top_token_{place + 1}"] = highest.indices[:, place].to(z.dtype)
            found[f"top_probability_{place + 1}"] = probabilities[:, place]
    return torch.stack(in_order(found, names(top_k))) + 0.0  # no -0.0


def _sums(
    values: torch.Tensor, initial: torch.Tensor, vocabulary: Vocabulary
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each row's sum over the vocabulary, and over the tokens that begin a word there."""
    begin = (values * vocabulary.begins).sum(dim=1)
    if initial.any():
        begin[initial] = (values[initial] * vocabulary.unspaced).sum(dim=1)
    return values.sum(dim=1), begin
