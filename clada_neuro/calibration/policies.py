"""Every policy by name, at a wanted sparsity, from one calibration."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from clada_neuro.baselines.cats import Cats
from clada_neuro.baselines.dense import Dense
from clada_neuro.baselines.griffin import Griffin
from clada_neuro.baselines.teal import Teal
from clada_neuro.baselines.threshold import ThresholdTruncation
from clada_neuro.baselines.wina import Wina
from clada_neuro.calibration.artifact import Calibration, check_reach, load_calibration
from clada_neuro.errors import CalibrationError, did_you_mean
from clada_neuro.models.ffn import FFN
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import policy_layers
from clada_neuro.runtime import controls
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import LoadSignal
from clada_neuro.runtime.policy import GATE, HIDDEN, INPUT, Policy
from clada_neuro.runtime.thresholds import Compensation

CONTROLS: dict[str, Callable[[Clada, Calibration], Clada]] = {
    "no-load": lambda policy, calibration: controls.no_load(policy),
    "random-load": lambda policy, calibration: _as(
        policy, controls.RandomLoad, quantiles=calibration.tensors["load_quantiles"]
    ),
    "reversed-load": lambda policy, calibration: _as(policy, controls.ReversedLoad),
    "surprisal-only": lambda policy, calibration: controls.surprisal_only(policy),
    "entropy-only": lambda policy, calibration: controls.entropy_only(policy),
    "periodic-refresh": lambda policy, calibration: _as(
        policy, controls.PeriodicRefresh, period=calibration.header["reanalysis"]["period"]
    ),
    "never-refresh": lambda policy, calibration: controls.never_refresh(policy),
    "no-prefix": lambda policy, calibration: controls.no_prefix(policy),
    "foreign-prefix": lambda policy, calibration: _as(
        policy, controls.ForeignPrefix, foreign=calibration.tensors["foreign_rank"]
    ),
}
BASELINES = ("griffin", "tt", "cats", "teal", "wina", "teal-compensated", "wina-compensated")
UNCALIBRATED = ("dense", "griffin")
POLICIES = ("dense", "clada", *CONTROLS, "clada-uncompensated", *BASELINES)


def policy_for(
    model: LanguageModel, name: str, sparsity: float = 0.4, calibration: str | Path | None = None
) -> Policy:
    """Return a policy for a loaded model, with the given calibration or the one shipped for its weights.

    Raises
    ------
    CalibrationError
        As `make_policy`, or for a calibration that is missing or belongs to another model.
    """
    needs_none = name in UNCALIBRATED or name not in POLICIES
    found = None if needs_none else load_calibration(model, calibration)
    return make_policy(name, policy_layers(model.model), found, sparsity)


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
        Of the same model; ``dense`` and ``griffin`` need none.
    sparsity : float
        Share of feed-forward weight bytes not read, at tokens after the prompt.

    Raises
    ------
    CalibrationError
        For an unknown name, a missing calibration, or a sparsity that the policy cannot reach.
    """
    if name == "dense":
        return Dense()
    if name == "griffin":
        return Griffin(sparsity=sparsity)
    if name not in POLICIES:
        known = ", ".join(POLICIES)
        raise CalibrationError(f"no policy '{name}'{did_you_mean(name, list(POLICIES))}; there are {known}")
    if calibration is None:
        raise CalibrationError(f"policy '{name}' needs a calibration; give one with --calibration")
    if name in BASELINES:
        return _baseline(name, layers, calibration, sparsity)
    return _clada(name, calibration, sparsity)


def base_policy(calibration: Calibration, sparsity: float) -> Clada:
    """Return CLADA with its thresholds and compensation only: no prefix term, no load, no reanalysis."""
    tensors = calibration.tensors
    return Clada(
        thresholds={INPUT: tensors["input_thresholds"], HIDDEN: tensors["hidden_thresholds"]},
        weights={INPUT: tensors["input_weights"], HIDDEN: tensors["hidden_weights"]},
        mean_of_dropped=Compensation(
            torch.tensor([0.0, *calibration.header["curve"]["scale"]], device=tensors["bias"].device),
            tensors["bias"],
        ),
        base_scale=calibration.scale_for(sparsity),
    )


def full_policy(calibration: Calibration, sparsity: float) -> Clada:
    """Return CLADA with the chosen prefix term, load and reanalysis, its offset not yet applied."""
    header = calibration.header
    limit = header["reanalysis"]["load"]
    return replace(
        base_policy(calibration, sparsity),
        gamma=header["prefix"]["gamma"],
        prior=calibration.tensors["prior"],
        kappa=header["load"]["kappa"],
        signal=LoadSignal(**header["load"]["signal"]),
        reanalysis_load=math.inf if limit is None else limit,
    )


def _clada(name: str, calibration: Calibration, sparsity: float) -> Clada:
    policy = full_policy(calibration, sparsity)
    if name == "clada-uncompensated":
        policy = replace(policy, mean_of_dropped=None)
    elif name != "clada":
        policy = CONTROLS[name](policy, calibration)
    offset = calibration.header["offsets"][name]
    return replace(policy, base_scale=policy.base_scale * math.exp(offset))


def _as(policy: Clada, kind: type[Clada], **extra: object) -> Clada:
    """Return the same policy as another class."""
    same = {field.name: getattr(policy, field.name) for field in fields(Clada)}
    return kind(**same, **extra)  # type: ignore[arg-type]


def _baseline(name: str, layers: list[FFN], calibration: Calibration, sparsity: float) -> Policy:
    grid = torch.tensor(calibration.header["baselines"]["ffn_sparsity"])
    kind, _, compensated = name.partition("-")
    reach = (
        float(grid[-1]) if kind != "tt" else min(float(grid[-1]), calibration.header["baselines"]["tt_reach"])
    )
    check_reach(sparsity, reach, f"policy '{name}' here")
    at = partial(_interpolate, grid, sparsity)
    tensors = calibration.tensors
    norms = {
        INPUT: torch.stack([f.input_norms for f in layers]),
        HIDDEN: torch.stack([f.neuron_norms for f in layers]),
    }
    mean = None
    if compensated:
        bias = at(tensors[f"{kind}_bias"])
        mean = Compensation(
            torch.tensor([0.0, 1.0], device=bias.device), torch.stack([torch.zeros_like(bias), bias])
        )
    if kind == "tt":
        return ThresholdTruncation({HIDDEN: at(tensors["tt_hidden"])}, {HIDDEN: norms[HIDDEN]})
    if kind == "cats":
        return Cats({GATE: at(tensors["cats_gate"])}, {})
    table = {site: at(tensors[f"{kind}_{site}"]) for site in (INPUT, HIDDEN)}
    return Teal(table, {}, mean) if kind == "teal" else Wina(table, norms, mean)


def _interpolate(grid: Tensor, sparsity: float, values: Tensor) -> Tensor:
    """Return values ``(points, …)`` of a grid at one sparsity, linear from 0 at sparsity 0."""
    points = torch.cat([torch.zeros(1), grid])
    table = torch.cat([torch.zeros_like(values[:1]), values])
    upper = int(torch.searchsorted(points, sparsity).clamp(1, len(points) - 1))
    share = (sparsity - float(points[upper - 1])) / float(points[upper] - points[upper - 1])
    return torch.lerp(table[upper - 1], table[upper], share)
