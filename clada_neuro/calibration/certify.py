"""State how much loss a calibrated policy costs, with confidence, on documents that no choice has seen.

The bound is one-sided, over documents (Student t), each with the mean of its texts. From the least wanted sparsity upwards, each step is tested only if
the one before it held, so the statement about the last that held keeps its confidence (fixed-sequence testing). If the
first fails, the policy is measured at lower sparsities and the frontier is returned with the reason.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clada_neuro.artifacts import output_folder, versions
from clada_neuro.cache import Store
from clada_neuro.calibration.loss import Yardstick, upper_bound
from clada_neuro.calibration.texts import first_texts
from clada_neuro.models.ffn import FFN
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Here, Places
from clada_neuro.models.registry import policy_layers
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.passes.pieces import PIECE, Pieces
from clada_neuro.policies.artifact import Calibration
from clada_neuro.policies.registry import make_policy
from clada_neuro.progress import ProgressBar

_UP = (0.0, 0.05)  # above the least wanted sparsity
_DOWN = (-0.1, -0.2)


def certify(
    places: Places,
    layers: list[FFN],
    pieces: Pieces,
    tick: Callable[[int], object],
    calibration: Calibration,
    tokens: Tensor,
    documents: Tensor,
    bound: float,
    confidence: float,
    min_sparsity: float,
) -> dict[str, Any]:
    """Return the certificate: what was measured at each sparsity, the highest that holds, or the reason for none."""
    yardstick = Yardstick(places, tokens, DENSE_PREFIX, pieces, "certification", tick)
    rows: list[dict[str, float]] = []

    def holds(sparsity: float) -> bool:
        policy, unloaded = (make_policy(name, layers, calibration, sparsity) for name in ("clada", "no-load"))
        load_from = yardstick.measure(f"{sparsity:.2f}-no-load", unloaded) if policy.sequential else None
        cost = yardstick.measure(f"{sparsity:.2f}", policy, load_from)
        losses = _by_document(cost.loss, documents)
        row = {
            "asked": sparsity,
            calibration.share: float(cost.sparsity.mean()),
            "loss_nats": float(losses.mean()),
            "upper_bound_nats": upper_bound(losses, confidence),
        }
        rows.append({name: round(value, 5) for name, value in row.items()})
        return row["upper_bound_nats"] <= bound

    certified = None
    for step in _UP:
        if not holds(min_sparsity + step):
            break
        certified = min_sparsity + step
    reason = None
    if certified is None:
        reason = (
            f"at {calibration.share} {rows[0][calibration.share]:.3f} the upper bound of the loss is "
            f"{rows[0]['upper_bound_nats']:.3f} nats per token, above the limit of {bound:g}"
        )
        for step in _DOWN:
            if min_sparsity + step > 0:
                holds(round(min_sparsity + step, 2))
    return {
        "bound_nats": bound,
        "confidence": confidence,
        "documents": len(documents.unique()),
        "texts": len(tokens),
        calibration.share: certified,
        "reason": reason,
        "frontier": rows,
    }


def certify_anew(
    language_model: LanguageModel,
    calibration: Calibration,
    documents: Sequence[str],
    folder: str | Path,
    *,
    texts: int = 48,
    progress: bool = True,
) -> Calibration:
    """State the certificate of a calibration again: limit, confidence and least sparsity as before, other documents.

    Parameters
    ----------
    language_model : LanguageModel
    calibration : Calibration
    documents : sequence of str
        None of which gave a text to the calibration; each that is long enough gives one text.
    texts : int
        At most so many, of the first documents.
    folder : str or Path
        Keeps finished parts of an interrupted call.
    progress : bool

    Returns
    -------
    Calibration
        Thresholds and all else that decides masks are the same (`Calibration.identity`).

    Raises
    ------
    CalibrationError
        If fewer than 12 documents are long enough.
    """
    tokens = first_texts(language_model, documents)[:texts]
    before = calibration.header["certificate"]
    least = before["frontier"][0]["asked"]
    pieces = Store.of(output_folder(folder), __name__, calibration.identity, tokens.tolist(), codec=PIECE)
    with ProgressBar(desc="certify", unit="tok", unit_scale=True, disable=not progress) as bar:
        certificate = certify(
            Here(language_model), policy_layers(language_model.model), pieces, bar.update, calibration, tokens,
            torch.arange(len(tokens)), before["bound_nats"], before["confidence"], least,
        )  # fmt: skip
    pieces.clear()
    certificate |= {"versions": versions()}
    return Calibration({**calibration.header, "certificate": certificate}, calibration.tensors)


def _by_document(losses: Tensor, documents: Tensor) -> Tensor:
    """Return each document's mean: its texts are alike and would make the bound narrower than it is."""
    return torch.stack([losses[documents == number].mean() for number in documents.unique()])
