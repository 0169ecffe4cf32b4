"""Frank et al. 2013: first-pass reading times to every word of the sentences of ``frank2015``, from ``data_ET.csv``.

Left out, as in Aurnhammer & Frank (2019): readers marked in ``subjects.csv`` (not native, or too many wrong answers),
words marked ``reject_word`` (first, last, clitics), words that were not fixated, and times outside 50 to 3000 ms.
"""

from pathlib import Path

import pandas as pd

from clada_neuro.stimuli import datasets
from clada_neuro.stimuli.cleaning import Cleaning, Trials
from clada_neuro.stimuli.sets.frank import IDENTIFIERS

FILE, SUBJECTS = "data_ET.csv", "subjects.csv"
TRIAL_COLUMNS = [*IDENTIFIERS, "first_pass_ms", "previous_fixated"]


def read(folder: Path) -> pd.DataFrame:
    """Return the file as served: 81,109 rows, one a reader × word; 0 is a word that was not fixated."""
    return pd.read_csv(folder / FILE, sep="\t", keep_default_na=False)


def load_stimuli(folder: Path, name: str) -> pd.DataFrame:
    """Return Frank's 205 sentences, so that a trace of one serves both sets."""
    return datasets.load("frank2015")


def load_trials(folder: Path, name: str) -> Trials:
    """Return the first-pass times of the words that were fixated, in the identifiers of ``frank2015``.

    ``previous_fixated`` is 1 where the word before was fixated, else 0.
    """
    people = pd.read_csv(folder / SUBJECTS, sep="\t")
    rejected = people.loc[(people["experiment"] == "ET") & people["reject"], "subj_nr"]
    cleaning = Cleaning(read(folder))
    cleaning.remove(
        cleaning.frame["subj_nr"].isin(rejected), "reject", "reader not native or with too many wrong answers"
    )
    cleaning.remove(
        cleaning.frame["reject_word"], "reject_word", "first or last word of its sentence, or a clitic"
    )
    cleaning.remove(cleaning.frame["RTfirstpass"] == 0, "not fixated", "the word was skipped in first pass")
    cleaning.remove(cleaning.frame["reject_data"], "reject_data", "time outside 50 to 3000 ms")
    frame = cleaning.frame
    sentence, item = frame["sent_nr"].astype("str"), frame["item"].astype("str")
    cleaning.frame = frame.assign(
        subject=frame["subj_nr"].astype("str"),
        stimulus_id=sentence,
        sentence=sentence,
        item=item,
        stimulus=item,
        word_index=frame["word_pos"] - 1,
        first_pass_ms=frame["RTfirstpass"].astype(float),
        previous_fixated=(~frame["prevfix"]).astype(int),
    )
    return cleaning.trials(TRIAL_COLUMNS)
