"""The pages of the reference that are made from declarations say all of them."""

import importlib
from dataclasses import fields
from pathlib import Path

import pytest

from clada_neuro.stats import analysis_file
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.specification import Analysis
from clada_neuro.stimuli.registry import registry
from clada_neuro.tables import TABLES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def made(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return lambda name: importlib.import_module(name)


def test_every_entry_of_an_analysis_file_is_described(made):
    grammar = made("make_grammar")
    for kind in (*grammar.SECTIONS.values(), *grammar.OTHERS.values()):
        described = grammar.described(kind)
        taken = {part.name for part in fields(kind)} - grammar.ASSEMBLED
        assert set(described) >= taken, f"{kind.__name__} has entries that no one described"
        assert set(described) <= taken | grammar.ASSEMBLED, f"{kind.__name__} describes what it does not take"
        assert all(what and meaning for what, meaning in described.values())


def test_every_kind_of_table_that_the_reader_builds_has_its_section(made):
    built = {value for name, value in vars(analysis_file).items() if name.endswith("Specification")}
    assert built | {Analysis} == set(made("make_grammar").SECTIONS.values())


def test_an_entry_without_a_description_would_fail(made):
    from dataclasses import dataclass

    @dataclass
    class Undescribed:
        """A table.

        Attributes
        ----------
        known : str
            What is known.
        """

        known: str
        unknown: str = ""

    grammar = made("make_grammar")
    assert set(grammar.described(Undescribed)) == {"known"}
    with pytest.raises(KeyError, match="unknown"):
        list(grammar._parts({"Here": Undescribed}))


def test_the_examples_of_the_page_are_analyses(made, tmp_path):
    path = tmp_path / "analysis.toml"
    found = []
    for example in made("make_grammar").examples().values():
        path.write_text(example if "title" in example else f'title = "Ladders"\n{example}', encoding="utf-8")
        found.append(read_analysis(path))
    assert [len(one.models) for one in found] == [2, 0]
    assert [len(one.ladders) for one in found] == [0, 1]
    assert found[0].synergy is not None


def test_every_column_and_every_data_set_has_its_line(made):
    tables = made("make_tables")
    page = tables.page()
    for table in TABLES.values():
        section = page.split(f"## `{table.name}`")[1].split("\n## ")[0]
        assert [one.name for one in table.columns if f"| `{one.name}` |" not in section] == []
    sets = tables.data_sets()
    for one in registry()[1].values():
        section = sets.split(f"## `{one.name}`\n")[1].split("\n## ")[0]
        assert one.citation in section
        assert one.source.licence in section
        assert all(word in section for word in one.unverified)
