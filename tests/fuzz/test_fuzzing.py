"""Whatever comes in, only our own errors come out: one line, exit code 2, never a traceback."""

import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strategies import (
    CONDITIONS,
    FORMULAS,
    PROMPTS,
    READING,
    STIMULUS_FILES,
    TRIAL_COLUMNS,
    damage,
    tables,
    trial_frames,
)  # fmt: skip
from tiny_language import tiny_language

from clada_neuro.artifacts import write_table
from clada_neuro.errors import CladaNeuroError
from clada_neuro.instrument.trace import trace
from clada_neuro.policies.dense import Dense
from clada_neuro.responses.alignment import align
from clada_neuro.responses.trials import read_trials
from clada_neuro.runtime.decode import generate
from clada_neuro.stats.exclusions import exclude
from clada_neuro.stats.formula import parse
from clada_neuro.stats.mixed import fit
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.tables import STIMULI, validate

# Cases of each kind: some hundred in the fast run, 10,000 in the slow one.
CASES = {
    "stimulus files": (80, 3000),
    "formulas": (80, 3000),
    "fits": (15, 300),
    "exclusions": (40, 900),
    "trial files": (60, 1300),
    "joins": (30, 800),
    "prompts": (30, 500),
    "commands": (8, 200),
}
assert sum(slow for _, slow in CASES.values()) == 10_000


@cache
def model():
    return tiny_language()


@cache
def words() -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "item": ["1", "1", "2"],
            "condition": ["a", "b", "b"],
            "sentence": ["The cat slept."] * 3,
            "critical_word": "cat",
        }
    )
    return trace(read_stimuli(table), model(), progress=False).words


@cache
def scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz"))


@cache
def responses() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    grid = pd.MultiIndex.from_product([[f"s{k}" for k in range(6)], [f"i{k}" for k in range(6)]]).to_frame(
        index=False
    )
    grid.columns = ["subject", "item"]
    numbers = {name: rng.normal(size=len(grid)) for name in ("y", "y2", "x", "z", "a b")}
    return grid.assign(**numbers, f=np.where(rng.random(len(grid)) < 0.5, "u", "v"))


def ours(function, *arguments, **options):
    """Call a function; return None where it refused with one of our errors."""
    try:
        return function(*arguments, **options)
    except CladaNeuroError:
        return None


@given(file=STIMULUS_FILES, reading=READING)
def stimulus_files(file, reading):
    suffix, content = file
    path = scratch() / f"stimuli{suffix}"
    path.write_bytes(content)
    found = ours(read_stimuli, path, **reading)
    if found is not None:
        assert len(ours(validate, found, STIMULI)) == len(found)
        write_table(found, scratch() / "stimuli.parquet")


@given(text=FORMULAS)
def formulas(text):
    found = ours(parse, text)
    if found is not None:
        assert ours(found.variables) is not None


@given(text=FORMULAS)
def fits(text):
    found = ours(fit, responses(), text)
    if found is not None:
        assert found.summary()


@given(text=CONDITIONS)
def exclusions(text):
    ours(exclude, responses(), [text])


@given(
    content=tables(TRIAL_COLUMNS, ("subject", "item", "condition", "n400_uv")),
    parquet=st.booleans(),
    data=st.data(),
)
def trial_files(content, parquet, data):
    path = scratch() / ("trials.parquet" if parquet else "trials.csv")
    if parquet:
        content = data.draw(damage(_stored_trials()))
    path.write_bytes(content)
    found = ours(read_trials, path)
    if found is not None:
        ours(align, words(), found)


@cache
def _stored_trials() -> bytes:
    frame = pd.DataFrame(
        {"subject": ["s1", "s2"], "item": ["1", "2"], "condition": ["a", "b"], "n400_uv": [0.5, None]}
    )
    return write_table(frame, scratch() / "whole.parquet").read_bytes()


@given(trials=trial_frames())
def joins(trials):
    found = ours(align, words(), trials)
    if found is not None:
        assert len(found.trials) + len(found.unmatched) == len(trials)


@given(prompt=PROMPTS)
def prompts(prompt):
    ours(generate, model(), prompt, Dense(), max_new_tokens=2)
    if prompt != prompt.encode("utf-8", "replace").decode():
        return  # pandas holds no half characters
    stimuli = ours(read_stimuli, pd.DataFrame({"item": ["1"], "condition": ["a"], "sentence": [prompt]}))
    if stimuli is not None:
        ours(trace, stimuli, model(), progress=False)


def commands_of(capsys):
    """Commands that end before any model is loaded, through the door that users take."""

    @given(
        file=STIMULUS_FILES,
        text=FORMULAS,
        content=tables(TRIAL_COLUMNS, ("subject", "item", "condition", "n400_uv")),
        which=st.sampled_from(["trace", "run", "fit", "align"]),
    )
    def commands(file, text, content, which):
        suffix, bytes_ = file
        stimuli, trials = scratch() / f"given{suffix}", scratch() / "given_trials.csv"
        stimuli.write_bytes(bytes_)
        trials.write_bytes(content)
        table = scratch() / "words.parquet"
        if not table.exists():
            write_table(words(), table)
        out = ("--out", scratch() / "out")
        given_to = {
            "trace": ("trace", stimuli, "--model", scratch() / "no_model", *out),
            "run": ("run", stimuli, "--trials", trials, "--model", scratch() / "no_model", *out),
            "fit": ("fit", trials, "--formula", text, *out),
            "align": ("align", table, trials, *out),
        }
        done = clada(capsys, *given_to[which])
        assert done.code == 2 or (done.code == 0 and which in ("fit", "align")), done
        assert "Traceback" not in done.err
        if done.code == 2:
            assert done.complaint.startswith("clada-neuro: ")
            assert len(done.err.strip().splitlines()) == 1, done.err

    return commands


CHECKS = {
    "stimulus files": stimulus_files,
    "formulas": formulas,
    "fits": fits,
    "exclusions": exclusions,
    "trial files": trial_files,
    "joins": joins,
    "prompts": prompts,
}


def fuzz(kind: str, cases: int, capsys) -> None:
    options = settings(
        max_examples=cases, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options(CHECKS.get(kind) or commands_of(capsys))()


@pytest.mark.parametrize("kind", CASES)
def test_only_our_errors_come_out(kind, capsys):
    fuzz(kind, CASES[kind][0], capsys)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_only_our_errors_come_out_of_ten_thousand_cases(kind, capsys):
    fuzz(kind, CASES[kind][1], capsys)
