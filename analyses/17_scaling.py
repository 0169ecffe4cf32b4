"""What one shard costs: tokens per second, bytes to a worker and back, the client's time to store it.

    python analyses/17_scaling.py --threads 1 2      # SmolLM2, float32, the demonstration's stimuli, repeated

Writes results/scaling/scaling.csv; docs/scaling.md does the arithmetic.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from _shared.results import results_folder
from distributed.protocol import dumps

from clada_neuro.artifacts import write_text
from clada_neuro.instrument.shards import Disk, cut
from clada_neuro.scale.setting import Setting
from clada_neuro.scale.worker import measure, unpack
from clada_neuro.study.named import resolve_stimuli

RESULT = results_folder(__file__) / "scaling.csv"


def shards(count: int) -> list[pd.DataFrame]:
    """Repeat the demonstration's stimuli to full shards."""
    demo = resolve_stimuli("demo")
    rounds = 1 + count * 16_000 // demo["sentence"].str.len().sum()
    copies = [
        demo.assign(stimulus_id=demo["stimulus_id"] + f"#{k}", item=demo["item"] + f"#{k}")
        for k in range(rounds + 1)
    ]
    return cut(pd.concat(copies, ignore_index=True))[:count]


def costs(threads: int, parts: list[pd.DataFrame], folder: Path) -> list[dict[str, float]]:
    """Return what each shard costs with so many threads."""
    setting = Setting(threads=threads)
    described = setting.measurer(progress=False).described
    store = Disk(folder, "inputs")
    measure(parts[0].head(8), setting, described)  # loads the model, compiles kernels
    rows = []
    for number, shard in enumerate(parts):
        begun = time.perf_counter()
        found = measure(shard, setting, described)
        measured = time.perf_counter()
        frames = unpack(found)
        store.put(number, frames)
        stored = time.perf_counter()
        rows.append(
            {
                "threads": torch.get_num_threads(),
                "stimuli": len(shard),
                "words": len(frames["words"]),
                "tokens": len(frames["tokens"]),
                "seconds": measured - begun,
                "tokens_per_s": len(frames["tokens"]) / (measured - begun),
                "bytes_in": sum(map(len, dumps(shard))),
                **{f"bytes_out_{name}": len(content) for name, content in found.items()},
                "store_seconds": stored - measured,
                "load_average": os.getloadavg()[0],
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shards", type=int, default=2)
    options = parser.parse_args()
    parts, rows = shards(options.shards), []
    for threads in options.threads:
        with tempfile.TemporaryDirectory() as folder:
            rows += costs(threads, parts, Path(folder))
    table = pd.DataFrame(rows).round(3)
    write_text(RESULT, table.to_csv(index=False))
    print(table.T.to_string(header=False))


if __name__ == "__main__":
    main()
