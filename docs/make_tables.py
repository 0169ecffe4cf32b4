"""Write ``docs/reference/tables.md``: every table's columns as they are declared.

python docs/make_tables.py
"""

from collections.abc import Iterator
from pathlib import Path

from clada_neuro.tables import TABLES, Table

PAGE = Path(__file__).parent / "reference" / "tables.md"


def page() -> str:
    """Return the page."""
    return "\n".join(["# Tables", "", "Your own columns are always kept beside these.", "", *_tables()])


def _tables() -> Iterator[str]:
    for table in TABLES.values():
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield f"## `{table.name}`\n\nA row is one {', '.join(f'`{name}`' for name in table.key)}.\n"
    yield "| column | type | unit | meaning | |\n|---|---|---|---|---|"
    for one in table.columns:
        meaning = one.meaning.replace("|", "\\|")
        yield f"| `{one.name}` | {one.dtype} | {one.unit} | {meaning} | {'' if one.required else 'where it applies'} |"
    yield ""


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
