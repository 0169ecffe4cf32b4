"""A ladder of nested models decided in advance: steps that build on each other, each adding terms to the model before it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.formula import names_of

Terms = tuple[str, ...]
_INTERCEPT = "(1 | subject)"


@dataclass(frozen=True)
class StepSpecification:
    """What a step adds to which model.

    Attributes
    ----------
    name : str
        What the step asks.
    adds : tuple of str
        Terms, as in a formula.
    over : str
        The step whose model it extends; that of the controls alone when empty.
    optional : bool
        Whether it is left out where the trials lack a column of its terms; other steps must not be.
    """

    name: str
    adds: Terms
    over: str = ""
    optional: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns that its terms need."""
        return list(dict.fromkeys(name for term in self.adds for name in names_of(term)))


@dataclass(frozen=True)
class Step:
    """Two nested models: what `larger` has beyond `smaller` is `added`."""

    name: str
    smaller: Terms
    larger: Terms

    @property
    def added(self) -> Terms:
        """Terms in which the models differ."""
        return tuple(term for term in self.larger if term not in self.smaller)

    @property
    def is_product(self) -> bool:
        """Whether the step adds an interaction."""
        return any(":" in term for term in self.added)


@dataclass(frozen=True)
class LadderSpecification:
    """Nested models of one response, on the same rows and with the same random part.

    Attributes
    ----------
    name : str
        What the ladder is called.
    target : str
        The data set that brings the response.
    response : str
        The column that is explained.
    controls : tuple of str
        Columns that every model has.
    random : str
        Random intercepts.
    slopes : tuple of str
        Predictors with slopes by subject, as far as the reduction ladder keeps them.
    fold : str
        The column whose levels stay together when models are compared on held-out rows.
    weights : str
        Column with the number of trials behind each row, when the rows are means.
    directions : dict
        Term to ``"negative"`` or ``"positive"``: which way raw responses should move with it.
    bootstrap : int
        Replicates that give the interval of a product's ΔR² and its p under the null.
    steps : tuple of StepSpecification
        In the order in which they are climbed.
    """

    name: str
    target: str
    response: str
    controls: Terms
    random: str
    fold: str
    slopes: Terms = ()
    weights: str | None = None
    directions: Mapping[str, str] = field(default_factory=dict)
    bootstrap: int = 0
    steps: tuple[StepSpecification, ...] = ()

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if self.slopes and _INTERCEPT not in self.random:
            raise FitError(f"slopes by subject given, and no {_INTERCEPT} stands in random = '{self.random}'")
        terms = [term for step in self.steps for term in step.adds]
        for term, direction in self.directions.items():
            if term not in terms:
                raise FitError(f"direction of '{term}' given, which no step adds{did_you_mean(term, terms)}")
            if direction not in ("negative", "positive"):
                raise FitError(f"direction '{direction}' of {term} given, 'negative' or 'positive' expected")

    @property
    def component(self) -> str:
        """Response without its unit: the family of tests."""
        return self.response.removesuffix("_uv")

    @property
    def fullest(self) -> str:
        """The formula with every slope and every predictor that all trials have, from which the random part is reduced."""
        added = [name for step in self.steps if not step.optional for name in step.columns]
        slopes = " + ".join(["1", *self.slopes])
        random = self.random.replace(_INTERCEPT, f"({slopes} | subject)") if self.slopes else self.random
        return f"{self.response} ~ {' + '.join(dict.fromkeys([*self.controls, *added]))} + {random}"

    def taken(self, columns: Collection[str]) -> list[StepSpecification]:
        """Return the steps for which trials have the columns; those over one that is left out are left out, too."""
        taken: list[StepSpecification] = []
        for step in self.steps:
            below = not step.over or step.over in {one.name for one in taken}
            if not step.optional or (below and set(step.columns) <= set(columns)):
                taken.append(step)
        return taken

    def models(self, columns: Collection[str]) -> list[Step]:
        """Return the two models of each step that trials with these columns allow."""
        reached: dict[str, Terms] = {"": self.controls}
        climbed = []
        for step in self.taken(columns):
            smaller = reached[step.over]
            reached[step.name] = (*smaller, *step.adds)
            climbed.append(Step(step.name, smaller, reached[step.name]))
        return climbed


def _check_steps(steps: tuple[StepSpecification, ...]) -> None:
    """Refuse steps that build on none, or on what may be absent, and names that come twice or make no folder."""
    before: dict[str, StepSpecification] = {}
    for step in steps:
        if step.name in before:
            raise FitError(f"two steps are called '{step.name}'; give each a name of its own")
        if not re.fullmatch(r"\w[\w ]*", step.name):
            raise FitError(f"step '{step.name}': a name of letters, digits, underscores and spaces expected")
        if not step.adds:
            raise FitError(f"step '{step.name}' adds no term")
        if step.over and step.over not in before:
            raise FitError(
                f"step '{step.name}' is over '{step.over}', which no step before it is called{did_you_mean(step.over, list(before))}"
            )
        if step.over and before[step.over].optional and not step.optional:
            raise FitError(
                f"step '{step.name}' is over '{step.over}', which is optional; then it must be optional, too"
            )
        before[step.name] = step
