"""Information measures of next-token predictions, in bits.

For a prediction p over the vocabulary V (one row of logits) and the token x that came:

==================  ==========================================================  ===================
surprisal           -log2 p(x)                                                  [0, inf)
rank                1 + #{v : p(v) > p(x)}                                      1 ... |V|
entropy             -sum_v p(v) log2 p(v)                                       [0, log2 |V|]
renyi_half          2 log2 sum_v p(v)^(1/2)   (Rényi, order 1/2)                [entropy, log2 |V|]
entropy_boundary    entropy of p renormalised over tokens that begin a word     [0, log2 |V|]
boundary            -log2 of the mass of tokens that begin a word or end the    [0, inf)
                    text
==================  ==========================================================  ===================

`boundary` is what the whitespace correction needs (Pimentel & Meister 2024, https://aclanthology.org/2024.emnlp-main.1020;
Oh & Schuler 2024, https://aclanthology.org/2024.emnlp-main.202): a tokenizer that writes the space at the beginning of
a word charges it to that word, although it belongs to the end of the word before. With b the boundary term,

    corrected(word) = surprisal(word) - b(before the word) + b(after the word).

At the beginning of a text without leading white space, the tokens that begin a word are those without a space.
"""

import math

import numpy as np
import torch

from clada_neuro.instrument.vocabulary import Vocabulary

ROWS_AT_ONCE = 16  # few enough for their values to stay in the processor's cache
_IMPOSSIBLE = -1e4  # nats; stands for a logit of minus infinity, whose 0 · log 0 would be NaN
MEASURES = ("surprisal", "rank", "entropy", "renyi_half", "entropy_boundary", "boundary")


def information(
    logits: torch.Tensor, targets: torch.Tensor, initial: torch.Tensor, vocabulary: Vocabulary
) -> dict[str, np.ndarray]:
    """Measure predictions row by row.

    Parameters
    ----------
    logits : torch.Tensor, shape (n, vocabulary)
    targets : torch.Tensor of int, shape (n,)
        The token that came; -1 when none did (surprisal and rank are then missing).
    initial : torch.Tensor of bool, shape (n,)
        The row predicts the beginning of a text that has no leading white space.

    Returns
    -------
    dict of numpy.ndarray, each of shape (n,) and float64
    """
    if not len(logits):
        return {name: np.empty(0) for name in MEASURES}
    rows = zip(*(values.split(ROWS_AT_ONCE) for values in (logits, targets, initial)), strict=True)
    blocks = [_measure(some, came, first, vocabulary) for some, came, first in rows]
    columns = torch.cat(blocks, dim=1).double().cpu().numpy()
    return dict(zip(MEASURES, columns, strict=True))


def divergence(expected: torch.Tensor, logits: torch.Tensor) -> np.ndarray:
    """Return D(expected || found) in bits row by row, from two sets of logits of shape (n, vocabulary)."""
    blocks = []
    for dense, found in zip(expected.split(ROWS_AT_ONCE), logits.split(ROWS_AT_ONCE), strict=True):
        p, q = (_log_probabilities(values) for values in (dense, found))
        blocks.append((p.exp() * (p - q)).sum(dim=1) / math.log(2))
    return torch.cat(blocks).double().cpu().numpy() if blocks else np.empty(0)


def _log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return natural log probabilities, at least in float32."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # Not log_softmax: its running sum over a large vocabulary loses 4e-5 bits in float32.
    return (logits - logits.logsumexp(dim=-1, keepdim=True)).clamp(min=_IMPOSSIBLE)


def _measure(
    logits: torch.Tensor, targets: torch.Tensor, initial: torch.Tensor, vocabulary: Vocabulary
) -> torch.Tensor:
    """Return the measures of some rows, shape (6, rows)."""
    nats = _log_probabilities(logits)
    came = targets.clamp(min=0)[:, None]
    rank = torch.count_nonzero(logits > logits.gather(1, came), dim=1).to(nats.dtype) + 1
    p = nats.exp()
    terms = -(p * nats)
    begin, h_begin = _among(vocabulary.spaced, p, terms)
    if initial.any():
        begin[initial], h_begin[initial] = _among(vocabulary.unspaced, p[initial], terms[initial])
    ending = p[:, vocabulary.ending].sum(dim=1)
    nats_of = [
        -nats.gather(1, came)[:, 0],
        terms.sum(dim=1),
        2 * p.sqrt().sum(dim=1).log(),
        h_begin,
        -(begin + ending).log(),
    ]
    surprisal, *others = torch.stack(nats_of) / math.log(2)
    missing = targets < 0
    return torch.stack(
        [surprisal.masked_fill(missing, math.nan), rank.masked_fill(missing, math.nan), *others]
    )


def _among(tokens: torch.Tensor, p: torch.Tensor, terms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mass of some tokens and the entropy of p renormalised over them, from p and its -p·ln p."""
    mass = (p * tokens).sum(dim=1)
    return mass, mass.log() + (terms * tokens).sum(dim=1) / mass
