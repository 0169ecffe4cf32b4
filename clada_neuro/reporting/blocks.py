"""What a page is made of: sections of blocks, which every renderer (`html`, `markdown`) knows how to show."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias, Union

import pandas as pd

from clada_neuro.reporting.figures import Figure

_HEADER = {
    "n_obs": "rows",
    "n_dropped": "missing",
    "loglik": "log-likelihood",
    "aic": "AIC",
    "sigma": "residual SD",
    "r2_marginal": "R² marginal",
    "r2_conditional": "R² conditional",
    "value_uv": "stated (µV)",
    "ci_low": "95 % low",
    "ci_high": "95 % high",
    "sd": "SD",
    "tmin_ms": "from (ms)",
    "tmax_ms": "to (ms)",
    "time_ms": "time (ms)",
    "vif": "VIF",
}


@dataclass(frozen=True)
class Typed:
    """Words as they are typed, such as a command: no line breaks inside."""

    text: str


Inline = str | tuple[str | Typed, ...]


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    kind: ClassVar[str] = "paragraph"
    text: Inline


@dataclass(frozen=True)
class Pasted:
    """Paragraphs to be copied into a paper."""

    kind: ClassVar[str] = "pasted"
    texts: list[str]


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    kind: ClassVar[str] = "points"
    texts: list[str]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    kind: ClassVar[str] = "facts"
    pairs: list[tuple[str, str]]


@dataclass(frozen=True)
class Warned:
    """What a reader must see first."""

    kind: ClassVar[str] = "warned"
    text: str


@dataclass(frozen=True)
class Absent:
    """What could stand here and does not, and why."""

    kind: ClassVar[str] = "absent"
    text: Inline


@dataclass(frozen=True)
class Code:
    """Text of a fixed width."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Table:
    """A captioned table: ``frame`` holds full precision, ``shown`` what the page prints."""

    kind: ClassVar[str] = "table"
    name: str
    caption: str
    frame: pd.DataFrame
    shown: pd.DataFrame

    @property
    def numeric(self) -> list[bool]:
        """Whether each shown column holds numbers (set flush right)."""
        return [name not in self.frame or _is_number(self.frame[name]) for name in self.shown]

    @property
    def header(self) -> list[str]:
        """The shown columns' names in words."""
        return [_HEADER.get(name, name.replace("_", " ")) for name in map(str, self.shown)]


@dataclass(frozen=True)
class ShownWord:
    """One word with its printed value and colours; `critical` words are underlined."""

    text: str
    value: str
    background: str
    ink: str
    critical: bool


@dataclass(frozen=True)
class Sentence:
    """One presented text shaded by one measure; `cut` counts words left out at the end."""

    label: str
    words: list[ShownWord]
    cut: int


@dataclass(frozen=True)
class Shading:
    """Sentences shaded by a measure, with the ends of its colour scale."""

    kind: ClassVar[str] = "shading"
    name: str
    label: str
    sentences: list[Sentence]
    low: str
    high: str
    gradient: str


# Not joined by |, which takes no name of a class that follows.
Block: TypeAlias = Union[
    Paragraph, Pasted, Points, Facts, Warned, Absent, Code, Table, Figure, Shading, "Headed"
]


@dataclass(frozen=True)
class Headed:
    """Blocks under a heading within a section."""

    kind: ClassVar[str] = "part"
    heading: str
    blocks: list[Block]


@dataclass(frozen=True)
class Section:
    """One section of a page; `id` is its anchor."""

    id: str
    title: str
    blocks: list[Block]

    @property
    def leaves(self) -> list[Block]:
        """Every block in order, those of parts among them."""
        return [leaf for block in self.blocks for leaf in _leaves(block)]


@dataclass(frozen=True)
class Page:
    """A title with what stands under it, and sections in reading order; their titles are its contents.

    Attributes
    ----------
    warning : str
        What holds for the whole page; empty for none.
    glance : list of pairs
        The few facts at its head.
    """

    title: str
    subtitle: str
    warning: str
    glance: list[tuple[str, str]]
    sections: list[Section]
    footer: Inline

    @property
    def figures(self) -> list[Figure]:
        """Every figure of the page."""
        return [leaf for section in self.sections for leaf in section.leaves if isinstance(leaf, Figure)]

    @property
    def tables(self) -> list[Table]:
        """Every table of the page."""
        return [leaf for section in self.sections for leaf in section.leaves if isinstance(leaf, Table)]


def inline(text: Inline) -> tuple[str | Typed, ...]:
    """Return text as its pieces."""
    return (text,) if isinstance(text, str) else text


def _leaves(block: Block) -> list[Block]:
    return [leaf for part in block.blocks for leaf in _leaves(part)] if isinstance(block, Headed) else [block]


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
