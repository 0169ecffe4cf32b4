"""The content of ``overview.json``: what texts, measures, responses and a policy look like beside any regression."""

from typing import ClassVar

from clada_neuro.records.record import Document, Part

HOW = (
    "95 % t intervals of the mean (n - 1 degrees of freedom): measures over texts, responses over the means of subjects, or over "
    "rows where there are no subjects; n counts them"
)


class Condition(Part, frozen=True, kw_only=True):
    """Texts and items of a condition and, where there are trials, what they count there."""

    condition: str
    texts: int
    items: int
    trials: int | None = None
    stimuli: int | None = None
    subjects: int | None = None


class Cell(Part, frozen=True, kw_only=True):
    """A mean of one level of each factor, with its 95 % interval over `n` units."""

    cell: dict[str, str]
    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n: int


class Means(Part, frozen=True, kw_only=True):
    """The means of a measure or a response in the cells of some factors, raw; see `HOW`."""

    measure: str
    by: list[str]
    cells: list[Cell]


class Histogram(Part, frozen=True, kw_only=True):
    """Counts between edges, of which there is one more."""

    edges: list[float]
    counts: list[int]


class Box(Part, frozen=True, kw_only=True):
    """Quartiles of a condition's values, and the furthest of them within 1.5 interquartile ranges."""

    condition: str
    low: float
    q1: float
    median: float
    q3: float
    high: float


class Distribution(Part, frozen=True, kw_only=True):
    """The values of a column: how many, their histogram and, where there are few conditions, a box for each."""

    column: str
    n: int
    histogram: Histogram
    boxes: list[Box] = []


class Layers(Part, frozen=True, kw_only=True):
    """Quartiles of a measure over tokens, layer by layer."""

    measure: str
    layer: list[int]
    q1: list[float | None]
    median: list[float | None]
    q3: list[float | None]


class Binned(Part, frozen=True, kw_only=True):
    """Means of predictor and response in bins of equally many trials; of an interaction, in a third of `by`."""

    response: str
    predictor: str
    n: int
    x: list[float | None]
    y: list[float | None]
    by: str = ""
    third: int = 0


class Tenths(Part, frozen=True, kw_only=True):
    """Means of a token's measure in tenths of load, and where nearly all its values lie."""

    measure: str
    load: list[float]
    mean: list[float]
    low: float
    high: float


class UnderPolicy(Part, frozen=True, kw_only=True):
    """What a policy did at the `n_decided` tokens at which it decided.

    Attributes
    ----------
    share : str
        The measure that `sparsity` and `budget` are of: what the policy's scope is.
    text : str
        The first text with an event, else the first.
    load, events_by_load
        How many tokens, and how many with an event, between the same edges of load.
    """

    n_tokens: int
    n_decided: int
    n_events: int
    n_actions: int
    sparsity: float | None
    kl_dense_bits: float | None
    text: str
    budget: Histogram
    n_loaded: int = 0
    load: Histogram | None = None
    events_by_load: Histogram | None = None
    n_loaded_events: int = 0
    by_load: list[Tenths] = []
    share: str = "ffn_sparsity"


class OverviewRecord(Document, frozen=True, kw_only=True):
    """Everything that a report shows of the data themselves.

    Attributes
    ----------
    n_trials, groups
        Trials, and the levels of subject, item and stimulus among them.
    means
        By condition; in the cells of the factors of a regression.
    ranges
        Between which values 96 % of a measure's words lie.
    """

    CURRENT: ClassVar[int] = 1

    n_texts: int | None = None
    n_trials: int = 0
    groups: dict[str, int] = {}
    conditions: list[Condition] = []
    means: list[Means] = []
    words: list[Distribution] = []
    ranges: dict[str, tuple[float, float]] = {}
    layers: list[Layers] = []
    responses: list[Distribution] = []
    binned: list[Binned] = []
    policy: UnderPolicy | None = None

    def by(self, *factors: str) -> list[Means]:
        """Return all means in the cells of these factors."""
        return [found for found in self.means if found.by == list(factors)]
