"""Several conditions of subject averages: R's analysis of variance and Holm's p, files and folders, and the command."""

import json
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from command_line import clada

from clada_neuro.artifacts import read_json
from clada_neuro.erp.components import Component
from clada_neuro.erp.conditions import omnibus, pairwise, read_conditions, read_subjects, table
from clada_neuro.errors import AlignmentError, DataError

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "within_anova_reference.json").read_text())
CZ = Component("n400", 0.1, 0.2, ("Cz",), -1)


def flat(level_uv: float, subject: str | None = None, comment: str = "") -> mne.EvokedArray:
    info = mne.create_info(["Cz", "Pz"], 100.0, "eeg")
    info.set_montage("colin27_1020")
    if subject:
        info["subject_info"] = {"his_id": subject}
    wave = 1e-7 * np.sin(2 * np.pi * np.arange(-10, 31) / 5)  # of no weight in a window of whole cycles
    return mne.EvokedArray(1e-6 * level_uv + np.tile(wave, (2, 1)), info, tmin=-0.1, nave=30, comment=comment)


@pytest.fixture
def groups():
    return {
        name: [flat(level, f"s{number}", f"s{number}") for number, level in enumerate(column)]
        for name, column in zip("abcd", np.transpose(REFERENCE["y"]), strict=True)
    }


@pytest.fixture
def files(tmp_path, groups):
    """A file a condition, and a file a subject, whose averages do not say whose they are."""
    for name, evokeds in groups.items():
        mne.write_evokeds(tmp_path / f"{name}-ave.fif", evokeds, verbose="error")
    (tmp_path / "people").mkdir()
    for number, column in enumerate(REFERENCE["y"]):
        own = [flat(level, comment=name) for name, level in zip("abcd", column, strict=True)]
        mne.write_evokeds(tmp_path / "people" / f"p{number:02}-ave.fif", own, verbose="error")
    return tmp_path


def test_the_analysis_of_variance_and_the_differences_are_those_of_r(groups):
    measured, how = table(groups, [CZ])
    assert how == "subjects paired by name"
    found = omnibus(measured, CZ)
    assert (found.df1, found.df2, found.n) == (REFERENCE["df1"], REFERENCE["df2"], 14)
    assert (found.f, found.p) == pytest.approx((REFERENCE["f"], REFERENCE["p_gg"]), rel=1e-3)
    assert found.epsilon == pytest.approx(REFERENCE["epsilon"], abs=1e-4)
    pairs, holm = pairwise(groups, CZ)
    assert [f"{one.first}-{one.second}" for one in pairs] == REFERENCE["pairs"]
    assert [one.p for one in pairs] == pytest.approx(REFERENCE["p"], rel=5e-3)
    assert holm == pytest.approx(REFERENCE["p_holm"], rel=5e-3)


def test_files_and_folders_hold_the_same(files, groups):
    one = table(read_conditions({name: files / f"{name}-ave.fif" for name in groups}), [CZ])[0]
    people, how = table(read_subjects(files / "people"), [CZ])
    assert how == "subjects paired by name"
    assert people["n400_uv"].tolist() == pytest.approx(one["n400_uv"].tolist(), abs=1e-6)
    assert people["subject"].unique().tolist()[:2] == ["p00", "p01"]


def test_a_file_whose_averages_say_not_whose_they_are_is_not_paired_unless_told(files, capsys):
    for name in "ab":
        mne.write_evokeds(files / f"{name}-ave.fif", [flat(1.0, comment=name), flat(2.5, comment=name)],
                          overwrite=True, verbose="error")  # fmt: skip
    call = ("averages", *(f"{name}={files / f'{name}-ave.fif'}" for name in "ab"), "--out", files / "out")
    call += ("--window", "n400=100-200", "--roi", "n400=Cz")
    done = clada(capsys, *call)
    assert done.code == 2
    assert "say so with --in-order" in done.complaint
    assert not (files / "out").exists()


def test_a_subject_without_a_condition_and_a_file_with_several_are_named(files):
    mne.write_evokeds(files / "people" / "p99-ave.fif", [flat(1, comment="a")], verbose="error")
    with pytest.raises(
        DataError, match=r"'p99-ave.fif' holds the conditions a, other files of .* a, b, c, d"
    ):
        read_subjects(files / "people")
    with pytest.raises(DataError, match=r"holds 4 averages \(a, b, c, d\), one of condition 'x' expected"):
        read_conditions({"x": files / "people"})
    with pytest.raises(AlignmentError, match="subjects s3 are in only one of 'a' and 'b'"):
        table({"a": [flat(1, "s1"), flat(1, "s3")], "b": [flat(2, "s1")]}, [CZ])


def test_the_command_writes_tables_and_says_what_it_found(files, capsys):
    named = [f"{name}={files / f'{name}-ave.fif'}" for name in "abcd"]
    window = ("--window", "n400=100-200", "--roi", "n400=Cz")
    done = clada(capsys, "averages", *named, "--out", files / "out", *window)
    assert done.code == 0, done.err
    assert "n400, 4 conditions: F(3, 39) = " in done.out
    assert done.out.count("p (Holm)") == 6
    assert "p600 is left out: the averages cover -100 to 300 ms" in done.err
    rows = pd.read_csv(files / "out/differences.csv")
    assert rows["p_holm"].tolist() == pytest.approx(REFERENCE["p_holm"], rel=5e-3)
    assert len(pd.read_csv(files / "out/amplitudes.csv")) == 14 * 4
    assert pd.read_csv(files / "out/anova.csv")["epsilon"][0] == pytest.approx(REFERENCE["epsilon"], abs=1e-4)
    assert (files / "out/n400.png").is_file()
    clada(capsys, "averages", *named[:2], "--out", files / "out", *window)
    assert not (files / "out/anova.csv").exists()
    assert "subjects paired by name" in read_json(files / "out/manifest.json")["notes"]


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        (["a"], "'a' given, NAME=FILE expected"),
        (["a=a-ave.fif", "a=b-ave.fif"], "condition 'a' is given twice"),
        (["a=a-ave.fif"], "1 condition arrived (a)"),
        (["a=none-ave.fif", "b=b-ave.fif"], "evoked file 'none-ave.fif' does not exist"),
        (["empty"], "'empty' holds no averages; files that end in -ave.fif"),
    ],
)
def test_what_cannot_be_compared_is_said(files, capsys, monkeypatch, sources, told):
    (files / "empty").mkdir()
    monkeypatch.chdir(files)
    done = clada(
        capsys, "averages", *sources, "--out", files / "out", "--window", "n400=100-200", "--roi", "n400=Cz"
    )
    assert done.code == 2
    assert told in done.complaint
