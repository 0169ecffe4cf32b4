"""What does each policy lose at equal feed-forward sparsity?

    python analyses/02_loss_at_equal_sparsity.py [--tokens 20000] [--sparsity 0.4 …] [--policy clada …] [--name NAME]
    python analyses/02_loss_at_equal_sparsity.py --tables [--name NAME]

C4 documents that calibration has not seen and WikiText-2 articles, alternating, 256 tokens each with the start token;
the first 32 are the dense prefix and every later token is processed by the policy. Loss is the rise of nats per token
over dense; divergence is KL(dense ‖ policy), the expected rise, which has less noise. Work is kept batch by batch, so
an interrupted run goes on where it stopped; ``--tables`` makes the tables of results/loss_at_equal_sparsity/ from all
that is there, ``--name`` beside others. Load comes from the pass without load (`clada_neuro.runtime.fixed_point`). Every policy is carried to exactly the
asked sparsity along its own curve where it was run at two, else along that of CLADA without load.
"""

import argparse
import math
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from _shared.equal_sparsity import (
    BATCH,
    LENGTH,
    MEASURES,
    POWER,
    PREFIX,
    carried,
    cut,
    documents,
    estimate,
)
from _shared.loss_compensations import COMPENSATIONS, Compensations
from _shared.loss_page import page
from _shared.loss_variants import LOAD_VARIANTS, SIMPLER_RULES, SimplerRules, load_variant
from _shared.results import results_folder
from _shared.texts import c4_for_calibration
from tqdm import tqdm

from clada_neuro import load_model
from clada_neuro.artifacts import (
    cache_folder,
    content_hash,
    output_folder,
    package_data,
    read_table,
    write_table,
    write_text,
)
from clada_neuro.cache import Store, cache_key
from clada_neuro.calibration.loss import Yardstick
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Here
from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.pieces import PIECE
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.policies.controls import ForeignPrefix
from clada_neuro.policies.registry import POLICIES, make_policy
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.policy import Policy

FIT_DOCUMENTS = 16  # of those that calibration may see, for thresholds that the calibration does not hold
STEP, SLOPE_DOCUMENTS = 0.04, 24  # of sparsity and how many, for the slope of loss
NOTICEABLE = 0.002  # nats: what reallocating by load is expected to give


class Experiment:
    """Every policy on every batch of documents; what is on disk is read instead of run."""

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.layers = model, ffn_layers(model.model)
        self.calibration = load_calibration(model)
        shipped = package_data("calibration", f"{model.weights_hash}.safetensors")
        inputs = cache_key(__name__, shipped, LENGTH, PREFIX, BATCH)
        folder = cache_folder("analyses", "loss_at_equal_sparsity", inputs)
        self.cells = output_folder(folder / "cells")
        self.pieces = Store(folder / "passes", inputs, PIECE)
        self.fit_tokens = torch.tensor(cut(model, c4_for_calibration(), FIT_DOCUMENTS))
        fitted = (model.model, self.layers, self.calibration, self.fit_tokens)
        self.simpler, self.compensations = SimplerRules(*fitted), Compensations(*fitted)

    def policy(self, name: str, sparsity: float) -> Policy:
        if name in LOAD_VARIANTS:
            return load_variant(name, self.calibration, sparsity)
        if name in SIMPLER_RULES:
            return self.simpler.policy(name, sparsity)
        if name in COMPENSATIONS:
            return self.compensations.policy(name, sparsity)
        return make_policy(name, self.layers, self.calibration, sparsity)

    def run(self, tokens: torch.Tensor, cells: list[tuple[str, float]]) -> None:
        """Measure the missing cells, all of a batch before the next."""
        for number, batch in enumerate(tqdm(tokens.split(BATCH), desc="documents", unit=f"x{BATCH}")):
            missing = [cell for cell in cells if not self._path(number, *cell).is_file()]
            if not missing:
                continue
            yardstick = Yardstick(
                Here(self.model), batch, PREFIX, self.pieces, f"{number:04d}", lambda count: None
            )
            for name, sparsity in missing:
                write_table(
                    self._measure(yardstick, name, sparsity, number), self._path(number, name, sparsity)
                )

    def _measure(self, yardstick: Yardstick, name: str, sparsity: float, number: int) -> pd.DataFrame:
        measure = partial(self._pass, yardstick)
        policy = self.policy(name, sparsity)
        load_from = measure("no-load", sparsity) if policy.sequential else None
        cost = yardstick.measure(_label(name, sparsity, policy), policy, load_from)
        columns = {"loss": cost.loss, "divergence": cost.divergence, "ffn_sparsity": cost.sparsity}
        frame = pd.DataFrame({column: values.numpy() for column, values in columns.items()})
        first = number * BATCH
        return frame.assign(document=range(first, first + len(frame)), policy=name, asked=sparsity)

    def _pass(self, yardstick: Yardstick, name: str, sparsity: float):
        policy = self.policy(name, sparsity)
        return yardstick.measure(_label(name, sparsity, policy), policy)

    def found(self) -> pd.DataFrame:
        """One row a document, policy and asked sparsity."""
        return pd.concat(map(read_table, sorted(self.cells.glob("*.parquet"))), ignore_index=True)

    def _path(self, number: int, name: str, sparsity: float) -> Path:
        return self.cells / f"{number:04d}-{name}-{sparsity:g}.parquet"


def _label(name: str, sparsity: float, policy: Policy) -> str:
    """Name a pass; a control that takes out what was not chosen is CLADA itself and shares its pass."""
    itself = type(policy) is Clada or (isinstance(policy, ForeignPrefix) and policy.gamma == 0)
    if not isinstance(policy, Clada) or not itself or name in SIMPLER_RULES:
        return f"{name}-{sparsity:g}"
    plain = policy.mean_of_dropped is None
    parts = (policy.gamma, policy.kappa, str(policy.signal), policy.reanalysis_load, policy.base_scale, plain)
    return f"clada-{content_hash(*parts)}"


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Per policy and asked sparsity: loss and divergence with intervals over documents, and CLADA's differences."""
    rows = []
    for (asked, name), cell in found.groupby(["asked", "policy"], sort=True):
        loss, divergence = (carried(found, measure, str(name), float(asked)) for measure in MEASURES)
        row = {
            "policy": name,
            "asked": asked,
            "ffn_sparsity": cell["ffn_sparsity"].mean(),
            "documents": len(cell),
            "tokens": len(cell) * (LENGTH - PREFIX - 1),
            **estimate("loss", loss),
            **estimate("divergence", divergence),
        }
        for measure, own in zip(MEASURES, (loss, divergence), strict=True):
            clada = carried(found, measure, "clada", float(asked)).reindex(own.index).dropna()
            if name != "clada" and len(clada) > 1:
                difference = clada - own[clada.index]
                row |= estimate(f"clada_minus_{measure}", difference)
                row[f"smallest_{measure}"] = POWER * difference.std() / math.sqrt(len(difference))
                row[f"clada_ratio_{measure}"] = clada.mean() / own[clada.index].mean()
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["asked", "loss"]).reset_index(drop=True)


def results_page(experiment: Experiment, table: pd.DataFrame) -> str:
    found = experiment.found()

    def difference(one: str, other: str, asked: float) -> pd.Series:
        values = [carried(found, "divergence", name, asked) for name in (one, other)]
        return (values[0] - values[1]).dropna()

    return page(
        table, difference, NOTICEABLE, f"made from texts {experiment.calibration.header['texts']['hash']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=20_000, help="scored tokens of each policy")
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.4])
    parser.add_argument("--policy", nargs="+", default=[*POLICIES[1:], *SIMPLER_RULES, *COMPENSATIONS])
    parser.add_argument("--load-variants", action="store_true", help="measure those instead of --policy")
    parser.add_argument("--tables", action="store_true", help="only make the tables")
    parser.add_argument("--name", default="loss_at_equal_sparsity", help="of the tables")
    options = parser.parse_args()
    experiment = Experiment(load_model("smollm2"))
    if not options.tables:
        names = LOAD_VARIANTS if options.load_variants else options.policy
        reach = experiment.calibration.header["baselines"]["tt_reach"]
        cells = [(name, s) for s in options.sparsity for name in names if name != "tt" or s <= reach]
        texts = documents(experiment.model, math.ceil(options.tokens / (LENGTH - PREFIX - 1)))
        slope = [("no-load", round(0.4 + step, 2)) for step in (-STEP, STEP)]
        experiment.run(texts[:SLOPE_DOCUMENTS], slope)
        experiment.run(texts, cells)
    table = summary(experiment.found()).round(5)
    results = results_folder(__file__)
    write_text(results / f"{options.name}.csv", table.to_csv(index=False))
    write_text(results / f"{options.name}.md", results_page(experiment, table))
    print(table.to_string())


if __name__ == "__main__":
    main()
