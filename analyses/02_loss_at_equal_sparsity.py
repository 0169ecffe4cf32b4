"""What does each policy lose at equal feed-forward sparsity?

    python analyses/02_loss_at_equal_sparsity.py [--tokens 20000] [--sparsity 0.4 …] [--policy clada …]

C4 documents that calibration has not seen and WikiText-2 articles, alternating, 256 tokens each with the start token;
the first 32 are the dense prefix and every later token is processed by the policy. Loss is the rise of nats per token
over dense. Work is kept batch by batch, so an interrupted run goes on where it stopped, and the tables are made from
what is there. Load comes from the pass without load (`clada_neuro.runtime.fixed_point`). Losses are carried to the asked sparsity along the policy's own curve when two sparsities were run.
"""

import argparse
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats
from tqdm import tqdm

from clada_neuro import load_model
from clada_neuro.artifacts import cache_folder, content_hash, read_table, write_table, write_text
from clada_neuro.baselines.wina import Wina
from clada_neuro.calibration.artifact import Calibration, load_calibration
from clada_neuro.calibration.policies import POLICIES, make_policy
from clada_neuro.models.ffn import FFN
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.fixed_point import scheduled
from clada_neuro.runtime.policy import HIDDEN, INPUT, Policy
from clada_neuro.runtime.scoring import Score, score

LENGTH, PREFIX, BATCH = 256, 32, 8
C4_CALIBRATION = 600  # documents that 01_calibrate_smollm2.py may use
RESULTS = Path(__file__).parent / "results"


def documents(model: LanguageModel, count: int) -> list[tuple[str, list[int]]]:
    folders = [Path(part) for part in os.environ["CLADA_NEURO_DATA"].split(os.pathsep)]
    root = next(folder for folder in folders if (folder / "c4_sample").is_dir())
    lines = (root / "c4_sample" / "c4_sample.jsonl").read_text(encoding="utf-8").splitlines()
    wiki = (root / "wikitext2" / "wiki.test.raw.rebuilt").read_text(encoding="utf-8")
    sources = {
        "c4": [json.loads(line)["text"] for line in lines[C4_CALIBRATION:]],
        "wikitext2": re.split(r"\n(?= = [^=])", wiki),
    }
    found = {name: _cut(model, texts, count) for name, texts in sources.items()}
    alternating = [pair for both in zip(found["c4"], found["wikitext2"], strict=False) for pair in both]
    return (alternating + found["c4"][len(found["wikitext2"]) :])[:count]


def _cut(model: LanguageModel, texts: list[str], count: int) -> list[tuple[str, list[int]]]:
    assert model.start_token_id is not None
    kept: list[tuple[str, list[int]]] = []
    for text in texts:
        ids = [
            model.start_token_id,
            *model.tokenizer(text[: 12 * LENGTH], add_special_tokens=False).input_ids,
        ]
        if len(ids) >= LENGTH and len(kept) < count:
            kept.append((content_hash(text), ids[:LENGTH]))
    return kept


def measure(
    model: LanguageModel,
    calibration: Calibration,
    texts: list[tuple[str, list[int]]],
    cells: list[tuple[str, float]],
) -> pd.DataFrame:
    """One row a document and policy; batches that are on disk are read instead of run."""
    layers = ffn_layers(model.model)
    decisive = {
        name: value
        for name, value in calibration.header.items()
        if name in ("curve", "prefix", "load", "offsets")
    }
    inputs = content_hash(model.weights_hash, decisive, LENGTH, PREFIX)
    folder = cache_folder("analyses", "loss_at_equal_sparsity", inputs)
    frames = []
    batches = [texts[begin : begin + BATCH] for begin in range(0, len(texts), BATCH)]
    for batch in tqdm(batches, desc="documents", unit=f"x{BATCH}"):
        runner = _Runner(model, batch)
        for name, sparsity in [("dense", 0.0), *cells]:
            path = folder / f"{content_hash([key for key, _ in batch])}-{name}-{sparsity}.parquet"
            if not path.is_file():
                unloaded = _policy("no-load", layers, calibration, sparsity)
                scores = runner.run(_policy(name, layers, calibration, sparsity), unloaded)
                rows = [
                    {
                        "document": key,
                        "policy": name,
                        "asked": sparsity,
                        "loss": float(s.surprisal_bits[PREFIX + 1 :].mean()) * math.log(2),
                        "ffn_sparsity": float(s.ffn_sparsity[PREFIX:].mean()),
                    }
                    for (key, _), s in zip(batch, scores, strict=True)
                ]
                write_table(pd.DataFrame(rows), path)
            frames.append(read_table(path))
    found = pd.concat(frames, ignore_index=True)
    dense = found.loc[found["policy"] == "dense"].set_index("document")["loss"]
    found["rise"] = found["loss"] - found["document"].map(dense)
    return found.loc[found["policy"] != "dense"]


class _Runner:
    """One batch of documents under any policy; load is taken from the pass without load, shared by all that need it."""

    def __init__(self, model: LanguageModel, batch: list[tuple[str, list[int]]]) -> None:
        self.model = model.model
        self.texts = [ids for _, ids in batch]
        self.seeds = [int(key, 16) % 2**31 for key, _ in batch]
        self.unloaded: dict[float, list[Score]] = {}

    def run(self, policy: Policy, unloaded: Policy) -> list[Score]:
        scales = None
        if policy.sequential:
            scale = unloaded.base_scale
            if scale not in self.unloaded:
                self.unloaded[scale] = score(self.model, unloaded, self.texts, prefix=PREFIX)
            signals = [(s.surprisal_bits, s.entropy_bits) for s in self.unloaded[scale]]
            scales = [
                scheduled(policy, *pair, PREFIX, seed) for pair, seed in zip(signals, self.seeds, strict=True)
            ]
        return score(self.model, policy, self.texts, prefix=PREFIX, seeds=self.seeds, scales=scales)


def _policy(name: str, layers: list[FFN], calibration: Calibration, sparsity: float) -> Policy:
    """Return a policy by name; ``wina-uniform`` drops one share of inputs and one of neurons in every layer."""
    if name != "wina-uniform":
        return make_policy(name, layers, calibration, sparsity)
    everywhere = torch.ones(len(layers))
    weights = {
        INPUT: torch.stack([f.input_norms for f in layers]),
        HIDDEN: torch.stack([f.neuron_norms for f in layers]),
    }
    return Wina({INPUT: everywhere * sparsity * 0.75, HIDDEN: everywhere * sparsity * 1.5}, weights)


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Per policy and asked sparsity: loss with its interval, and the paired difference from CLADA."""
    rows = []
    for (asked, name), cell in found.groupby(["asked", "policy"], sort=True):
        rise = _at(found, str(name), float(asked))
        clada = _at(found, "clada", float(asked)).reindex(rise.index)
        low, high = _interval(rise)
        row = {
            "policy": name,
            "asked": asked,
            "ffn_sparsity": cell["ffn_sparsity"].mean(),
            "loss_nats": rise.mean(),
            "ci_low": low,
            "ci_high": high,
            "documents": len(rise),
            "tokens": len(rise) * (LENGTH - PREFIX - 1),
        }
        if name != "clada" and clada.notna().all():
            low, high = _interval(clada - rise)
            row |= {
                "clada_minus": (clada - rise).mean(),
                "clada_minus_low": low,
                "clada_minus_high": high,
                "smallest_effect": 2.8 * (clada - rise).std() / math.sqrt(len(rise)),
                "clada_ratio": clada.mean() / rise.mean(),
            }
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["asked", "loss_nats"]).reset_index(drop=True)


def _at(found: pd.DataFrame, name: str, asked: float) -> pd.Series:
    """Each document's loss at exactly the asked mean sparsity, along the policy's own mean curve."""
    own = found.loc[found["policy"] == name]
    cells = own.groupby("asked")[["ffn_sparsity", "rise"]].mean()
    here = own.loc[own["asked"] == asked].set_index("document")["rise"]
    if len(cells) < 2 or asked not in cells.index:
        return here
    nearest = cells.drop(index=asked).iloc[np.abs(cells.drop(index=asked).index - asked).argmin()]
    slope = (cells.loc[asked, "rise"] - nearest["rise"]) / (
        cells.loc[asked, "ffn_sparsity"] - nearest["ffn_sparsity"]
    )
    return here + slope * (asked - cells.loc[asked, "ffn_sparsity"])


def _interval(values: pd.Series) -> tuple[float, float]:
    error = values.std() / math.sqrt(len(values)) * stats.t.ppf(0.975, len(values) - 1)
    return values.mean() - error, values.mean() + error


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=20_000, help="scored tokens of each policy")
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.4])
    parser.add_argument(
        "--policy", nargs="+", default=[name for name in POLICIES if name not in ("dense", "tt")]
    )
    options = parser.parse_args()
    model = load_model("smollm2")
    calibration = load_calibration(model)
    texts = documents(model, math.ceil(options.tokens / (LENGTH - PREFIX - 1)))
    cells = [(name, sparsity) for sparsity in options.sparsity for name in options.policy]
    table = summary(measure(model, calibration, texts, cells)).round(5)
    RESULTS.mkdir(exist_ok=True)
    write_text(RESULTS / "loss_at_equal_sparsity.csv", table.to_csv(index=False))
    print(table.to_string())


if __name__ == "__main__":
    main()
