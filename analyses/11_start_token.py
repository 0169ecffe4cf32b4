"""How far do the start token and the whitespace correction move surprisal, and does it matter for contrasts?

    python analyses/11_start_token.py [--out out/start_token]

Our own stimuli, and published sets where CLADA_NEURO_DATA has them, after the token that `auto` chooses, after nothing,
and after SmolLM2's nominal beginning-of-sequence token, which is a chat marker. Writes results/start_token/: in start_token.csv words
by place in the sentence, critical words, and the contrasts registered in _shared/contrasts.toml (one value an item),
each compared with `auto`; and in whitespace_correction.csv the same groups of words with and without correction
(attached punctuation counted in both).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from _shared.contrasts import differences, registered
from _shared.contrasts import stimuli as stimuli_of
from _shared.results import results_folder

from clada_neuro import load_model, trace
from clada_neuro.errors import CladaNeuroError
from clada_neuro.stimuli.design import bare

SETS = ("n400_demo", "p600_demo", "nieuwland2018", "ainsworth1998")
STARTS = ("auto", "none", "<|im_start|>")
PLAIN, CORRECTED = "surprisal_with_punct_bits", "surprisal_corrected_bits"
Row = dict[str, object]


def groups(words: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield words by what may matter for a border: place, punctuation on either side, the critical word."""
    last = words.groupby("stimulus_id")["word_index"].transform("max") == words["word_index"]
    first = words["word_index"] == 0
    punctuated = words["word"] != words["word"].map(bare)
    yield "first word", words[first]
    yield "other words", words[~first]
    yield "inner words without punctuation", words[~first & ~last & ~punctuated]
    yield "inner words with punctuation", words[~first & ~last & punctuated]
    yield "last word", words[last]
    yield "critical word", words[words["is_critical"]]


def contrasts(name: str, words: pd.DataFrame, measure: str) -> Iterator[tuple[str, pd.Series]]:
    """Yield each registered contrast of a set, one value an item."""
    critical = words[words["is_critical"]]
    for contrast in registered():
        if contrast.set == name:
            yield f"contrast: {contrast.name}", differences(critical, contrast, measure)


def compared(values: pd.Series, others: pd.Series) -> Row:
    """Compare paired values: both means, how far they lie apart, and their correlation."""
    both = pd.DataFrame({"values": values.to_numpy(), "others": others.to_numpy()}).dropna()
    apart = both["values"] - both["others"]
    return {
        "n": len(both),
        "mean_bits": both["values"].mean(),
        "mean_change_bits": apart.mean(),
        "mean_absolute_change_bits": apart.abs().mean(),
        "largest_change_bits": apart.abs().max(),
        "r": np.corrcoef(both["values"], both["others"])[0, 1] if len(both) > 1 else np.nan,
    }


def by_start(name: str, traced: dict[str, pd.DataFrame]) -> Iterator[Row]:
    """Compare every start token with `auto`."""
    reference = traced["auto"]
    for start, words in traced.items():
        for (group, mine), (_, theirs) in zip(groups(words), groups(reference), strict=True):
            yield {"set": name, "start_token": start, "what": group, **compared(mine[PLAIN], theirs[PLAIN])}
        pairs = zip(contrasts(name, words, PLAIN), contrasts(name, reference, PLAIN), strict=True)
        for (what, mine), (_, theirs) in pairs:
            yield {"set": name, "start_token": start, "what": what, **compared(mine, theirs)}


def by_correction(name: str, traced: dict[str, pd.DataFrame]) -> Iterator[Row]:
    """Compare corrected with plain surprisal after every start token."""
    for start, words in traced.items():
        for group, mine in groups(words):
            yield {"set": name, "start_token": start, "what": group, **compared(mine[CORRECTED], mine[PLAIN])}
        pairs = zip(contrasts(name, words, CORRECTED), contrasts(name, words, PLAIN), strict=True)
        for (what, mine), (_, plain) in pairs:
            yield {"set": name, "start_token": start, "what": what, **compared(mine, plain)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out") / "start_token", help="folder of the traces")
    options = parser.parse_args()
    models = {start: load_model("smollm2", start_token=start) for start in STARTS}
    starts: list[Row] = []
    corrections: list[Row] = []
    for name in SETS:
        try:
            stimuli = stimuli_of(name, None)
        except CladaNeuroError as error:
            print(f"{name} is left out: {error}")
            continue
        folders = {start: options.out / name / start.strip("<|>") for start in STARTS}
        traced = {start: trace(stimuli, models[start], out=folders[start]).words for start in STARTS}
        starts += by_start(name, traced)
        corrections += by_correction(name, traced)
    results = results_folder(__file__)
    pd.DataFrame(starts).round(4).to_csv(results / "start_token.csv", index=False)
    pd.DataFrame(corrections).round(4).to_csv(results / "whitespace_correction.csv", index=False)


if __name__ == "__main__":
    main()
