"""Studies in processes of their own that start at once and can be killed at any moment."""

import multiprocessing
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["clada_neuro.study.run", "clada_neuro.reporting.build", "clada_neuro.stats.synergy"]
)


def _study(stimuli: str, trials: str, analysis: str, model: str, out: str) -> None:
    from clada_neuro.study.run import run

    run(stimuli, trials=trials, analysis=analysis, model=model, out=out, threads=1, jobs=1)


def start_study(desk: Path, trials: str, out: Path) -> multiprocessing.Process:
    """Start `run` on the files of a folder."""
    given = (desk / "stimuli.csv", desk / trials, desk / "analysis.toml", desk / "model", out)
    process = _CONTEXT.Process(target=_study, args=tuple(map(str, given)), daemon=False)
    process.start()
    return process  # type: ignore[return-value]
