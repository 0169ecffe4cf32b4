"""Do word surprisals equal log-softmax in float64 on the same ids? Ours, minicons' and surprisal's, case by case.

    python -m venv peers && peers/bin/pip install torch==2.13.0 minicons==0.3.39 surprisal==0.1.7
    python analyses/16_peer_conformance.py --python peers/bin/python

All tools read the same weights with the same start token, and a configuration whose context is 2,048 tokens. A word's
value is the sum over its tokens, attached punctuation included; a word fails when it is further than 1e-4 bits from the
reference, or missing. The reference of a longer text never gives the model more than its context: overlapping windows,
each beginning in the middle of the one before. Writes results/peer_conformance/peer_conformance.csv.
"""

import argparse
import math
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _shared.results import results_folder

from clada_neuro import load_model, trace
from clada_neuro.bench.scoring_peers import TOOLS, ScoringPeers, save_for_peers
from clada_neuro.models.loading import LanguageModel

TOLERANCE_BITS = 1e-4
CONTEXT = 2048  # tokens
LONG = "The old sailor told the children a story about the sea, and then he left."
CASES = {
    "empty string": [""],
    "one word": ["Rain"],
    "leading, trailing, double spaces": ["  The old  sailor slept ", "He left  early."],
    "contractions": ["It wasn't raining when they'd left."],
    "punctuation attached and separate": ['"Wait," she said -- or did she ? -- "it\'s late!"'],
    "emoji": ["She waved 👩‍🚀 at the crowd 🎉 and left."],
    "combining accents": ["The cafe\u0301 owner said nai\u0308ve things."],
    "umlauts": ["Der Bäcker weiß, dass die Größe zählt."],
    "Cyrillic": ["Кошка сидит на окне."],
    "Chinese without spaces": ["猫坐在窗台上。"],
    "word of many pieces": ["They practised antidisestablishmentarianism yesterday."],
    "same word twice": ["The dog saw the dog."],
    "batch of 1": ["The children didn't believe the old sailor."],
    "batch of 32 with unequal lengths": [LONG if number % 8 == 0 else "Rain fell." for number in range(32)],
    "longer than the context": [
        " ".join(f"On day {number} {LONG[0].lower()}{LONG[1:]}" for number in range(1, 131))
    ],
}


def reference(model: LanguageModel, text: str) -> np.ndarray:
    """Return bits per white-space word, from float64 logits; a token goes to the word of its first visible character."""
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    nats = natural_logarithms(model, encoded.input_ids)
    words = np.zeros(len(text.split()))
    for (start, end), value in zip(encoded.offset_mapping, nats.tolist(), strict=True):
        piece = text[start:end]
        place = start + len(piece) - len(piece.lstrip()) if piece.strip() else start
        if len(words):
            number = len(text[: place + 1].split()) - bool(piece.strip())
            words[min(number, len(words) - 1)] -= value / math.log(2)
    return words


def natural_logarithms(model: LanguageModel, ids: list[int]) -> torch.Tensor:
    """Return log p of every token; where the context ends, half of it stays and the next window goes on."""
    parts, done, room = [torch.empty(0, dtype=torch.float64)], 0, CONTEXT - 1
    while done < len(ids):
        first = 0 if done == 0 else done - room // 2
        window = ids[first : first + room]
        with torch.inference_mode():
            logits = model.model(torch.tensor([[model.start_token_id, *window]])).logits[0]
        found = logits.log_softmax(-1)[range(len(window)), window]
        parts.append(found[done - first :])
        done = first + len(window)
    return torch.cat(parts)


def ours(model: LanguageModel, texts: list[str]) -> list[list[float]]:
    stimuli = pd.DataFrame({"sentence": texts, "item": "1", "condition": "a"})
    stimuli["stimulus_id"] = stimuli.index.astype(str)
    words = trace(stimuli, model, progress=False).words
    found = words.groupby("stimulus_id")["surprisal_with_punct_bits"].agg(list)
    return [found.get(name, []) for name in stimuli["stimulus_id"]]


def compared(found: list[list[float]], expected: list[np.ndarray]) -> dict[str, object]:
    """Count the words that fail."""
    failed, worst = 0, 0.0
    for mine, truth in zip(found, expected, strict=True):
        if len(mine) != len(truth):
            failed += len(truth)
            continue
        difference = np.abs(np.array(mine, dtype=float) - truth)
        failed += int((~(difference <= TOLERANCE_BITS)).sum())
        worst = max([worst, *difference[np.isfinite(difference)]])
    return {"words": sum(map(len, expected)), "failed": failed, "largest_difference_bits": round(worst, 6)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", required=True, help="interpreter with minicons and surprisal")
    options = parser.parse_args()
    model, exact = load_model(device="cpu"), load_model(device="cpu", dtype="float64")
    for one in (model, exact):
        one.model.config.max_position_embeddings = CONTEXT
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(ScoringPeers(options.python, save_for_peers(model, Path(folder)))) as peers,
    ):
        for case, texts in CASES.items():
            expected = [reference(exact, text) for text in texts]
            rows.append({"case": case, "tool": "clada-neuro", **compared(ours(model, texts), expected)})
            for tool in TOOLS:
                reply = peers.words(tool, texts)
                row = compared(reply.get("words", [[]] * len(texts)), expected)
                rows.append({"case": case, "tool": tool, **row, "error": reply.get("error", "")})
    table = pd.DataFrame(rows).fillna({"error": ""})
    out = results_folder(__file__) / "peer_conformance.csv"
    table.to_csv(out, index=False)
    print(table.pivot(index="case", columns="tool", values="failed").loc[list(CASES)].to_string())
    print(table.groupby("tool")[["words", "failed"]].sum().to_string())


if __name__ == "__main__":
    main()
