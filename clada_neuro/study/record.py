"""What a study's manifest says: the run, who decided the analysis, the calibration, and what it took."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clada_neuro import artifacts
from clada_neuro.responses.alignment import Alignment
from clada_neuro.scale.setting import Setting
from clada_neuro.study.target import Target

if TYPE_CHECKING:
    from clada_neuro.instrument.trace import Trace


def manifest_of(plan: Target, traced: "Trace", aligned: Alignment, seed: int) -> dict[str, Any]:
    """Return what the trace's manifest says and what the study adds to it."""
    return {
        **traced.manifest,
        "target": plan.name,
        "title": plan.analysis.title,
        "command": " ".join(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "simulated": plan.simulated,
        "component": plan.components,
        "dataset": plan.dataset,
        "joins": aligned.joins,
        "notes": list(aligned.notes),
        "analysis": plan.decided_by,
        "seed": seed,
        "versions": artifacts.versions(),
    }


def calibration_of(weights_hash: str, setting: Setting) -> dict[str, str] | None:
    """Return the name and hash of the calibration that decided the masks; none for policies that need none.

    Tables that were added to a finished calibration are no part of its hash: where they are the policy's, ``added`` is theirs.
    """
    from clada_neuro.policies.artifact import read_calibration, shipped_calibration
    from clada_neuro.policies.registry import UNCALIBRATED

    if setting.policy in UNCALIBRATED:
        return None
    path = Path(setting.calibration or shipped_calibration(weights_hash, setting.scope))
    found = read_calibration(path)
    added = found.added.get(setting.policy)
    return {"file": path.name, "hash": found.identity} | ({"added": added} if added else {})


def peak_memory_mb() -> float | None:
    """Return the process's peak resident memory in MB, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
