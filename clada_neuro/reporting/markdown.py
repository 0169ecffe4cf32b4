"""A page as Markdown (CommonMark with tables), figures as links to their files."""

import re
from collections.abc import Iterable

import pandas as pd

from clada_neuro.reporting.blocks import (
    Absent,
    Block,
    Code,
    Facts,
    Headed,
    Inline,
    Page,
    Paragraph,
    Pasted,
    Points,
    Shading,
    Table,
    Typed,
    Warned,
    inline,
)
from clada_neuro.reporting.figures import Figure

# What would start emphasis, code, a tag or a link; a formula's ``a * b`` and an underscore inside a word start none.
_SPECIAL = re.compile(r"(?<!\s)\*|\*(?!\s)|`|<(?=[\w/!?])|(?<=\])\(|(?<!\w)_|_(?!\w)|\\")
_AT_START = re.compile(r"^(\s*)([#>+-]|\d+[.)])(?=\s)")


def render(page: Page, figures: str = "figures") -> str:
    """Return a page as Markdown; `figures` is the folder of its figures, relative to it."""
    head = [f"# {escaped(page.title)}", escaped(page.subtitle)]
    if page.warning:
        head.append(f"> **{escaped(page.warning)}**")
    parts = [*head, _facts(page.glance)]
    for section in page.sections:
        parts += [f"## {escaped(section.title)}", *_all(section.blocks, figures)]
    return "\n\n".join(part for part in [*parts, "---", _text(page.footer)] if part) + "\n"


def table(frame: pd.DataFrame, header: Iterable[str] | None = None, right: Iterable[bool] = ()) -> str:
    """Return a frame of texts as a table."""
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    aligned = ["---:" if flush else "---" for flush in right] or ["---"] * frame.shape[1]
    names = [_cell(name) for name in (frame.columns if header is None else header)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [names, aligned, *rows])


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _AT_START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", text))


def _all(blocks: list[Block], figures: str, level: int = 3) -> list[str]:
    return [_block(block, figures, level) for block in blocks]


def _block(block: Block, figures: str, level: int) -> str:
    match block:
        case Headed():
            return "\n\n".join(
                [f"{'#' * level} {escaped(block.heading)}", *_all(block.blocks, figures, level + 1)]
            )
        case Paragraph():
            return _text(block.text)
        case Pasted():
            return "\n>\n".join(f"> {escaped(text)}" for text in block.texts)
        case Points():
            return "\n".join(f"- {escaped(text)}" for text in block.texts)
        case Facts():
            return _facts(block.pairs)
        case Warned():
            return f"> **{escaped(block.text)}**"
        case Absent():
            return f"*{_text(block.text)}*"
        case Code():
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", block.text)), default=0))
            return f"{fence}\n{block.text.rstrip()}\n{fence}"
        case Table():
            shown = table(block.shown.map(escaped), map(escaped, block.header), block.numeric)
            return f"{escaped(block.caption)}\n\n{shown}"
        case Figure():
            return f"![{_alt(block.alt)}]({figures}/{block.name}.png)\n\n{escaped(block.caption)}"
        case Shading():
            return _shading(block)


def _facts(pairs: list[tuple[str, str]]) -> str:
    return "\n".join(f"- **{escaped(name)}:** {escaped(value)}" for name, value in pairs)


def _text(text: Inline) -> str:
    return "".join(
        f"`{piece.text}`" if isinstance(piece, Typed) else escaped(piece) for piece in inline(text)
    )


def _alt(text: str) -> str:
    return escaped(text).replace("[", r"\[").replace("]", r"\]")


def _shading(shading: Shading) -> str:
    """Return each sentence with the value after each word, critical words in bold."""
    lines = []
    for sentence in shading.sentences:
        words = [
            f"**{escaped(word.text)}** ({word.value})"
            if word.critical
            else f"{escaped(word.text)} ({word.value})"
            for word in sentence.words
        ]
        rest = f" … ({sentence.cut} more words)" if sentence.cut else ""
        lines.append(f"- {escaped(sentence.label)}: {' '.join(words)}{rest}")
    return "\n".join(lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
