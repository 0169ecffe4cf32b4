"""What is the same for every language model of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clada_neuro.parts import Jobs
from clada_neuro.scale.setting import Setting

Progress = Callable[[str], None]


@dataclass(frozen=True)
class How:
    """What is the same for every language model of a run."""

    setting: Setting
    models: tuple[str, ...]
    scheduler: str | None
    full: bool
    influence: bool
    maps: bool
    depth: bool
    jobs: Jobs
    seed: int
    progress: Progress
    decided: Mapping[str, str]  # who decided the analysis: `Target.decided_by`
