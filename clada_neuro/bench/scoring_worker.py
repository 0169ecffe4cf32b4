"""Word surprisal from other packages, asked over pipes: run by an interpreter that has them installed.

Reads lines of JSON, ``{"tool": …, "folder": …, "texts": […]}``, and answers each with ``{"words": [[bits per word] per
text], "seconds": …}`` or ``{"error": …}``. Imports nothing of this package.
"""

import json
import math
import re
import sys
import time
from importlib import metadata
from typing import Any


class Minicons:
    """minicons' word scores; `options` go to ``word_score_tokenized``."""

    def __init__(self, folder, **options):
        from minicons.scorer import IncrementalLMScorer

        self.model = IncrementalLMScorer(folder, "cpu")
        self.options = options

    def __call__(self, texts):
        """Return bits per white-space word of each text."""
        found = self.model.word_score_tokenized(
            texts, tokenize_function=str.split, surprisal=True, base_two=True, **self.options
        )
        return [[bits for _, bits in words] for words in found]


class Surprisal:
    """surprisal's values, cut at the characters of each word; it gives nats."""

    def __init__(self, folder):
        from surprisal import AutoHuggingFaceModel

        self.model = AutoHuggingFaceModel.from_pretrained(folder, model_class="gpt")

    def __call__(self, texts):
        """Return bits per white-space word of each text."""
        found = self.model.surprise(texts)
        return [
            [
                float(one[place.start() : place.end(), "char"]) / math.log(2)
                for place in re.finditer(r"\S+", text)
            ]
            for one, text in zip(found, texts, strict=True)
        ]


TOOLS = {
    "minicons": Minicons,
    "minicons, bos_token=True": lambda folder: Minicons(folder, bos_token=True),
    "surprisal": Surprisal,
}


def answer(question, loaded):
    """Return the answer to one question."""
    name = question["tool"]
    if name not in loaded:
        loaded[name] = TOOLS[name](question["folder"])
    started = time.perf_counter()
    words = loaded[name](question["texts"])
    return {
        "words": words,
        "seconds": time.perf_counter() - started,
        "version": metadata.version(name.split(",")[0]),
    }


def main():
    """Answer until the questions end."""
    loaded: dict[str, Any] = {}
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), loaded)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
