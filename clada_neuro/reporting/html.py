"""A page as one self-contained HTML file: figures inlined, no script, no network; all text is escaped."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from clada_neuro.reporting.blocks import Block, Inline, Page, Typed, inline
from clada_neuro.reporting.figures import Figure

_HERE = Path(__file__).parent
_MANY = 4  # figures, from which on a page shows all of them at once, too
# Browsers break lines behind hyphens: an option such as --full-report would be cut.
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_INTERVAL = re.compile(r"\[[^][ ]+, [^][ ]+\]")


@dataclass(frozen=True)
class _Gallery:
    """Figures that follow each other, side by side where there is room."""

    kind: ClassVar[str] = "gallery"
    figures: list[Figure]


def render(page: Page) -> str:
    """Return a page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"arranged": _arranged, "inline": _inline}
    style = Markup((_HERE / "style.css").read_text(encoding="utf-8"))
    overview = page.figures if len(page.figures) >= _MANY else []
    return environment.get_template("template.html").render(page=page, style=style, overview=overview)


def _arranged(blocks: list[Block]) -> Iterator[Block | _Gallery]:
    for is_figure, found in groupby(blocks, lambda block: isinstance(block, Figure)):
        if is_figure:
            yield _Gallery([block for block in found if isinstance(block, Figure)])
        else:
            yield from found


def _inline(text: Inline) -> Markup:
    return Markup("").join(
        Markup('<code class="typed">{}</code>').format(piece.text)
        if isinstance(piece, Typed)
        else _escaped(piece)
        for piece in inline(text)
    )


def _escaped(text: str) -> Markup:
    """Return text as HTML in which neither options nor intervals are broken over lines."""
    whole = _OPTION.sub(r'<span class="typed">\g<0></span>', str(escape(text)))
    return Markup(_INTERVAL.sub(r'<span class="interval">\g<0></span>', whole))
