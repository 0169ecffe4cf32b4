"""Which human responses are asked about, and the ladder of models decided for each before any was fitted.

The questions stand in a TOML file, by default ``data/analyses/human.toml``.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from clada_neuro.artifacts import package_data
from clada_neuro.errors import DataError, did_you_mean

Terms = tuple[str, ...]
SURPRISAL = ("surprisal_bits", "surprisal_bits_lag1")
ACTIVITY = ("sparsity_energy99", "adjustment_prev")
# CLADA beside the controls that take its load out, draw it at random and turn it round.
POLICIES = ("clada", "no-load", "random-load", "reversed-load")
DONE, EVENT = "ffn_sparsity", "reanalysis_event"


@dataclass(frozen=True)
class Question:
    """One response of one data set, with the models' controls and random part decided in advance.

    `random` holds the random intercepts. Where `by_subject` is true, subjects also have slopes of surprisal, sparsity
    and adjustment, as far as the reduction ladder keeps them. `fold` is the column whose levels stay together when
    models are compared on held-out rows. `directions` registers which way raw amplitudes should move with a term.
    `bootstrap` counts the replicates that give the interval of a product's ΔR² and its p under the null.
    """

    name: str
    target: str
    response: str
    controls: Terms
    random: str
    fold: str
    weights: str | None = None
    by_subject: bool = False
    directions: Mapping[str, str] = field(default_factory=dict)
    bootstrap: int = 0

    @property
    def component(self) -> str:
        """Response without its unit: the family of tests."""
        return self.response.removesuffix("_uv")

    @property
    def fullest(self) -> str:
        """The formula with every main effect and every slope by subject, from which the random part is reduced."""
        slopes = " + ".join(["1", SURPRISAL[0], *ACTIVITY])
        random = (
            self.random.replace("(1 | subject)", f"({slopes} | subject)") if self.by_subject else self.random
        )
        return f"{self.response} ~ {' + '.join([*self.controls, *SURPRISAL, *ACTIVITY])} + {random}"


@dataclass(frozen=True)
class Specified:
    """The human analysis as it was decided in advance."""

    title: str
    questions: Mapping[str, Question]
    language_models: Terms
    folds: int

    def named(self, names: Terms) -> list[Question]:
        """Return questions by name, all of them without any.

        Raises
        ------
        DataError
            For a name that is not one.
        """
        for name in names:
            if name not in self.questions:
                hint, known = did_you_mean(name, list(self.questions)), ", ".join(self.questions)
                raise DataError(f"no question '{name}'{hint}; there are {known}")
        return [self.questions[name] for name in names or self.questions]


def read_questions(path: str | Path | None = None) -> Specified:
    """Read a pre-specified human analysis, by default the shipped one.

    Raises
    ------
    DataError
        When the file is missing, is not TOML, or has an unknown or missing entry.
    """
    path = Path(path or package_data("analyses", "human.toml"))
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        questions = [_question(entry) for entry in document["question"]]
        return Specified(
            document["title"],
            {question.name: question for question in questions},
            tuple(document.get("language_models", ())),
            int(document.get("folds", 10)),
        )
    except FileNotFoundError:
        raise DataError(f"no analysis file at '{path}'") from None
    except KeyError as error:
        raise DataError(
            f"analysis file '{path}' lacks {error}; data/analyses/human.toml shows what it holds"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise DataError(f"analysis file '{path}' cannot be read: {error}") from error


def _question(entry: dict[str, Any]) -> Question:
    known = [part.name for part in fields(Question)]
    for name in entry:
        if name not in known:
            raise DataError(f"[[question]]: unknown entry '{name}'{did_you_mean(name, known)}")
    question = Question(**{**entry, "controls": tuple(entry["controls"])})
    terms = [
        term
        for step in (*steps(question.controls, True), event_step(question.controls))
        for term in step.added
    ]
    for term, direction in question.directions.items():
        if term not in terms:
            raise DataError(
                f"question '{question.name}': direction of '{term}' given, which no model adds{did_you_mean(term, terms)}"
            )
        if direction not in ("negative", "positive"):
            raise DataError(
                f"question '{question.name}': direction '{direction}' of {term} given, 'negative' or 'positive' expected"
            )
    return question


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


def steps(controls: Terms, cloze: bool) -> Iterator[Step]:
    """Give the rungs of the ladder, and those with cloze as competitor where it was measured."""
    surprisal = (*controls, *SURPRISAL)
    yield Step("surprisal", controls, surprisal)
    for activity in ACTIVITY:
        main = (*surprisal, activity)
        curved = (*main, "I(surprisal_bits ** 2)", f"I({activity} ** 2)")
        yield Step(activity, surprisal, main)
        yield Step(f"squares with {activity}", main, curved)
        yield Step(f"surprisal x {activity}", curved, (*curved, f"surprisal_bits:{activity}"))
    if cloze:
        yield Step("cloze", controls, (*controls, "cloze"))
        yield Step("surprisal beyond cloze", (*controls, "cloze"), (*controls, "cloze", *SURPRISAL))
        yield Step("cloze beyond surprisal", surprisal, (*surprisal, "cloze"))


def policy_steps(controls: Terms) -> Iterator[Step]:
    """Give the exploratory rungs under a policy: surprisal, then each thing the policy did, beyond surprisal."""
    surprisal = (*controls, *SURPRISAL)
    yield Step("surprisal", controls, surprisal)
    for term in (*ACTIVITY, DONE):
        yield Step(term, surprisal, (*surprisal, term))


def event_step(controls: Terms) -> Step:
    """Give the rung that adds the reanalysis event to surprisal."""
    surprisal = (*controls, *SURPRISAL)
    return Step(EVENT, surprisal, (*surprisal, EVENT))
