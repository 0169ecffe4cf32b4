"""What a declaration of a measure holds.

To add a measure, declare it at its column's place (`activity` where it is measured in every layer, `tokens`, `words`, `layers` by word and layer) and
compute it under that name in the file that its `Origin` names; nothing else is to be told. What is declared and not
computed, or computed and not declared, is an error (`in_order`). ``python docs/make_measures.py`` writes the page.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, TypeVar

T = TypeVar("T")


class Origin(Enum):
    """What a measure is made from; the value is the file that computes it."""

    TEXT = "instrument/frames.py"
    PREDICTION = "instrument/information.py"  # made at the position before the token
    MASKED = "instrument/masked.py"  # of a masked model, in place of predictions
    BORDERS = "instrument/frames.py: predictions before and after the token"
    CONTRIBUTIONS = "instrument/activity.py and, compiled, instrument/activity_cpu.py"
    CUTOFFS = "instrument/activity.py: activations and calibrated cut-offs"
    STREAM = "instrument/lens.py"  # by layer, on request
    SIMILARITY = "instrument/similarity.py"
    ATTENTION = "models/attention.py"  # by layer, on request
    POLICY = "instrument/under_policy.py"  # not in a dense trace
    WHOLE = "instrument/under_policy.py: of what attention read, too"  # under a policy whose scope is all


UNDER_POLICY = (Origin.POLICY, Origin.WHOLE)


class Publication(NamedTuple):
    """A publication: as a text cites it, and in full."""

    short: str
    full: str


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a token, a token's layer or a word.

    Attributes
    ----------
    name : str
        Its column.
    origin : Origin
        What it is made from, and so where it is computed.
    unit : str
        As the manifest records it.
    label : str
        A few words for axes, tables and sentences.
    meaning, formula : str
        What it says, and how it is computed.
    word_rule : str
        How the values of a word's tokens become the word's: ``sum``, ``mean``, ``first``, ``last``, ``any``; empty
        where the value belongs to the word itself.
    low, high : float
        The range of a token's value.
    dtype : str
        ``float``, ``int`` or ``bool``; an ``int`` or ``bool`` may be missing, too.
    required : bool
        Whether a table that lacks the column is refused.
    of_prefix : bool
        Compares with the prefix, and is not defined for tokens of the prefix that a policy leaves dense.
    lags : bool
        Whether the words table also has the values of the words before.
    main : bool
        One of the few that reports show, and analyses of epochs take, unasked.
    shown_unit : str, optional
        The unit on axes, where it is another than `unit`.
    in_methods : str
        What a Methods section says behind the label, in parentheses.
    source : Publication, optional
        Whose measure it is.
    """

    name: str
    origin: Origin
    unit: str
    label: str
    meaning: str
    formula: str
    word_rule: Literal["sum", "mean", "first", "last", "any", ""] = ""
    low: float = -math.inf
    high: float = math.inf
    dtype: Literal["float", "int", "bool"] = "float"
    required: bool = False
    of_prefix: bool = False
    lags: bool = True
    main: bool = False
    shown_unit: str | None = None
    in_methods: str = ""
    source: Publication | None = None

    @property
    def axis_unit(self) -> str:
        """The unit on axes, with true dashes and minus signs."""
        unit = self.unit if self.shown_unit is None else self.shown_unit
        return unit.replace(" - ", " − ").replace("0-1", "0–1")

    @property
    def cited(self) -> str:
        """The label with what a Methods section says of it and whom it cites."""
        behind = [self.in_methods, self.source.short if self.source else ""]
        return f"{self.label} ({'; '.join(part for part in behind if part)})"


def in_order(found: Mapping[str, T], names: Iterable[str]) -> list[T]:
    """Return what was computed in the order of the declared names.

    Raises
    ------
    LookupError
        If a declared measure was not computed, or one was computed that is not declared.
    """
    declared = list(names)
    if found.keys() != set(declared):
        raise LookupError(
            f"measures declared and not computed: {sorted(set(declared) - found.keys())}; "
            f"computed and not declared: {sorted(found.keys() - set(declared))}"
        )
    return [found[name] for name in declared]
