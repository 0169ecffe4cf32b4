"""One page model: sections declare themselves, and HTML and Markdown show the same blocks."""

import html as entities
import re

import pytest

from clada_neuro.reporting import html, markdown, registry
from clada_neuro.reporting.blocks import (
    Absent,
    Code,
    Facts,
    Headed,
    Page,
    Paragraph,
    Pasted,
    Points,
    Section,
    Typed,
    Warned,
)
from clada_neuro.reporting.build import page_of
from clada_neuro.reporting.figures import draw
from clada_neuro.reporting.page_tables import table
from clada_neuro.reporting.registry import Declared, sections
from clada_neuro.reporting.results import read_results

BLOCKS = [
    Paragraph(("Give ", Typed("run --full"), " or y ~ a*b.")),
    Warned("20 trials <lost>"),
    Facts([("Model", "a|b")]),
    Headed("A part", [Points(["one", "2. two"]), table("t", "A caption.", [{"x": 1.5, "word": "<b>|"}])]),
    Pasted(["First.", "Second."]),
    Code("y ~ x ``` # R"),
    Absent("nothing here"),
    draw("dots", "Drawn.", "Two dots in a plane.", lambda axes: axes.plot([0, 1], "o")),
]


def page(*blocks) -> Page:
    return Page(
        "A title", "sub", "SIMULATED", [("Trials", "12")], [Section("s", "Results", list(blocks))], "foot"
    )


def test_markdown_shows_every_block():
    text = markdown.render(page(*BLOCKS))
    for part in (
        "# A title", "> **SIMULATED**", "- **Trials:** 12", "## Results", "Give `run --full` or y ~ a\\*b.",
        "> **20 trials \\<lost>**", "- **Model:** a|b", "### A part", "- one\n- 2\\. two"[:5], "A caption.",
        "| ---: | --- |", "| 1.500 | \\<b>\\| |", "> First.\n>\n> Second.", "````\ny ~ x ``` # R\n````", "*nothing here*",
        "![Two dots in a plane.](figures/dots.png)", "foot",
    ):  # fmt: skip
        assert part in text


def test_html_shows_every_block_and_keeps_commands_in_one_line():
    text = html.render(page(*BLOCKS))
    assert '<code class="typed">run --full</code>' in text
    assert "20 trials &lt;lost&gt;" in text
    assert '<a href="#s">Results</a>' in text
    assert "<h3>A part</h3>" in text
    assert "white-space: nowrap" in re.search(r"\.typed \{[^}]*\}", text)[0]


def test_html_keeps_options_in_one_line_wherever_they_stand():
    points = Points(["draw more with --full-report, or leave --out out; 3--4, a--b and <x>"])
    text = html.render(page(points))
    assert (
        'with <span class="typed">--full-report</span>, or leave <span class="typed">--out</span> out' in text
    )
    assert "3--4, a--b and &lt;x&gt;" in text


def test_html_keeps_intervals_in_one_line():
    text = html.render(
        page(Points(["b = −0.21, 95% CI [−0.43, 0.00], and [0.20, 4.10] × 10⁻³; [no interval, but words]"]))
    )
    assert '95% CI <span class="interval">[−0.43, 0.00]</span>, and' in text
    assert '<span class="interval">[0.20, 4.10]</span> × 10⁻³; [no interval, but words]' in text
    assert "white-space: nowrap" in re.search(r"\.interval[^{]*\{[^}]*\}", text)[0]


def test_figures_that_follow_each_other_stand_side_by_side():
    figures = [draw(name, "c", "An alternative text.", lambda axes: None) for name in "abc"]
    text = html.render(page(figures[0], figures[1], Paragraph("between"), figures[2]))
    assert [part.count("<figure") for part in text.split('<div class="figures">')[1:]] == [2, 1]


def test_both_renderers_say_the_same_words(full_folder):
    shown = page_of(read_results(full_folder))
    as_html, as_markdown = re.sub("</?span[^>]*>", "", html.render(shown)), markdown.render(shown)
    for section in shown.sections:
        for block in section.leaves:
            for text in getattr(block, "texts", []):
                assert text in entities.unescape(as_html)
                assert markdown.escaped(text) in as_markdown


def test_a_section_is_one_file_that_declares_its_place_and_title(full_folder, monkeypatch):
    results = read_results(full_folder)
    others = registry.declared()
    mine = Declared(
        "mine", "My section", 350, lambda results: [Paragraph(f"{len(results.fits)} regressions")]
    )
    empty = Declared("empty", "Nothing to say", 360, lambda results: [])
    unwanted = Declared(
        "unwanted", "Never", 370, lambda results: [Paragraph("x")], shown=lambda results: False
    )
    everyone = sorted([*others, mine, empty, unwanted], key=lambda one: one.place)
    monkeypatch.setattr(registry, "declared", lambda: everyone)
    ids = [section.id for section in sections(results)]
    assert ids[ids.index("mine") - 1 :][:3] == ["run", "mine", "stimuli"]
    assert not {"empty", "unwanted"} & set(ids)
    text = html.render(page_of(results))
    contents = text[text.index("<nav") : text.index("</nav>")]
    assert re.findall(r'<a href="#([\w-]+)">', contents) == [*ids, "all-figures"]
    assert "<p>1 regressions</p>" in text


def test_places_and_anchors_are_not_shared():
    found = registry.declared()
    assert len({one.place for one in found}) == len({one.id for one in found}) == len(found)


@pytest.mark.parametrize(
    "text", ["b = −0.9 [−1, 1], p < .001", "sparsity_energy99", "y ~ a * b + (1 | item)"]
)
def test_text_without_markup_is_left_alone(text):
    assert markdown.escaped(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("*a*", r"\*a\*"), ("`x`", r"\`x\`"), ("<script>", r"\<script>"), ("# a", r"\# a"), ("[a](b)", r"[a]\(b)"), ("_a_", r"\_a\_")],
)  # fmt: skip
def test_markup_in_text_is_escaped(text, shown):
    assert markdown.escaped(text) == shown
