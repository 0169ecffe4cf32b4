"""Write what declarations say, into ``docs/reference``: every table's columns, every benchmark, every data set.

python docs/make_tables.py
"""

from collections.abc import Iterator
from pathlib import Path

from clada_neuro.evaluation.tasks import TASKS
from clada_neuro.stimuli.registry import DataSet, registry
from clada_neuro.tables import TABLES, Schema

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


def data_sets() -> str:
    """Return the page of public data sets."""
    lines = [
        "# Data sets",
        "",
        "`clada-neuro run NAME`, `trace NAME`, `data fetch NAME`. Sets keep their own licences and are not part of the package.",
        "Columns of EEG, electrodes and windows are the set's own; what could not be checked against a paper is named.",
        "",
    ]
    for one in registry()[1].values():
        lines += [f"## `{one.name}`", "", f"{one.title}.", "", *_facts(one), ""]
    return "\n".join(lines)


def _facts(one: DataSet) -> Iterator[str]:
    windows = ", ".join(f"{name} {start} to {end} ms" for name, (start, end) in one.window_ms.items())
    facts = {
        "cite": one.citation,
        "licence": one.source.licence,
        "language": f"`{one.language}`",
        "windows": windows,
        "electrodes": ", ".join(one.roi),
        "reference": one.reference,
        "from word to word": f"{one.soa_ms} ms" if one.soa_ms else "",
        "not checked": ", ".join(one.unverified),
        "note": one.notes,
    }
    yield from (f"- {name}: {fact}" for name, fact in facts.items() if fact)


def _tables() -> Iterator[str]:
    for table in TABLES.values():
        yield from _table(table)


def _table(table: Schema) -> Iterator[str]:
    yield f"## `{table.name}`\n\nA row is one {', '.join(f'`{name}`' for name in table.key)}.\n"
    yield "| column | type | unit | meaning | |\n|---|---|---|---|---|"
    for one in table.columns:
        meaning = one.meaning.replace("|", "\\|")
        yield f"| `{one.name}` | {one.dtype} | {one.unit} | {meaning} | {'' if one.required else 'where it applies'} |"
    yield ""


def write() -> None:
    """Write the pages."""
    (PLACE / "tables.md").write_text(page(), encoding="utf-8")
    (PLACE / "tasks.md").write_text(tasks(), encoding="utf-8")
    (PLACE / "data_sets.md").write_text(data_sets(), encoding="utf-8")


if __name__ == "__main__":
    write()
