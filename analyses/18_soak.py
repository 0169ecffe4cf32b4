"""Does a long trace stay within its memory? Generated sentences, resident memory after every shard, its linear trend.

    python analyses/18_soak.py tiny --sentences 100000
    python analyses/18_soak.py smollm2 --sentences 20000 --minutes 6

``tiny`` is a random two-layer model with a tokenizer trained on the sentences: it stands in for the count. A run that
``--minutes`` ends is measured up to there. Rows go to results/soak/soak.csv, one a model.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _shared.results import results_folder
from scipy import stats
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from clada_neuro.artifacts import write_text
from clada_neuro.instrument.measurer import Measurer, ModelMeasurer
from clada_neuro.instrument.trace import collect
from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.models.places import Failure

RESULT = results_folder(__file__) / "soak.csv"
WORDS = (
    "the a old young sailor baker children crowd owner café street window letter story river night told gave found "
    "lost opened closed believed slowly never often quietly because although when behind under without green heavy "
    "broken honest kind, tired, again."
)
WARM_UP = 0.2  # share of shards before the trend is taken
HOURS = 8


class Enough(Exception):
    """The time is up."""


@dataclass
class Watched:
    """A measurer that notes time and resident memory after every shard."""

    measurer: Measurer
    seconds: float
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)

    @property
    def described(self) -> dict:
        return self.measurer.described

    def measure(self, shards: Mapping[int, pd.DataFrame]) -> Iterator:
        begun, texts, tokens = time.monotonic(), 0, 0
        for number, frames in self.measurer.measure(shards):
            yield number, frames  # written before memory is read
            measured = 0 if isinstance(frames, Failure) else len(frames["tokens"])
            texts, tokens = texts + len(shards[number]), tokens + measured
            self.samples.append((time.monotonic() - begun, resident_mb(), texts, tokens))
            if self.samples[-1][0] > self.seconds:
                raise Enough


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1e6


def sentences(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    lengths = rng.integers(6, 17, count)
    drawn = [" ".join(rng.choice(WORDS.split(), length)).capitalize() for length in lengths]
    names = [str(number) for number in range(count)]
    return pd.DataFrame({"stimulus_id": names, "item": names, "condition": "a", "sentence": drawn})


def tiny(texts: list[str]) -> LanguageModel:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet),
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=24, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    return LanguageModel("tiny", model, fast, fast.eos_token_id, "0" * 16)


def summary(name: str, samples: np.ndarray) -> dict[str, float | str]:
    warm = samples[int(WARM_UP * len(samples)) :]
    hours, memory = warm[:, 0] / 3600, warm[:, 1]
    line = stats.linregress(hours, memory)
    half = line.stderr * stats.t.ppf(0.975, len(warm) - 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {
        "model": name,
        "sentences": int(samples[-1, 2]),
        "tokens": int(samples[-1, 3]),
        "minutes": samples[-1, 0] / 60,
        "threads": torch.get_num_threads(),
        "peak_mb": peak,
        "after_warm_up_mb": memory[: max(1, len(warm) // 10)].mean(),
        "at_end_mb": memory[-max(1, len(warm) // 10) :].mean(),
        "slope_mb_per_hour": line.slope,
        "slope_low": line.slope - half,
        "slope_high": line.slope + half,
        f"after_{HOURS}_hours_mb": line.intercept + line.slope * HOURS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=["tiny", "smollm2"])
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    stimuli = sentences(options.sentences)
    model = (
        tiny(stimuli["sentence"].head(2000).tolist())
        if options.model == "tiny"
        else load_model(options.model)
    )
    watched = Watched(ModelMeasurer(model, None, "en", progress=True), 60 * options.minutes)
    with tempfile.TemporaryDirectory() as folder:
        try:
            collect(stimuli, watched, folder)
        except Enough:
            print(f"stopped after {options.minutes:g} minutes")
    row = summary(options.model, np.array(watched.samples))
    kept = pd.read_csv(RESULT).query("model != @options.model") if RESULT.is_file() else pd.DataFrame()
    table = pd.concat([kept, pd.DataFrame([row])], ignore_index=True).sort_values("model").round(2)
    write_text(RESULT, table.to_csv(index=False))
    print(table.T.to_string(header=False))


if __name__ == "__main__":
    main()
