"""Which human responses are asked about, and the ladder of models decided for each before any was fitted."""

from collections.abc import Iterator
from dataclasses import dataclass

Terms = tuple[str, ...]
SURPRISAL = ("surprisal_bits", "surprisal_bits_lag1")
ACTIVITY = ("sparsity_energy99", "adjustment_prev")
# Which way raw amplitudes should move with a term; decided before any model was fitted.
DIRECTIONS = {
    ("n400", "surprisal_bits"): "negative",
    ("n400", "cloze"): "positive",
    ("p600", "surprisal_bits"): "positive",
}


@dataclass(frozen=True)
class Question:
    """One response of one data set, with the models' controls and random part decided in advance.

    `fold` is the column whose levels stay together when models are compared on held-out rows.
    """

    name: str
    target: str
    response: str
    controls: Terms
    random: str
    fold: str
    weights: str | None = None

    @property
    def component(self) -> str:
        """Response without its unit: the family of tests."""
        return self.response.removesuffix("_uv")


_WORD = ("length", "zipf_frequency", "position")
QUESTIONS = {
    question.name: question
    for question in (
        Question("devarda2023_p600", "devarda2023", "p600_uv", _WORD, "(1 | sentence)", "sentence", "n_trials"),
        Question(
            "devarda2023_p600_over_n400", "devarda2023", "p600_uv", (*_WORD, "n400_uv"), "(1 | sentence)",
            "sentence", "n_trials",
        ),
        Question(
            "nieuwland2018_n400", "nieuwland2018", "n400_uv", _WORD,
            "(1 | subject) + (1 | item) + (1 | stimulus)", "item",
        ),
        Question(
            "frank2015_n400", "frank2015", "n400_uv", ("baseline_uv", *_WORD),
            "(1 | subject) + (1 | sentence) + (1 | item)", "sentence",
        ),
    )
}  # fmt: skip


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
