"""Every declared policy by name, and how one is made for a model."""

import pkgutil
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

import clada_neuro.policies
from clada_neuro.errors import CalibrationError, did_you_mean
from clada_neuro.models.ffn import FFN
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import policy_layers
from clada_neuro.passes.fitting import GRID, Passes
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.artifact import Calibration, load_calibration
from clada_neuro.policies.aside import holds_aside
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.runtime.policy import FFN_ONLY, SCOPES, SHARE, Policy

_FILES = "clada_neuro.policies.*"  # every file of the folder, for the keys of what is kept, too


def _declared() -> dict[str, Declaration]:
    names = [entry.name for entry in pkgutil.iter_modules(clada_neuro.policies.__path__)]
    modules = [import_module(_FILES.replace("*", name)) for name in names if name != Path(__file__).stem]
    found = [declared for module in modules for declared in getattr(module, "DECLARED", ())]
    return {declared.name: declared for declared in sorted(found, key=lambda one: (one.place, one.name))}


DECLARED = _declared()
POLICIES = tuple(DECLARED)
UNCALIBRATED = tuple(name for name, declared in DECLARED.items() if not declared.calibrated)
COMPARED = tuple(name for name, declared in DECLARED.items() if declared.compared)
CERTIFIED = "clada"
OFFSET = tuple(name for name, declared in DECLARED.items() if declared.offset)


def policy_for(
    model: LanguageModel,
    name: str,
    sparsity: float = 0.4,
    calibration: str | Path | None = None,
    scope: str = FFN_ONLY,
) -> Policy:
    """Return a policy for a loaded model, with the given calibration or the one shipped for its weights and scope.

    Warns where CLADA's loss at the sparsity is not certified, with what was measured.

    Raises
    ------
    CalibrationError
        As `make_policy`, or for a calibration that is missing, of another scope, or belongs to another model.
    """
    check_scope(name, scope)
    needs_none = name in UNCALIBRATED or name not in POLICIES
    found = None if needs_none else load_calibration(model, calibration, scope)
    policy = make_policy(name, policy_layers(model.model), found, sparsity)
    if found is not None:
        warn_uncovered(name, sparsity, found)
    return policy


def make_policy(
    name: str, layers: list[FFN], calibration: Calibration | None, sparsity: float = 0.4
) -> Policy:
    """Return a policy at a mean `ffn_sparsity`.

    Parameters
    ----------
    name : str
        One of `POLICIES`.
    layers : list of FFN
        Of the model (`clada_neuro.models.registry.policy_layers`).
    calibration : Calibration or None
        Of the same model; `UNCALIBRATED` policies need none.
    sparsity : float
        Share of weight bytes not read, at tokens after the prompt: of feed-forward blocks, or of what the calibration's
        scope is.

    Raises
    ------
    CalibrationError
        For an unknown name, a missing calibration, or a sparsity that the policy cannot reach.
    """
    if name not in DECLARED:
        known = ", ".join(POLICIES)
        raise CalibrationError(f"no policy '{name}'{did_you_mean(name, list(POLICIES))}; there are {known}")
    check_scope(name, FFN_ONLY if calibration is None else calibration.scope)
    return DECLARED[name].make(PolicyRequest(name, layers, sparsity, calibration))


def check_scope(name: str, scope: str) -> None:
    """Raise `CalibrationError` for a scope that does not exist, or that a policy does not have."""
    if scope not in SCOPES:
        raise CalibrationError(f"scope '{scope}' given, {' or '.join(SCOPES)} expected")
    if name in DECLARED and scope not in DECLARED[name].scopes:
        able = ", ".join(name for name, declared in DECLARED.items() if scope in declared.scopes)
        raise CalibrationError(
            f"policy '{name}' leaves attention dense; with scope {scope} there are {able}; choose one of them, or scope {FFN_ONLY}"
        )


def warn_uncovered(name: str, sparsity: float, calibration: Calibration) -> None:
    """Warn of CLADA at a sparsity that the calibration's certificate does not cover."""
    said = calibration.uncovered(sparsity) if name == CERTIFIED else None
    if said is not None:
        warnings.warn(said, stacklevel=2)


def without_tables(calibration: Calibration) -> list[Declaration]:
    """Return the policies that fit tables of which a calibration holds none."""
    return [
        declared
        for name, declared in DECLARED.items()
        if declared.fit is not None
        and calibration.scope in declared.scopes
        and not any(key.startswith(f"{name}_") for key in calibration.tensors)
    ]


def without_aside(calibration: Calibration) -> list[Declaration]:
    """Return the policies whose tables are in a calibration but for large ones, which this computer does not hold."""
    lacking = without_tables(calibration)
    return [
        declared
        for declared in DECLARED.values()
        if declared.aside
        and calibration.scope in declared.scopes
        and declared not in lacking
        and not holds_aside(calibration.header, declared.aside)
    ]


def fit_tables(passes: Passes) -> Piece:
    """Let every policy fit what it needs; return a calibration's ``"baselines"`` and tables."""
    header: dict[str, Any] = {SHARE[passes.scope]: list(GRID)}
    tables: dict[str, Tensor] = {}
    for declared in DECLARED.values():
        if declared.fit is not None and passes.scope in declared.scopes:
            own_header, own_tables = declared.fit(passes)
            header |= own_header
            tables |= own_tables
    return header, tables
