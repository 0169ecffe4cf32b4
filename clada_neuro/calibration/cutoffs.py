"""What a calibration would leave out, for dense passes: its hidden-site thresholds without prefix and load."""

from pathlib import Path

from clada_neuro.models.loading import LanguageModel
from clada_neuro.policies.artifact import load_calibration, shipped_calibration
from clada_neuro.policies.clada import base_policy
from clada_neuro.runtime.cutoffs import Cutoffs
from clada_neuro.runtime.policy import FFN_ONLY, HIDDEN


def hidden_cutoffs(
    model: LanguageModel,
    sparsity: float = 0.4,
    calibration: str | Path | None = None,
    scope: str = FFN_ONLY,
) -> Cutoffs | None:
    """Return the activation |a_i| below which neuron i would be left out, τ/w_i of the calibration.

    Parameters
    ----------
    model : LanguageModel
    sparsity : float
        Whose thresholds are taken, of what the scope is.
    calibration : str or Path, optional
        Default: the one shipped for these weights and the scope; None is returned when there is none.
    scope : {"ffn", "all"}

    Raises
    ------
    CalibrationError
        For a calibration that cannot be read, belongs to another model, or does not reach the sparsity.
    """
    path = Path(calibration or shipped_calibration(model.weights_hash, scope))
    if calibration is None and not path.is_file():
        return None
    loaded = load_calibration(model, path, scope)
    policy = base_policy(loaded, sparsity)
    values = policy.thresholds[HIDDEN][:, None] * policy.base_scale / policy.weights[HIDDEN]
    return Cutoffs(values, {"calibration": path.name, "hash": loaded.identity, loaded.share: sparsity})
