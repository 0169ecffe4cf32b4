"""Self-paced reading of made-up sentences; times below 100 ms are slips of the finger."""

import pandas as pd

from clada_neuro.stimuli.cleaning import Cleaning
from clada_neuro.stimuli.formats import read_stimuli


def load_stimuli(folder, name):
    rows = pd.read_csv(folder / "paced.csv")
    texts = rows.drop_duplicates(["sentence", "place"]).groupby("sentence")["word"].agg(" ".join)
    return read_stimuli(
        pd.DataFrame(
            {
                "stimulus_id": texts.index.astype(str),
                "item": texts.index.astype(str),
                "sentence": texts.to_numpy(),
            }
        )
    )


def load_trials(folder, name):
    rows = pd.read_csv(folder / "paced.csv")
    cleaning = Cleaning(
        rows.assign(
            stimulus_id=rows["sentence"].astype(str),
            item=rows["sentence"].astype(str),
            stimulus=rows["sentence"].astype(str) + ":" + rows["place"].astype(str),
            word_index=rows["place"] - 1,
            rt_ms=rows["ms"].astype(float),
        )
    )
    cleaning.remove(cleaning.frame["rt_ms"] < 100, "too fast", "below 100 ms")
    return cleaning.trials(["subject", "stimulus_id", "item", "stimulus", "word_index", "word", "rt_ms"])
