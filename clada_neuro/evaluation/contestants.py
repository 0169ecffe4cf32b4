"""The policies of a comparison, made by the one factory, each with what identifies its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import policy_layers
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.policies.registry import POLICIES, UNCALIBRATED, check_scope, make_policy, warn_uncovered
from clada_neuro.runtime.policy import FFN_ONLY, Policy


@dataclass(frozen=True, eq=False)
class Contestant:
    """A policy at a sparsity.

    Attributes
    ----------
    name : str
    asked : float
        The wanted sparsity; 0 for dense.
    policy : Policy
    unloaded : Policy or None
        The policy without load that a policy with load takes its signals from.
    calibration : str or None
        Hash of the calibration; None for policies that need none.
    added : str or None
        Hash of the policy's own tables where they were added to the calibration later.
    """

    name: str
    asked: float
    policy: Policy
    unloaded: Policy | None
    calibration: str | None
    added: str | None = None


def contestants(
    model: LanguageModel,
    names: Sequence[str],
    sparsities: Sequence[float],
    calibration: Path | None = None,
    scope: str = FFN_ONLY,
) -> list[Contestant]:
    """Return dense once and every other policy at every sparsity, in the order of their names.

    Raises
    ------
    CalibrationError
        As `make_policy` and `load_calibration`.
    """
    layers = policy_layers(model.model)
    calibrated = [name for name in names if name not in UNCALIBRATED]
    # An unknown name is told before a missing calibration.
    for name in calibrated:
        if name not in POLICIES:
            make_policy(name, layers, None)
    for name in names:
        check_scope(name, scope)
    loaded = load_calibration(model, calibration, scope) if calibrated else None
    digest = None if loaded is None else loaded.identity
    unloaded = {} if loaded is None else {s: make_policy("no-load", layers, loaded, s) for s in sparsities}
    found = []
    for name, asked in dict.fromkeys((n, 0.0 if n == "dense" else s) for s in sparsities for n in names):
        policy = unloaded[asked] if name == "no-load" else make_policy(name, layers, loaded, asked)
        if loaded is not None:
            warn_uncovered(name, asked, loaded)
        made_from = None if name in UNCALIBRATED else digest
        source = unloaded[asked] if policy.sequential else None
        added = None if loaded is None else loaded.added.get(name)
        found.append(Contestant(name, asked, policy, source, made_from, added))
    return found
