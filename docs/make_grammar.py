"""Write ``docs/reference/analysis_file.md``: the entries of analysis files, as the code that reads them declares them.

python docs/make_grammar.py
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from clada_neuro.stats import analysis_file
from clada_neuro.stats.layers.settings import LayerSettings
from clada_neuro.stats.specification import (
    Analysis,
    EpochsSpecification,
    ModelSpecification,
    SynergySpecification,
)
from clada_neuro.stats.steps import LadderSpecification, StepSpecification

PAGE = Path(__file__).parent / "reference" / "analysis_file.md"
# What the reader assembles from tables of their own, which have sections of their own here.
ASSEMBLED = {"models", "synergy", "epochs", "ladders", "steps"}
SECTIONS = {
    "At the top": Analysis,
    "`[[model]]`, one for each regression": ModelSpecification,
    "`[synergy]`": SynergySpecification,
    "`[epochs]`, how amplitudes are measured": EpochsSpecification,
    "`[[ladder]]`, nested models of one response (`clada-neuro synergy human`)": LadderSpecification,
    "`[[step]]`, what each ladder climbs": StepSpecification,
}
IN_TOML = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true, false",
    "tuple of str": "list of texts",
    "pair of str": "list of two texts",
    "pair of float": "[start, end]",
    "mapping": "table",
    "dict": "table",
}
OTHERS = {"Layers: `clada-neuro depth --settings FILE`": LayerSettings}


def page() -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Analysis files",
            "",
            "`clada-neuro run … --analysis analysis.toml`. It is followed to the letter, and the report names every departure.",
            "The shipped ones are in `data/analyses/`; an unknown or misspelt entry is refused with the one that was meant.",
            "",
            *(f"{said}\n\n```toml\n{toml}\n```\n" for said, toml in examples().items()),
            *_parts(SECTIONS),
            "# Other files of decisions",
            "",
            "`data/analyses/depth.toml` is read in the same way.",
            "",
            *_parts(OTHERS),
        ]
    )


def examples() -> dict[str, str]:
    """Return the examples in the docstring of the module that reads analysis files, by what is said before each."""
    parts = re.split(r"^([A-Z].+)\n", str(analysis_file.__doc__).strip(), flags=re.MULTILINE)[1:]
    return {said.replace("``", "`"): toml.strip() for said, toml in zip(parts[::2], parts[1::2], strict=True)}


def described(kind: Any) -> dict[str, tuple[str, str]]:
    """Return each entry's type and meaning, from the section Attributes of its class's docstring."""
    section = str(inspect.getdoc(kind)).partition("Attributes\n----------\n")[2].split("\n\n")[0]
    found = {}
    for name, what, meaning in re.findall(r"^(\w+) : (.+)\n((?:    .+\n?)+)", section, flags=re.MULTILINE):
        said = (
            " ".join(meaning.split()).replace("None for", "left out,").replace("None when", "left out when")
        )
        found[name] = (IN_TOML.get(what, what.strip("{}")), said)
    return found


def entries(kind: Any) -> list[tuple[str, str]]:
    """Return the names of a table's entries, with their default as TOML writes it, or "needed"."""
    return [(part.name, _default(part)) for part in fields(kind) if part.name not in ASSEMBLED]


def _default(part: Any) -> str:
    if part.default is MISSING:
        return "needed" if part.default_factory is MISSING else ""
    if part.default in (None, "", ()):
        return ""
    return f"`{str(part.default).lower() if isinstance(part.default, bool) else part.default}`"


def _parts(sections: dict[str, Any]) -> Iterator[str]:
    for title, kind in sections.items():
        meanings = described(kind)
        yield f"## {title}\n\n| entry | type | without it | meaning |\n|---|---|---|---|"
        for name, default in entries(kind):
            what, meaning = meanings[name]
            cells = (text.replace("``", "`").replace("|", "\\|") for text in (what, default, meaning))
            yield f"| `{name}` | {' | '.join(cells)} |"
        yield ""


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
