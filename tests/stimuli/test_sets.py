"""The public sets as they are served: every count here was taken from the published files."""

import os
from pathlib import Path

import pandas as pd
import pytest

from clada_neuro.stimuli import datasets
from clada_neuro.stimuli.design import bare, words_of
from clada_neuro.stimuli.sets import devarda, frank, naturalstories
from clada_neuro.stimuli.sets.schemas import close_up
from clada_neuro.tables import validate

needs_data = pytest.mark.skipif(
    not os.environ.get("CLADA_NEURO_DATA"), reason="CLADA_NEURO_DATA names no folder of data sets"
)

# set: (items, condition: sentences)
COUNTS = {
    "nieuwland2018": (79, {"expected": 79, "unexpected": 79}),
    "frank2015": (205, {"natural": 205}),
    "devarda2023": (205, {"natural": 205}),
    "frank2013_et": (205, {"natural": 205}),
    "boyce2023_maze": (10, {"story": 10}),
    "kim2005": (
        96,
        {"Attraction Violation": 96, "Passive Control": 96, "Active Control": 96, "No-Attraction Violation": 96},
    ),
    "ainsworth1998": (
        40,
        {"control": 40, "syntactic_anomaly": 40, "semantic_anomaly": 40, "double_anomaly": 40},
    ),
    "osterhout1995_controls": (90, {"control": 90, "anomalous": 90}),
    "osterhout1995_pronouns": (60, {"control": 60, "anomalous": 60}),
    "ito2016": (
        160,
        {"target_word": 160, "surface_related": 160, "semantically_related": 160, "unrelated": 160},
    ),
    "kutas1993": (175, {"BC": 175, "R": 83, "U": 92}),
    "urbach2010_exp1": (120, {"Typical": 120, "Atypical": 120}),
    "urbach2010_exp2": (
        120,
        {"Typical_Most": 120, "Typical_Few": 120, "Atypical_Most": 120, "Atypical_Few": 120},
    ),
    "urbach2010_exp3": (
        120,
        {"Typical_Often": 120, "Typical_Rarely": 120, "Atypical_Often": 120, "Atypical_Rarely": 120},
    ),
    "cprag102": (34, {"expected": 34, "within_category": 34, "between_category": 34}),
    "role88": (44, {"canonical": 44, "reversed": 44}),
    "neg136_simp": (18, dict.fromkeys(("affirmative_true", "affirmative_false", "negative_true", "negative_false"), 18)),
    "neg136_nat": (16, dict.fromkeys(("affirmative_true", "affirmative_false", "negative_true", "negative_false"), 16)),
    "sap_agreement": (18, {"UNAGREE": 18, "AGREE": 18}),
    "sap_attachment": (24, {"AttachMulti": 24, "AttachHigh": 24, "AttachLow": 24}),
    "sap_classicgp": (
        24,
        dict.fromkeys(("NPS_AMB", "NPZ_AMB", "MVRR_AMB", "NPS_UAMB", "NPZ_UAMB", "MVRR_UAMB"), 24),
    ),
    "sap_relative": (24, {"RC_Subj": 24, "RC_Obj": 24}),
    "sap_fillers": (39, {"fillers": 39}),
    "naturalstories": (10, {"story": 10}),
}  # fmt: skip
WITHOUT_CRITICAL_WORD = {
    "frank2015": 205,
    "devarda2023": 205,
    "frank2013_et": 205,
    "boyce2023_maze": 10,
    "naturalstories": 10,
    "sap_fillers": 39,
    "kutas1993": 1,
}


def test_every_set_of_the_registry_is_counted():
    assert set(COUNTS) == set(datasets.names())


@needs_data
@pytest.mark.parametrize("name", COUNTS)
def test_a_set_loads_with_its_items_conditions_and_critical_words(name):
    stimuli = validate(datasets.load(name), "stimuli")
    items, conditions = COUNTS[name]
    assert stimuli["item"].nunique() == items
    assert stimuli.groupby("condition").size().to_dict() == conditions
    assert stimuli["critical_word"].isna().sum() == WITHOUT_CRITICAL_WORD.get(name, 0)
    for _, row in stimuli.dropna(subset="critical_word").iterrows():
        assert bare(words_of(row)[row["critical_index"]]) == bare(row["critical_word"])
    assert not stimuli["sentence"].str.contains(r"\*| [.,](?:\s|$)").any()


SAME_FRAME = ["nieuwland2018", "ito2016", "kutas1993", "osterhout1995_controls", "osterhout1995_pronouns", "urbach2010_exp1", "cprag102"]  # fmt: skip


@needs_data
@pytest.mark.parametrize("name", SAME_FRAME)
def test_conditions_of_an_item_differ_in_the_critical_word_only(name):
    stimuli = datasets.load(name).dropna(subset="critical_word")
    article = {"a": "a/an", "an": "a/an"}

    def frame(row: pd.Series) -> str:
        words = words_of(row)
        before = [article.get(word, word) for word in words[: row["critical_index"]]]
        after = words[row["critical_index"] + 1 :]
        return " ".join([*before, "_", *(after if name != "nieuwland2018" else [])])

    frames = stimuli.assign(frame=stimuli.apply(frame, axis=1)).groupby("item")["frame"].nunique()
    assert frames[frames > 1].index.tolist() == []


SAME_WORD = {
    "sap_agreement": ["item"],
    "sap_attachment": ["item"],
    "sap_relative": ["item"],
    "role88": ["item"],
    "sap_classicgp": ["item", "construction"],
    "urbach2010_exp2": ["item", "Typicality"],
    "urbach2010_exp3": ["item", "Typicality"],
}


@needs_data
@pytest.mark.parametrize("name", SAME_WORD)
def test_conditions_that_share_their_critical_word_do(name):
    stimuli = datasets.load(name)
    stimuli["construction"] = stimuli["condition"].str.split("_").str[0]
    words = stimuli.groupby(SAME_WORD[name])["critical_word"].nunique()
    assert words[words > 1].index.tolist() == []


@needs_data
def test_kutas_takes_the_last_word_where_the_marks_are_early():
    stimuli = datasets.load("kutas1993").set_index(["item", "condition"])
    assert stimuli.loc[("SentenceFrame46", "U"), "critical_word"] == "sugar"
    assert stimuli.loc[("SentenceFrame46", "BC"), "critical_word"] == "pressure"
    assert stimuli.loc[("SentenceFrame20", "BC"), "critical_word"] == "list"
    assert pd.isna(stimuli.loc[("SentenceFrame144", "BC"), "critical_word"])


@needs_data
def test_nieuwland_equals_the_clean_table_made_by_hand():
    trials = datasets.load_trials("nieuwland2018")
    assert trials.exclusions["rows_before"].tolist() == [26176, 25520]
    assert trials.exclusions["rows_removed"].tolist() == [656, 198]
    frame = trials.frame
    assert (len(frame), frame["subject"].nunique(), frame["item"].nunique(), frame["stimulus"].nunique()) == (
        25322,
        334,
        79,
        158,
    )
    clean = _folder("nieuwland2018") / "nieuwland2018_clean.csv"
    if not clean.is_file():
        pytest.skip("no nieuwland2018_clean.csv beside the public file")
    other = pd.read_csv(clean, keep_default_na=False)
    assert frame["subject"].tolist() == other["subj"].tolist()
    assert frame["stimulus"].tolist() == (other["item"].astype(str) + ":" + other["noun"]).tolist()
    assert (frame["n400_uv"] - other["n400"]).abs().max() < 1e-12
    assert (frame["cloze"] - other["cloze"]).abs().max() < 1e-12
    texts = datasets.load("nieuwland2018").set_index("stimulus_id")["sentence"]
    whole = other["sentence"] + " " + other["article"] + " " + other["noun"] + " " + other["end"]
    assert texts.loc[frame["stimulus_id"]].tolist() == whole.tolist()


@needs_data
def test_frank_counts_each_exclusion_and_keeps_the_word_none():
    trials = datasets.load_trials("frank2015")
    assert trials.exclusions[["step", "rows_before", "rows_removed"]].to_numpy().tolist() == [
        ["reject_word", 46344, 10656],
        ["reject_data", 35688, 3655],
        ["missing", 32033, 0],
    ]
    frame = trials.frame
    assert (len(frame), frame["item"].nunique(), frame["subject"].nunique()) == (32033, 1487, 24)
    assert frame[["n400_uv", "baseline_uv"]].notna().all().all()
    stimuli = datasets.load("frank2015")
    assert (stimuli["sentence"].str.split().str[0] == "None").sum() == 1
    words = stimuli.set_index("stimulus_id")["sentence"].str.split()
    placed = [words[key][place] for key, place in zip(frame["stimulus_id"], frame["word_index"], strict=True)]
    assert placed == frame["word"].tolist()


@needs_data
def test_de_varda_is_frank_averaged():
    trials = datasets.load_trials("devarda2023")
    assert trials.exclusions["rows_removed"].tolist() == [6, 238]
    assert len(trials.frame) == 1482
    single = datasets.load_trials("frank2015").frame.groupby("item")["n400_uv"].agg(["mean", "size"])
    both = trials.frame.set_index("item").join(single)
    assert both["n400_uv"].corr(both["mean"]) > 0.9999
    assert (both["n_trials"] == both["size"]).all()


@needs_data
def test_de_vardas_words_are_aligned_as_by_hand():
    place = _folder("devarda_ucl") / "ucl_item_aligned_to_frank_item_id.csv"
    if not place.is_file():
        pytest.skip("no table aligned by hand beside the public file")
    measures = pd.read_csv(place.parent / devarda.FILE, keep_default_na=False)
    made = devarda.align(measures, frank.words(datasets.path("frank2015"))).dropna(subset="item")
    other = pd.read_csv(place, keep_default_na=False)
    both = other.merge(made, on="item", suffixes=("", "_made"), validate="one_to_one")
    assert len(both) == len(other) == len(made) == 1720
    assert (both["P600"] - both["P600_made"]).abs().max() < 1e-12
    assert (both["word"] == both["word_made"]).all()


@needs_data
def test_natural_stories_have_every_word_in_its_place():
    stories = datasets.load("naturalstories").set_index("stimulus_id")["sentence"].str.split()
    times = datasets.load_trials("naturalstories").frame
    assert stories.map(len).sum() == len(times) == 10256
    assert [
        stories[key][place] for key, place in zip(times["stimulus_id"], times["word_index"], strict=True)
    ] == times["word"].tolist()
    assert times["reading_time_ms"].between(200, 3000).all()


@needs_data
def test_the_cprag_context_precedes_its_sentence():
    stimuli = datasets.load("cprag102")
    assert stimuli["context"].str.strip().ne("").all()
    assert stimuli.groupby("item")["context"].nunique().eq(1).all()


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("Joe 's dog , they said , didn 't bark .", "Joe's dog, they said, didn't bark."),
        ("The *cat* .", "The *cat*."),
        ("They 're here !", "They're here!"),
        ("He said 'tis so.", "He said 'tis so."),
    ],
)
def test_spaces_before_punctuation_and_clitics_are_closed(text, closed):
    assert close_up(text) == closed


def test_a_damaged_pair_of_files_is_refused(tmp_path):
    from clada_neuro.errors import CladaNeuroError
    from clada_neuro.stimuli.sets import schemas

    files = ["ainsworthdarnell_1998.csv", "ainsworthdarnell_1998.stims"]
    (tmp_path / files[0]).write_text("SentenceFrame,Condition,Sentence\nf1,a,One two .\n")
    (tmp_path / files[1]).write_text("One *three* .\n")
    with pytest.raises(CladaNeuroError, match=r"row 1: 'One \*three\* \.' is not the sentence of"):
        schemas.load_stimuli(tmp_path, "ainsworth1998")
    (tmp_path / files[1]).write_text("One *two* .\nOne *two* .\n")
    with pytest.raises(CladaNeuroError, match="has 2 sentences"):
        schemas.load_stimuli(tmp_path, "ainsworth1998")


def test_natural_stories_read_words_that_hold_quotes(tmp_path):
    (tmp_path / naturalstories.FILE).write_text(
        'word\tzone\titem\tnItem\tmeanItemRT\n"Come\t2\t1\t9\t300.5\nHe:\t1\t1\t9\t310\n'
    )
    assert naturalstories.load_stimuli(tmp_path, "naturalstories")["sentence"].tolist() == ['He: "Come']


def _folder(name: str) -> Path:
    return datasets.path(name)
