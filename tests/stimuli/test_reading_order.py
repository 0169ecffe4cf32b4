"""A stimulus file is read in one direction: each step of the way is entered once, in its order, by whoever asks."""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clada_neuro.responses import trials
from clada_neuro.stimuli import assembly, critical, formats, merging, oddities, sources, texts, words
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.response_files import ResponseFiles

STEPS = [
    formats.read_stimuli, sources.opened, formats.lengthen, formats.find_columns, texts.texts_of, words.divide, critical.locate,
    merging.merge_regions, assembly.stimulus_table, oddities.oddities,
]  # fmt: skip


def entered(what: Callable[[], object], steps: list[Callable]) -> list[str]:
    """Return the names of the steps in the order in which they are called."""
    names, found = {step.__code__: step.__name__ for step in steps}, []
    before = sys.getprofile()
    sys.setprofile(
        lambda frame, event, _: found.append(names[frame.f_code]) if event == "call" and frame.f_code in names else None
    )  # fmt: skip
    try:
        what()
    finally:
        sys.setprofile(before)
    return found


@pytest.fixture
def desk(tmp_path) -> Path:
    rows = [
        (f"i{k}", side, f"The {noun} {verb} there", verb)
        for k, noun in enumerate(("cat", "dog", "boy"))
        for side, verb in (("a", "sat"), ("b", "ran"))
    ]
    frame = pd.DataFrame(rows, columns=["item", "condition", "sentence", "critical_word"])
    frame.to_csv(tmp_path / "s.csv", index=False)
    wide = pd.DataFrame(
        {"item": ["i0", "i1"], "near": ["A *cat* sat", "A *dog* ran"], "far": ["A *cup* sat", "A *pen* ran"]}
    )
    wide.to_csv(tmp_path / "wide.csv", index=False)
    answers = frame[["item", "condition"]].merge(pd.DataFrame({"subject": ["s1", "s2"]}), how="cross")
    answers.assign(n400_uv=range(len(answers))).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path


def test_a_file_is_read_step_by_step(desk):
    names = [step.__name__ for step in STEPS]
    assert entered(lambda: formats.read_stimuli(desk / "s.csv"), STEPS) == names
    wide = {"condition_columns": ["near", "far"]}
    assert entered(lambda: formats.read_stimuli(desk / "wide.csv", **wide), STEPS) == names


def test_a_target_reads_its_files_once(desk):
    found = entered(
        lambda: resolve_target(desk / "s.csv", ResponseFiles(desk / "t.csv")), [*STEPS, trials.read_trials]
    )
    assert found == [*(step.__name__ for step in STEPS), "read_trials"]
