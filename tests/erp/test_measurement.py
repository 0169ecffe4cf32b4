"""What is measured in epochs: presets, an analysis file, and options on top of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import clada

from clada_neuro.cli.options import _windows
from clada_neuro.erp.components import N400, P600
from clada_neuro.erp.measurement import Measurement
from clada_neuro.errors import DataError, FitError
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.departures import departures
from clada_neuro.stats.specification import EpochsSpecification
from clada_neuro.study.asked import Asked
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.response_files import ResponseFiles
from clada_neuro.study.target import Target

RANDOM = "(1|subject) + (1|item) + (1|stimulus)"
NOTHING = {"window_ms": {}, "roi": {}}


@pytest.fixture(scope="module")
def desk(simulated, tmp_path_factory) -> Path:
    """A stimulus file, epochs of ten subjects, and the same epochs with a subtracted baseline."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "stimuli.csv").write_text(
        "item,condition,sentence,critical_word\n1,a,The dog barked loudly.,barked\n1,b,The dog meowed loudly.,meowed\n"
    )
    for name, baseline in (("raw", None), ("corrected", (None, 0))):
        (folder / name).mkdir()
        for subject, epochs in list(simulated.epochs.items())[:2]:
            copy = epochs.copy()
            if baseline:
                copy.apply_baseline(baseline, verbose="error")
            copy.save(folder / name / f"sub-{subject}_epo.fif", verbose="error")
    return folder


def analysis(folder: Path, *extra: str, formula: str = "n400_uv ~ surprisal_bits") -> Path:
    path = folder / "analysis.toml"
    path.write_text(f"title = 'T'\n{extra[0] if extra else ''}\n[[model]]\nname = 'm'\nformula = '{formula} + {RANDOM}'\n"
                    + "\n".join(extra[1:]))  # fmt: skip
    return path


def resolve(desk: Path, epochs: str = "raw", measured: EpochsSpecification | None = None, **asked) -> Target:
    files = ResponseFiles(epochs=desk / epochs, measured=measured)
    return resolve_target(desk / "stimuli.csv", files, Asked.of(**asked))


def test_presets_hold_where_nothing_is_said():
    assert Measurement.specified(["n400", "p600"], **NOTHING) == Measurement((N400, P600))


def test_milliseconds_become_seconds_and_named_electrodes_must_all_exist():
    made = Measurement.specified(
        ["n400"],
        window_ms={"n400": (250, 450)},
        roi={"n400": ("Cz", "Pz")},
        baseline="subtract",
        baseline_ms=(-100, 0),
        soa_ms=500,
    )
    (component,) = made.components
    assert (component.tmin, component.tmax, component.roi) == (0.25, 0.45, ("Cz", "Pz"))
    assert component.min_channels is None
    assert (made.baseline, made.baseline_window, made.soa) == ("subtract", (-0.1, 0.0), 0.5)


@pytest.mark.parametrize(
    ("names", "window_ms", "line"),
    [
        (["n400"], {"p600": (600, 900)}, "component 'p600' were given, but the analysis measures n400"),
        (["lan"], {"lan": (300, 400)}, "no preset for component 'lan'; give its window and electrodes"),
        (["n400", "p600"], {"n400": (300, 700)}, "overlap"),
    ],
)
def test_what_cannot_be_measured_is_said(names, window_ms, line):
    with pytest.raises(DataError, match=line):
        Measurement.specified(names, window_ms=window_ms, roi={})


@pytest.mark.parametrize(
    ("given", "window"),
    [
        ("n400=300-500", (300, 500)),
        ("n400=-100-50", (-100, 50)),
        ("n400=-200--100", (-200, -100)),
        ("n400=-112.5-0", (-112.5, 0)),
    ],
)
def test_a_window_may_lie_before_the_onset(given, window):
    assert _windows(None, None, (given,)) == {"n400": window}


def test_the_default_analysis_follows_the_baseline(desk):
    def formulas(**options) -> str:
        return " ".join(model.formula for model in resolve(desk, **options).analysis.models)

    assert "n400_baseline_uv" in formulas()
    assert "baseline" not in formulas(measured=EpochsSpecification(baseline="subtract"))
    assert "baseline" not in formulas(epochs="corrected")


def test_a_baseline_that_other_software_subtracted_is_no_covariate(desk):
    trials = pd.DataFrame(
        {
            "n400_baseline_uv": [1e-13, -2e-13, 0, 0],
            **dict.fromkeys(
                ("entropy_bits", "length", "zipf_frequency", "position", "surprisal_bits"), range(4)
            ),
            "subject": list("aabb"),
            "item": list("1212"),
            "stimulus": list("wxyz"),
        }
    )
    target, lines = resolve(desk, component="n400").suited_to(trials)
    assert "n400_baseline_uv has one value in all trials: left out of models and synergy" in lines
    assert "baseline" not in target.analysis.models[0].formula


def test_options_stand_above_the_analysis_and_are_departures(desk, tmp_path):
    table = "[epochs]\nwindow_ms = { n400 = [250, 450] }\nbaseline = 'subtract'\nsoa_ms = 500"
    path = analysis(tmp_path, "", table)
    as_specified = resolve(desk, analysis=path)
    assert as_specified.measurement.components[0].tmin == 0.25
    assert as_specified.measurement.soa == 0.5
    assert _departures(as_specified) == []
    given = EpochsSpecification(window_ms={"": (300, 500)}, baseline="none")
    changed = resolve(desk, analysis=path, measured=given)
    assert (changed.measurement.components[0].tmin, changed.measurement.baseline) == (0.3, "none")
    assert _departures(changed) == [
        "n400: window 300-500 ms used, 250-450 ms specified",
        "baseline 'none' used, 'subtract' specified",
    ]


def _departures(target: Target) -> list[str]:
    fitted = [{"name": model.name, "formula": model.formula} for model in target.analysis.models]
    return departures(target.specified, fitted, epochs=target.measured)


def test_the_window_of_an_analysis_is_used(desk, tmp_path):
    assert (
        resolve(desk, analysis=analysis(tmp_path, "window_ms = [200, 500]")).measurement.components[0].tmin
        == 0.2
    )
    more = f"[[model]]\nname = 'p'\nformula = 'p600_uv ~ surprisal_bits + {RANDOM}'"
    both = analysis(tmp_path, "window_ms = [200, 500]", more)
    with pytest.raises(DataError, match=r"one window, but n400, p600 are analyzed; write \[epochs\]"):
        resolve(desk, analysis=both)


def test_a_component_of_ones_own_has_its_window_and_electrodes_in_the_analysis(desk, tmp_path, capsys):
    table = "[epochs]\nwindow_ms = { lan = [300, 400] }\nroi = { lan = ['F7', 'FC5'] }"
    path = analysis(tmp_path, "", table, formula="lan_uv ~ surprisal_bits")
    (component,) = resolve(desk, analysis=path, component="lan").measurement.components
    assert (component.column, component.tmin, component.roi) == ("lan_uv", 0.3, ("F7", "FC5"))
    done = clada(
        capsys,
        "run",
        desk / "stimuli.csv",
        "--epochs",
        desk / "raw",
        "--analysis",
        path,
        "--component",
        "n400",
    )
    assert done.code == 2
    assert "no model of this analysis explains n400_uv" in done.complaint
    assert "its responses are lan_uv" in done.complaint


def test_an_amplitude_that_a_formula_needs_is_measured_too(desk, tmp_path):
    path = analysis(tmp_path, formula="p600_uv ~ n400_uv + p600_baseline_uv + surprisal_bits")
    assert [part.name for part in resolve(desk, analysis=path).measurement.components] == ["p600", "n400"]


@pytest.mark.parametrize(
    ("epochs", "baseline", "why"),
    [("corrected", None, "subtracted before the epochs were saved"), ("raw", "none", "asked for as 'none'")],
)
def test_a_formula_with_a_baseline_that_will_not_be_there_is_refused(desk, tmp_path, epochs, baseline, why):
    path = analysis(tmp_path, formula="n400_uv ~ n400_baseline_uv + surprisal_bits")
    given = EpochsSpecification(baseline=baseline) if baseline else None
    with pytest.raises(DataError, match=rf"names n400_baseline_uv, but .*{why}"):
        resolve(desk, epochs=epochs, analysis=path, measured=given)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("baseline = 'substract'", r"baseline 'substract' given.*did you mean 'subtract'"),
        ("window_ms = { n400 = [500, 300] }", r"window of n400: \[500, 300\] given"),
        ("roi = { n400 = 'Cz' }", "electrodes of n400: 'Cz' given, a list"),
        ("soa_ms = 0.5", "an SOA of 0.5 ms given"),
        ("window_ms = { n400 = [0.3, 0.5] }", "looks like seconds; give milliseconds, 300 to 500"),
        ("window_ms = { n400 = ['300', '500'] }", r"\[start, end\] in milliseconds expected"),
        ("baseline_ms = [-0.2, 0]", "baseline_ms: -0.2 to 0 ms given, which looks like seconds"),
        ("windows = 1", "unknown entry 'windows'"),
    ],
)
def test_a_wrong_entry_names_its_place(tmp_path, table, line):
    with pytest.raises(FitError, match=rf"analysis.toml, \[epochs\].*{line}"):
        read_analysis(analysis(tmp_path, "", f"[epochs]\n{table}"))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--window", "n400=early"], "'n400=early' given, [NAME=]START-END in ms expected"),
        (["--window", "300-500"], "--window does not say which of n400, p600 it is for"),
        (["--roi", "n400="], "'n400=' given, [NAME=]CHANNEL"),
        (["--window", "n400=300-700"], "overlap"),
        (["--window", "n400=0.3-0.5"], "window of n400: 0.3 to 0.5 ms given, which looks like seconds"),
        (["--window", "n400=-300--200"], "the n400 window (-300–-200 ms) lies outside the epochs (-200 to 1000 ms)"),
        (["--window", "p600=600-1200"], "leave it out with --component n400, move it with --window p600=START-END"),
        (["--window", "n400=301-303"], "no sample lies between 301 and 303 ms, with one every 5 ms"),
        (["--component", "n400", "--roi", "Cz,Pzz"], "Pzz"),
        (["--baseline", "substract"], "substract"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(desk, capsys, options, line):
    done = clada(
        capsys, "run", desk / "stimuli.csv", "--epochs", desk / "raw", "--out", desk / "out", *options
    )
    assert done.code == 2
    assert line in done.complaint


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda epochs: epochs.resample(100), "subject 'S02' has 100 samples a second and subject 'S01' 200"),
        (
            lambda epochs: epochs.apply_function(lambda x: x + np.nan, picks=["Fp1"]),
            "channel Fp1 holds values",
        ),
        (lambda epochs: epochs.apply_function(lambda x: 1e6 * x), "looks like µV"),
        (
            lambda epochs: epochs.drop_channels(["P3", "P4", "CP1", "CP2", "C3", "C4", "Cz", "CPz"]),
            "needs 3 of",
        ),
    ],
)
def test_recordings_that_cannot_be_used_are_one_line_before_the_trace(
    simulated, desk, tmp_path, change, line
):
    for subject in ("S01", "S02"):
        epochs = simulated.epochs[subject].copy()
        if subject == "S02":
            change(epochs)
        epochs.save(tmp_path / f"sub-{subject}_epo.fif", verbose="error")
    with pytest.raises(DataError, match=line):
        resolve_target(desk / "stimuli.csv", ResponseFiles(epochs=tmp_path))


def test_options_of_epochs_are_refused_for_trials(desk, capsys, tmp_path):
    (tmp_path / "trials.csv").write_text("subject,item,condition,n400_uv\ns1,1,a,2.0\n")
    done = clada(capsys, "run", desk / "stimuli.csv", "--trials", tmp_path / "trials.csv", "--soa", 500)
    assert done.code == 2
    assert "windows, electrodes, baseline and SOA are for --epochs only" in done.complaint
