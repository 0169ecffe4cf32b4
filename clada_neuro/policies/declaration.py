"""What a policy says of itself. A file of this folder with a list ``DECLARED`` is all that a new policy takes.

Everything that names policies (`clada_neuro.policies.registry`, calibration, command line, benchmarks) lists what is
declared. `clada_neuro.policies.teal` is an example with all parts: a rule, tables fitted in the calibration passes, and
how the policy is made from them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from clada_neuro.errors import CalibrationError
from clada_neuro.models.ffn import FFN
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.passage import Passage
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.artifact import Calibration, check_reach
from clada_neuro.policies.aside import read_aside
from clada_neuro.runtime.policy import FFN_ONLY, SITES, Policy
from clada_neuro.runtime.thresholds import Compensation, norms


@dataclass(frozen=True)
class PolicyRequest:
    """What a policy is made from.

    Attributes
    ----------
    name : str
        Under which it was asked for.
    layers : list of FFN
        Of the model.
    sparsity : float
        The wanted mean sparsity at tokens after the prompt, a share of what the calibration's scope is.
    given : Calibration or None
        Of the same model.
    """

    name: str
    layers: list[FFN]
    sparsity: float
    given: Calibration | None

    @property
    def calibration(self) -> Calibration:
        """The calibration; `CalibrationError` where none was given."""
        if self.given is None:
            raise CalibrationError(f"policy '{self.name}' needs a calibration; give one with --calibration")
        return self.given

    @property
    def scope(self) -> str:
        """That of the calibration."""
        return FFN_ONLY if self.given is None else self.given.scope

    @property
    def sites(self) -> tuple[str, ...]:
        """Those of the scope."""
        return SITES[self.scope]

    @cached_property
    def norms(self) -> dict[str, Tensor]:
        """Norms of the weight columns, ``(layers, rows)`` a site."""
        return norms(self.layers, self.scope)

    def fitted(self, policy: str, *keys: str, reach: float = 1.0) -> dict[str, Tensor]:
        """Return a policy's tables (`Passes.at_each_sparsity`) at the wanted sparsity, by key.

        ``reach`` is the highest sparsity that the policy can have at all.
        """
        grid = torch.tensor(self.calibration.header["baselines"][self.calibration.share])
        check_reach(self.sparsity, min(float(grid[-1]), reach), f"policy '{policy}' here")
        tensors = self.calibration.tensors
        missing = [key for key in keys if f"{policy}_{key}" not in tensors]
        if missing:
            raise CalibrationError(
                f"the calibration holds nothing of policy '{self.name}' ({', '.join(missing)}): it was made before that "
                "policy; make it again with clada-neuro calibrate and give it with --calibration"
            )
        return {key: _interpolate(grid, self.sparsity, tensors[f"{policy}_{key}"]) for key in keys}

    def aside(self, name: str) -> Tensor:
        """Return a table that is too large for a calibration's file; `CalibrationError` where this computer lacks it."""
        calibration = self.calibration
        found = calibration.tensors.get(name)
        if found is None:
            found = read_aside(calibration.header, name)
        if found is None:
            raise CalibrationError(
                f"policy '{self.name}' needs a table that is too large for a calibration's file, and this computer did not "
                "make it; calibrate here with clada-neuro calibrate and give that file with --calibration"
            )
        return found.to(self.layers[0].down_weight.device)

    def mean_of_dropped(self, policy: str) -> Compensation:
        """Return the compensation that was measured when a policy was fitted."""
        bias = self.fitted(policy, "bias")["bias"]
        return Compensation(
            torch.tensor([0.0, 1.0], device=bias.device), torch.stack([torch.zeros_like(bias), bias])
        )


@dataclass(frozen=True)
class Timed:
    """How a policy takes part in `bench decode`.

    Attributes
    ----------
    uncalibrated : callable
        From a passage to the policy of a model without calibration: it drops as much, which is enough for speed.
    in_kernels : callable
        From the policy and a passage to what kernels follow in its place; by default the policy itself.
    """

    uncalibrated: Callable[[Passage], Policy]
    in_kernels: Callable[[Policy, Passage], Policy] = lambda policy, passage: policy


@dataclass(frozen=True)
class Declaration:
    """A policy that users can name.

    Attributes
    ----------
    name : str
    place : int
        Where it stands among the others in lists; gaps are there for what comes.
    make : callable
        From what was asked for to the policy; raises `CalibrationError` for a sparsity out of reach.
    fit : callable or None
        From the calibration passes to what `make` finds in a calibration: header entries of ``"baselines"`` and tables
        whose names begin with the policy's.
    calibrated : bool
        Whether it needs a calibration.
    offset : bool
        Whether a calibration solves an offset for it, so that its cost is CLADA's.
    compared : bool
        Whether `evaluate` takes it where no policy is named.
    timed : Timed or None
        How `bench decode` takes it, if at all.
    aside : tuple of str
        Those of its tables that are too large for a calibration's file (`clada_neuro.policies.aside`).
    scopes : tuple of str
        In which it can run: feed-forward blocks alone, or attention's maps, too; `fit` is called in these.
    """

    name: str
    place: int
    make: Callable[[PolicyRequest], Policy]
    fit: Callable[[Passes], Piece] | None = None
    calibrated: bool = True
    offset: bool = False
    compared: bool = False
    timed: Timed | None = None
    aside: tuple[str, ...] = ()
    scopes: tuple[str, ...] = (FFN_ONLY,)


def _interpolate(grid: Tensor, sparsity: float, values: Tensor) -> Tensor:
    """Return values ``(points, …)`` of a grid at one sparsity, linear from 0 at sparsity 0."""
    points = torch.cat([torch.zeros(1), grid])
    table = torch.cat([torch.zeros_like(values[:1]), values])
    upper = int(torch.searchsorted(points, sparsity).clamp(1, len(points) - 1))
    share = (sparsity - float(points[upper - 1])) / float(points[upper] - points[upper - 1])
    return torch.lerp(table[upper - 1], table[upper], share)
