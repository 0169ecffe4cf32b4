"""Write what declarations say: ``docs/reference/tables.md``, every table's columns, and ``tasks.md``, every benchmark.

python docs/make_tables.py
"""

from collections.abc import Iterator
from pathlib import Path

from clada_neuro.evaluation.tasks import TASKS
from clada_neuro.tables import TABLES, Table

PLACE = Path(__file__).parent / "reference"


def page() -> str:
    """Return the page of tables."""
    return "\n".join(["# Tables", "", "Your own columns are always kept beside these.", "", *_tables()])


def tasks() -> str:
    """Return the page of benchmark tasks."""
    lines = [
        "# Benchmarks",
        "",
        "`clada-neuro evaluate --task NAME`; prompts and scores are those of lm-evaluation-harness.",
        "",
    ]
    lines += ["| task | source | score | chance, % |", "|---|---|---|---|"]
    for task in TASKS.values():
        source = task.local.source.citation if task.local else f"`{task.hub.path}`" if task.hub else ""
        lines.append(f"| `{task.name}` | {source} | `{task.metric}` | {100 * task.chance:.1f} |")
    return "\n".join([*lines, ""])


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
    """Write both pages."""
    (PLACE / "tables.md").write_text(page(), encoding="utf-8")
    (PLACE / "tasks.md").write_text(tasks(), encoding="utf-8")


if __name__ == "__main__":
    write()
