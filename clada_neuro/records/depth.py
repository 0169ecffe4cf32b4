"""``depth.json``: models of a run with each layer's measures in place of a predictor."""

from typing import Any, ClassVar

from clada_neuro.records.record import OfTrials, Part


class Own(Part, frozen=True, kw_only=True):
    """One column in place of the predictor: ``estimate`` a standard deviation of it by REML, gains in nats a trial."""

    measure: str
    layer: int | None
    mean: float
    sd: float
    r_final: float | None
    estimate: float
    se: float | None
    t: float | None
    loglik: float
    delta_loglik_per_trial: float
    heldout_baseline: float
    heldout_baseline_se: float
    converged: bool


class Layer(Own, frozen=True, kw_only=True):
    """A layer's measure: its limits and p hold in the whole family; ``as_expected`` where a sign was registered.

    ``heldout_final`` is the gain over the replaced predictor, None where the layer's measure is that predictor.
    """

    ci_low: float | None
    ci_high: float | None
    p_family: float
    heldout_final: float | None
    heldout_final_se: float | None
    expected: str
    as_expected: bool | None


class ChoiceFacts(Part, frozen=True, kw_only=True):
    """The gain of the layer that is best in the other folds, of one measure or of any; ``heldout_final`` as in `Layer`."""

    measure: str
    heldout_baseline: float
    heldout_baseline_se: float
    heldout_final: float | None
    heldout_final_se: float | None
    layers: str


class Chosen(Part, frozen=True, kw_only=True):
    """What was chosen for a fold."""

    measure: str
    fold: int
    chosen_measure: str
    layer: int


class ProfileFacts(Part, frozen=True, kw_only=True):
    """One model of the run: what was fitted, and the family of its layers."""

    name: str
    response: str
    formula: str
    baseline: str
    replaces: str
    n_obs: int
    n_groups: dict[str, int]
    n_words: int
    n_stimuli: int | None
    n_family: int
    singular: bool
    critical_t: float | None
    confidence: float
    replicates: int
    n_failed: int
    folds: int
    fold: str
    n_items: int
    seed: int
    notes: list[str]
    final: Own
    profile: list[Layer]
    choice: list[ChoiceFacts]
    chosen: list[Chosen]


class DepthRecord(OfTrials, frozen=True, kw_only=True):
    """All models of a run, the settings that were fixed in advance, and which models were left out."""

    CURRENT: ClassVar[int] = 1

    settings: dict[str, Any]
    entries: list[ProfileFacts]
    notes: list[str]
