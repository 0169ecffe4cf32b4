"""What does it cost to leave out weights of attention, too, up to half of all linear weights of the layers?

    python analyses/30_whole_model.py [--calibration FILE] [--documents 24] [--sparsity 0.25 0.4 0.5] [--policy clada …]
    python analyses/30_whole_model.py --tables | --speeds

The documents of 02_loss_at_equal_sparsity.py: C4 that calibration has not seen and WikiText-2, 256 tokens each, the first 32 a dense
prefix, every later token under the policy. Sparsity is the share of the bytes of all linear maps of the layers that is not read
(`linear_sparsity`; embedding and output layer left out), of a calibration of scope ``all`` (the one that ships, or FILE, which
`01_calibrate_smollm2.py --scope all` makes); policies are carried to exactly the asked one along their own curve.
*clada-ffn* leaves out as many bytes from feed-forward blocks alone, with the calibration of scope ``ffn``. Work is kept batch by batch; results/whole_model/ gets
a table and a page, which also holds how fast decoding is (`03_decode_speed.py smollm2 --scope all`, a table a precision); ``--speeds`` writes
that part anew and leaves the rest as it is.
"""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from _shared.equal_sparsity import BATCH, LENGTH, MEASURES, PREFIX, carried, documents, estimate
from _shared.results import results_folder
from _shared.whole_model_page import TIMED, page, timings
from tqdm import tqdm

from clada_neuro import load_model
from clada_neuro.artifacts import cache_folder, output_folder, read_table, write_table, write_text
from clada_neuro.bench.engines import weight_bytes
from clada_neuro.cache import Store, cache_key
from clada_neuro.calibration.loss import Cost, Yardstick
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Here
from clada_neuro.models.registry import policy_layers
from clada_neuro.passes.pieces import PIECE
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.policies.registry import make_policy
from clada_neuro.runtime.policy import ALL, FFN_ONLY, SCOPES, Policy, attention_reads, reads

SHARE = "linear_sparsity"
BLOCKS_ALONE = "clada-ffn"
REFERENCES = ("clada", "no-load")  # the first that was measured is compared with the others
NAMES = ("clada", "no-load", "teal", "wina", BLOCKS_ALONE)


class Experiment:
    """Every policy on every batch of documents; what is on disk is read instead of run."""

    def __init__(self, model: LanguageModel, file: Path | None) -> None:
        self.model, self.layers = model, policy_layers(model.model)
        self.calibrations = {
            FFN_ONLY: load_calibration(model),
            ALL: load_calibration(model, file, ALL),
        }
        decided = [self.calibrations[scope].identity for scope in SCOPES]
        key = cache_key(__name__, decided, LENGTH, PREFIX, BATCH)
        folder = cache_folder("analyses", "whole_model", key)
        self.cells = output_folder(folder / "cells")
        self.pieces = Store(folder / "passes", key, PIECE)
        block = reads(self.layers[0], ())
        self.blocks = block.total / (block + attention_reads(self.layers[0].attention, ())).total

    def reaches(self, name: str, asked: float) -> bool:
        """Return whether a policy can leave out as much."""
        reach = self.calibrations[FFN_ONLY].header["curve"]["ffn_sparsity"][-1] * self.blocks
        return name != BLOCKS_ALONE or asked <= reach

    def policy(self, name: str, asked: float) -> Policy:
        """Return a policy that leaves out a share of all linear weights."""
        if name.endswith(f"-{FFN_ONLY}"):
            own = name.removesuffix(f"-{FFN_ONLY}")
            return make_policy(own, self.layers, self.calibrations[FFN_ONLY], asked / self.blocks)
        return make_policy(name, self.layers, self.calibrations[ALL], asked)

    def run(self, tokens: torch.Tensor, cells: list[tuple[str, float]]) -> None:
        """Measure the missing cells, all of a batch before the next."""
        for number, batch in enumerate(tqdm(tokens.split(BATCH), desc="documents", unit=f"x{BATCH}")):
            missing = [cell for cell in cells if not self._path(number, *cell).is_file()]
            if not missing:
                continue
            yardstick = Yardstick(
                Here(self.model), batch, PREFIX, self.pieces, f"{number:04d}", lambda count: None
            )
            for name, asked in missing:
                found = self._measure(yardstick, name, asked)
                first = number * BATCH
                whole = found.assign(document=range(first, first + len(found)), policy=name, asked=asked)
                write_table(whole, self._path(number, name, asked))

    def _measure(self, yardstick: Yardstick, name: str, asked: float) -> pd.DataFrame:
        def measured(label: str, load_from: Cost | None = None) -> Cost:
            return yardstick.measure(f"{label}-{asked:g}", self.policy(label, asked), load_from)

        policy = self.policy(name, asked)
        unloaded = name.replace("clada", "no-load")
        cost = measured(name, measured(unloaded) if policy.sequential else None)
        sites = (*policy.attention_sites, *policy.sites)
        part = 1.0 if policy.scope == ALL else self.blocks
        columns = {"loss": cost.loss, "divergence": cost.divergence, SHARE: cost.sparsity * part}
        columns |= dict(zip(sites, cost.dropped.unbind(1), strict=True))
        return pd.DataFrame({column: values.numpy() for column, values in columns.items()})

    def found(self) -> pd.DataFrame:
        """Return one row a document, policy and asked sparsity."""
        return pd.concat(map(read_table, sorted(self.cells.glob("*.parquet"))), ignore_index=True)

    def _path(self, number: int, name: str, asked: float) -> Path:
        return self.cells / f"{number:04d}-{name}-{asked:g}.parquet"


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Per asked sparsity and policy: what was left out at each site, loss and divergence, and CLADA's differences, with intervals.

    CLADA without load stands for it where it alone was measured.
    """
    rows = []
    at = partial(carried, found, share=SHARE)
    reference = next(name for name in REFERENCES if (found["policy"] == name).any())
    for (asked, name), cell in found.groupby(["asked", "policy"], sort=True):
        row = {
            "policy": name,
            "asked": asked,
            "compared_with": reference,
            SHARE: cell[SHARE].mean(),
            **cell[["qkv", "out", "input", "hidden"]].mean().fillna(0.0).to_dict(),
            "documents": len(cell),
            "tokens": len(cell) * (LENGTH - PREFIX - 1),
        }
        for measure in MEASURES:
            own, clada = at(measure, str(name), float(asked)), at(measure, reference, float(asked))
            row |= estimate(measure, own)
            difference = (clada - own).dropna()
            if name != reference and len(difference) > 1:
                row |= estimate(f"clada_minus_{measure}", difference)
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["asked", "loss"]).reset_index(drop=True)


def ceilings(blocks: float, others: float, attention: float, sparsities: list[float]) -> pd.DataFrame:
    """Return how much faster decoding can become where only weight bytes count, by scope and sparsity of that scope.

    ``blocks`` and ``others`` are the bytes that a token reads in feed-forward blocks and elsewhere, ``attention`` those of
    attention's maps among the latter.
    """
    whole = others + blocks
    spared = {FFN_ONLY: blocks, ALL: blocks + attention}
    return pd.DataFrame(
        [
            {"scope": scope, "sparsity": s, "ceiling": whole / (whole - s * size)}
            for scope, size in spared.items()
            for s in [*sparsities, 1.0]
        ]
    )


def speeds(folder: Path) -> list[tuple[str, pd.DataFrame]]:
    """Return the command and the table of each precision in which decoding was timed in scope ``all``."""
    return [
        (
            path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "),
            pd.read_csv(path, comment="#"),
        )
        for path in sorted(folder.glob("smollm2_*_all.csv"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=24)
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.25, 0.4, 0.5])
    parser.add_argument("--policy", nargs="+", default=NAMES)
    parser.add_argument("--calibration", type=Path, help="of scope all; default: the one that ships")
    parser.add_argument("--tables", action="store_true", help="only make the tables")
    parser.add_argument("--speeds", action="store_true", help="only write the page's speeds anew")
    options = parser.parse_args()
    results = results_folder(__file__)
    timed = timings(speeds(results.parent / "decode_speed"))
    if options.speeds:
        path = results / "whole_model.md"
        losses = path.read_text(encoding="utf-8").partition(TIMED)[0].rstrip()
        write_text(path, f"{losses}\n\n{timed}")
        return
    experiment = Experiment(load_model("smollm2"), options.calibration)
    if not options.tables:
        cells = [(n, s) for s in options.sparsity for n in options.policy if experiment.reaches(n, s)]
        experiment.run(documents(experiment.model, options.documents), cells)
    table = summary(experiment.found()).round(5)
    blocks, others = weight_bytes(experiment.model.model)
    attention = sum(attention_reads(ffn.attention).total for ffn in experiment.layers)
    limits = ceilings(blocks, others, attention, options.sparsity)
    write_text(results / "whole_model.csv", table.to_csv(index=False))
    write_text(results / "whole_model.md", page(table, limits, experiment.calibrations[ALL]) + timed)
    print(table.to_string())


if __name__ == "__main__":
    main()
