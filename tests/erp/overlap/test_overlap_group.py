"""Several subjects: common columns, tests over subjects, and single trials from which neighbours are subtracted."""

import mne
import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.by_item import by_item
from clada_neuro.erp.overlap.events import EventModel
from clada_neuro.erp.overlap.fit import overlap_rerp
from clada_neuro.erp.overlap.group import OverlapGroup, overlap_group, overlap_rerps
from clada_neuro.erp.overlap.items import overlap_by_item
from clada_neuro.erp.overlap.single import epochs_without_overlap
from clada_neuro.erp.predictors import with_predictors
from clada_neuro.erp.simulate_raw import READING_EFFECTS, TMAX, TMIN, simulate_reading
from clada_neuro.errors import DataError

MODEL = EventModel("word", "1 + center(surprisal_bits)", TMIN, TMAX)
SURPRISAL = "word/center(surprisal_bits)"


def words(n_texts: int = 40, length: int = 8) -> pd.DataFrame:
    n = n_texts * length
    return pd.DataFrame(
        {
            "stimulus_id": [f"t{i // length}" for i in range(n)],
            "item": [f"i{i // length // 2}" for i in range(n)],
            "word_index": np.arange(n) % length,
            "word": [f"w{i}" for i in range(n)],
            "stimulus": [f"s{i}" for i in range(n)],
            "surprisal_bits": np.random.default_rng(8).gamma(3, 2, n),
        }
    )


@pytest.fixture(scope="module")
def readers():
    return {
        f"S{number}": simulate_reading(words(), seed=number, sfreq=50.0, noise_uv=6.0)
        for number in range(1, 7)
    }


@pytest.fixture(scope="module")
def fits(readers):
    return overlap_rerps(
        {k: r.raw for k, r in readers.items()}, {k: r.events for k, r in readers.items()}, [MODEL]
    )


@pytest.fixture(scope="module")
def group(fits) -> OverlapGroup:
    return overlap_group(fits, n_permutations=64, tfce=True)


def test_centers_are_those_of_all_subjects(readers):
    """One subject sees the surprising half of the words: its waveform is still per deviation from the mean of all."""
    some = {name: readers[name] for name in ("S1", "S2")}
    events = {name: reader.events for name, reader in some.items()}
    events["S2"] = events["S2"][events["S2"]["surprisal_bits"] > 6]
    found = overlap_rerps({name: reader.raw for name, reader in some.items()}, events, [MODEL])
    mean = pd.concat(events.values())["surprisal_bits"].mean()
    for name, fit in found.items():
        own = overlap_rerp(
            some[name].raw,
            events[name],
            [EventModel("word", f"1 + I(surprisal_bits - {float(mean)!r})", TMIN, TMAX)],
        )
        np.testing.assert_allclose(
            fit.evoked("word/intercept").data, own.evoked("word/intercept").data, atol=1e-12
        )


def test_planted_effects_form_clusters_over_subjects(group):
    found = group.clusters[group.clusters["predictor"] == SURPRISAL].set_index("sign")
    negative, positive = found.loc[[-1]].iloc[0], found.loc[[1]].iloc[0]
    assert negative["p"] < 0.05
    assert negative["tmin_s"] < 0.4 < negative["tmax_s"]
    assert positive["p"] < 0.05
    assert positive["tmin_s"] < 0.75 < positive["tmax_s"]


def test_threshold_free_enhancement_finds_them_moment_by_moment(group):
    test = group.tests[SURPRISAL]
    pz = group.betas[SURPRISAL][0].ch_names.index("Pz")
    p = pd.Series(test.tfce_p[pz], index=test.times)
    assert p.loc[0.36:0.44].max() < 0.05
    assert p.loc[0.7:0.8].max() < 0.05
    assert p.loc[0.0:0.1].min() > 0.05
    assert test.tfce_p.shape == test.t_values.shape


def test_a_bad_channel_of_one_subject_is_interpolated(fits, readers):
    spoiled = readers["S1"].raw.copy()
    spoiled._data[spoiled.ch_names.index("Cz")] = np.nan
    spoiled.info["bads"] = ["Cz"]
    changed = {**fits, "S1": overlap_rerp(spoiled, readers["S1"].events, [MODEL])}
    found = overlap_group(changed, n_permutations=16)
    assert len(found.betas[SURPRISAL][0].ch_names) == 32
    assert any("bad channels interpolated" in note and "Cz (subject 'S1')" in note for note in found.notes)


def test_subjects_that_do_not_fit_together_are_refused(fits, readers):
    with pytest.raises(DataError, match="1 subject arrived"):
        overlap_group({"S1": fits["S1"]})
    other = overlap_rerp(readers["S2"].raw, readers["S2"].events, [EventModel("word", "1", TMIN, TMAX)])
    with pytest.raises(
        DataError, match="subject 'S2' has the predictors word/intercept, others word/intercept, word/center"
    ):
        overlap_group({"S1": fits["S1"], "S2": other})
    with pytest.raises(DataError, match="give both for each subject"):
        overlap_rerps({"S1": readers["S1"].raw}, {"S2": readers["S2"].events}, [MODEL])


def test_single_trials_without_noise_are_the_words_own_responses():
    made = simulate_reading(words(), noise_uv=0, residual_uv=0, sfreq=50.0)
    made.raw.set_annotations(mne.Annotations(30.0, 2.0, "BAD_muscle"))
    fit = overlap_rerp(made.raw, made.events, [MODEL])
    epochs = epochs_without_overlap(made.raw, made.events, fit, "word")
    x = epochs.metadata["surprisal_bits"].to_numpy() - made.events["surprisal_bits"].mean()
    expected = made.truth["intercept"].data + x[:, None, None] * made.truth["surprisal_bits"].data
    np.testing.assert_allclose(epochs.get_data(), expected, atol=1e-11)
    spoiled = ((made.events["onset"] + TMAX > 30) & (made.events["onset"] + TMIN < 32)).sum()
    assert len(epochs) == len(made.events) - spoiled
    assert sum(log == ("LEFT_OUT",) for log in epochs.drop_log) == spoiled


def test_sessions_give_epochs_in_order_with_their_words():
    halves = [words().iloc[:160], words().iloc[160:]]
    made = [simulate_reading(half, seed=seed, sfreq=50.0) for seed, half in enumerate(halves)]
    raws, tables = [one.raw for one in made], [one.events for one in made]
    shuffled = [table.sample(frac=1, random_state=1) for table in tables]
    fit = overlap_rerp(raws, shuffled, [MODEL])
    epochs = epochs_without_overlap(raws, shuffled, fit, "word")
    assert epochs.metadata["word"].tolist() == words()["word"].tolist()


def test_the_by_item_check_finds_the_planted_effects_over_stimuli(readers, fits, group):
    raws = {name: [reader.raw] for name, reader in readers.items()}
    events = {name: [reader.events] for name, reader in readers.items()}
    check = overlap_by_item(raws, events, fits, group, words())
    assert check.words == {"in the check": 6 * 320} | dict.fromkeys(list(check.words)[1:], 0)
    found = check.table.set_index("where")
    for component in ("n400", "p600"):
        row = found.loc[f"{component}_uv"]
        assert row["ci_low"] < READING_EFFECTS[component]["surprisal_bits"] < row["ci_high"]
        assert row["n_items"] == 20
        assert row["p"] < 0.05
    clusters = found.filter(like="cluster", axis=0)
    assert len(clusters) == (group.clusters.query(f"predictor == '{SURPRISAL}'")["p"] < 0.05).sum()
    assert clusters["note"].str.contains("optimistic").all()


def test_the_by_item_check_is_that_of_the_epochs_without_overlap(readers, fits, group):
    """Stretch by stretch as from all epochs at once, by least squares of statsmodels' formula on the same means."""
    epochs = {
        name: epochs_without_overlap(reader.raw, reader.events, fits[name], "word")
        for name, reader in readers.items()
    }
    raws = {name: [reader.raw] for name, reader in readers.items()}
    events = {name: [reader.events] for name, reader in readers.items()}
    ours = overlap_by_item(raws, events, fits, group, words()).table.set_index("where").loc["n400_uv"]
    data = with_predictors(epochs, words(), ["surprisal_bits"])
    other = by_item(data, ["n400"], baseline="none").set_index("where").loc["n400_uv"]
    scale = data.scales.at["surprisal_bits", "sd"]
    assert ours["b_uv"] == pytest.approx(other["b_uv_per_sd"] / scale, rel=0.05)  # bins of 20 ms at 50 Hz
    assert ours["n_stimuli"] == other["n_stimuli"]


def test_words_that_leave_the_by_item_check_are_counted_by_subject_and_reason(readers):
    """One text is not in the table, one span is bad, one word has no surprisal, another subject's last word is cut off."""
    raws = {name: [readers[name].raw.copy()] for name in ("S1", "S2")}
    events = {name: [readers[name].events.copy()] for name in raws}
    raws["S1"][0].set_annotations(mne.Annotations(30.0, 2.0, "BAD_muscle"))
    onsets = events["S1"][0]["onset"]
    events["S1"][0].loc[200, "surprisal_bits"] = np.nan
    raws["S2"][0].crop(0, events["S2"][0]["onset"].iloc[-1] + 0.5)
    fits = overlap_rerps(raws, events, [MODEL])
    known = words()[words()["stimulus_id"] != "t3"]
    check = overlap_by_item(raws, events, fits, overlap_group(fits, n_permutations=16), known)
    spoiled = (onsets + TMAX > 30) & (onsets + TMIN < 32)
    apart = (onsets - onsets[200]).abs() < TMAX - TMIN  # what its response reaches is left out
    spoiled |= apart & (onsets.index != 200)
    unknown = events["S1"][0]["stimulus_id"].eq("t3") & ~spoiled
    lost, cut = int(unknown.sum()), int(spoiled.sum())
    counts = check.account.pivot(index="subject", columns="outcome", values="n")
    assert counts.loc["S1"].to_dict() == {
        "in the check": 320 - 1 - cut - lost, "in part outside, or in spans left out": cut, "not in the table of words": lost,
        "without a value of every predictor": 1,
    }  # fmt: skip
    late = events["S2"][0]["onset"]
    late = int((late + TMAX > late.iloc[-1] + 0.5).sum())
    assert counts.loc["S2"].to_dict() == {
        "in the check": 320 - late - 8, "in part outside, or in spans left out": late, "not in the table of words": 8,
        "without a value of every predictor": 0,
    }  # fmt: skip
    said = check.in_words()
    assert said.startswith("of 640 words: ")
    assert f"{lost + 8} not in the table of words (no word has stimulus_id=t3)" in said


def test_single_trials_of_a_type_without_a_model_are_refused(readers, fits):
    with pytest.raises(DataError, match=r"no event 'words'.*did you mean 'word'"):
        epochs_without_overlap(readers["S1"].raw, readers["S1"].events, fits["S1"], "words")
