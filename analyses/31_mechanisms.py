"""Can load and prefix earn more than a linear scale of thresholds does, at equal feed-forward bytes?

    python analyses/31_mechanisms.py [--idea mean …] [--documents 96] [--sparsity 0.4]
    python analyses/31_mechanisms.py --tables

Every idea of `_shared/mechanisms.py` against CLADA without load and against its own controls: the same budgets handed to other tokens
(random), turned (reversed), another text's prefix (foreign); bounds look at what cannot be known. C4 documents that
calibration has not seen and WikiText-2 articles, 128 tokens each, the first 32 a dense prefix; settings and fits come from 24 documents
that calibration may see. Load is read from the pass without load. Each policy is carried to exactly the asked sparsity along the slope of CLADA
without load. One cell a file (policy × 8 documents), so an interrupted run goes on where it stopped; results/mechanisms/ gets a
table, what settings were tried, a page and a figure. About 70 minutes of processor time.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from _shared.equal_sparsity import POWER, cut, documents, estimate
from _shared.marginal_loss import explained
from _shared.mechanism_texts import LENGTH, PREFIX, Texts, by_text
from _shared.mechanisms import BASE, IDEAS, SHIPS, Mechanisms, in_order, persistence
from _shared.mechanisms_page import figure, page
from _shared.results import results_folder
from _shared.texts import c4_for_calibration
from _shared.token_costs import Costs

from clada_neuro import load_model
from clada_neuro.artifacts import cache_folder, content_hash, write_text
from clada_neuro.cache import Store
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.pieces import PIECE
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.runtime.policy import Policy

RULES = 1  # raised by hand where what a cell holds changes its meaning
FIT_DOCUMENTS, FIT_FROM = 24, 300  # of C4's calibration part
STEP = 0.04  # of sparsity, for the slope of loss
SLOPE_BATCHES = 3


@dataclass(frozen=True)
class Line:
    """How divergence rises with sparsity, and log thresholds with it, along CLADA without load."""

    slope: dict[str, float]
    log_scale: float

    def carried(self, found: dict[str, torch.Tensor], target: float) -> dict[str, pd.Series]:
        """Return each text's loss and divergence at exactly the target."""
        gap = target - float(found["ffn_sparsity"].mean())
        return {name: pd.Series((found[name] + slope * gap).numpy()) for name, slope in self.slope.items()}


@dataclass(frozen=True)
class Chosen:
    """The setting of an idea that lost least on calibration texts, and the offset that meets the sparsity."""

    setting: float
    offset: float


class Experiment:
    """Ideas are set on calibration texts and measured on others."""

    def __init__(self, model: LanguageModel, count: int, target: float) -> None:
        calibration, layers = load_calibration(model), ffn_layers(model.model)
        key = content_hash(calibration.identity, LENGTH, PREFIX, RULES)
        pieces = Store(cache_folder("analyses", "mechanisms", key), key, PIECE)
        fit = torch.tensor(cut(model, c4_for_calibration()[FIT_FROM:], FIT_DOCUMENTS))[:, :LENGTH]
        own = documents(model, count)[:, :LENGTH]
        self.target, self.identity = target, calibration.identity
        self.fit, self.own = Texts(model, fit, pieces, "fit"), Texts(model, own, pieces, "own")
        self.mechanisms = Mechanisms(layers, calibration, target, self.fit)

    @cached_property
    def line(self) -> Line:
        """Of the first of the texts that are measured."""
        low, high = (by_text(self._beside(step)) for step in (-STEP, STEP))
        wider = float((high["ffn_sparsity"] - low["ffn_sparsity"]).mean())
        scales = [self.mechanisms.base(step).base_scale for step in (-STEP, STEP)]
        slope = {name: float((high[name] - low[name]).mean()) / wider for name in ("loss", "divergence")}
        return Line(slope, math.log(scales[1] / scales[0]) / wider)

    def _beside(self, step: float) -> Costs:
        label = self.mechanisms.label(f"{BASE}{step:+g}")
        return self.own.costs(label, lambda row: self.mechanisms.base(step), first=SLOPE_BATCHES)

    def measured(self, texts: Texts, name: str, setting: float, offset: float) -> Costs:
        """Return the costs of a mechanism or control on texts."""
        self.mechanisms.base_costs(texts)
        label = _with_offset(self.mechanisms.label(name, setting), offset)
        policies: list[Callable[[int], Policy]] = []  # made where a cell is missing

        def policy(row: int) -> Policy:
            if not policies:
                policies.append(self.mechanisms.policies(name, setting, offset, texts))
            return policies[0](row)

        return texts.costs(label, policy)

    def tried(self, idea: str) -> pd.DataFrame:
        """Return what each setting of an idea costs on calibration texts over none, at equal bytes, and its offset."""
        rows: list[dict[str, Any]] = []
        if len(IDEAS[idea].settings) == 1:
            return pd.DataFrame(rows)
        base = self.line.carried(by_text(self.mechanisms.base_costs(self.fit)), self.target)["divergence"]
        for setting in IDEAS[idea].settings:
            found = by_text(self.measured(self.fit, idea, setting, 0.0))
            cost = self.line.carried(found, self.target)["divergence"] - base
            sparsity = float(found["ffn_sparsity"].mean())
            row = {"idea": idea, "setting": setting, "ffn_sparsity": sparsity, **estimate("difference", cost)}
            rows.append(row | {"offset": round((self.target - sparsity) * self.line.log_scale, 4)})
        return pd.DataFrame(rows)

    def chosen(self, idea: str) -> Chosen:
        """Return the setting that lost least, or the only one."""
        tried = self.tried(idea)
        if tried.empty:
            return Chosen(IDEAS[idea].settings[0], 0.0)
        best = tried.loc[tried["difference"].idxmin()]
        return Chosen(float(best["setting"]), float(best["offset"]))

    def run(self, name: str) -> None:
        """Measure an idea or a variant of it."""
        self.measured(self.own, name, **asdict(self.chosen(_idea(name))))

    def found(self) -> list[str]:
        """Return the names of which every cell is there, each idea before its variants."""
        names = [name for idea, own in IDEAS.items() for name in own.names(idea)]
        return [name for name in names if self._is_set(_idea(name)) and self._has(name)]

    def _is_set(self, idea: str) -> bool:
        settings = IDEAS[idea].settings
        labels = (self.mechanisms.label(idea, setting) for setting in settings)
        return len(settings) == 1 or all(map(self.fit.has, labels))

    def _has(self, name: str) -> bool:
        chosen = self.chosen(_idea(name))
        return self.own.has(_with_offset(self.mechanisms.label(name, chosen.setting), chosen.offset))

    def known(self) -> dict[str, tuple[float, float]]:
        """Return how much of the divergence under CLADA without load is known before each token."""
        return explained(self.mechanisms.base_costs(self.own), PREFIX)

    def kept(self) -> dict[str, tuple[float, float]]:
        """Return what of a text goes on after its prefix."""
        return persistence(self.mechanisms.gathered(self.fit))

    def table(self) -> pd.DataFrame:
        """Return a row a policy: loss and divergence with intervals over texts, and differences from what it stands against."""
        every = {BASE: self.mechanisms.base_costs(self.own)}
        for name in self.found():
            every[name] = self.measured(self.own, name, **asdict(self.chosen(_idea(name))))
        return compared({name: by_text(costs) for name, costs in every.items()}, self.line, self.target)


def _idea(name: str) -> str:
    return name.partition("-")[0]


def _with_offset(label: str, offset: float) -> str:
    return label if offset == 0 else f"{label}-{offset:.4f}"


def compared(texts: dict[str, dict[str, torch.Tensor]], line: Line, target: float) -> pd.DataFrame:
    """Return a row a policy of ``texts``, at exactly the target.

    ``base``: divergence minus that of CLADA without load; ``idea``: minus that of the idea whose control a row is; ``ships``: minus that of
    the load that ships. ``smallest`` is the difference that this many documents would have shown four times in five.
    """
    carried = {name: line.carried(found, target) for name, found in texts.items()}
    rows = []
    for name, own in carried.items():
        idea = _idea(name) if name != BASE else BASE
        row = {"policy": name, "idea": idea, "ffn_sparsity": float(texts[name]["ffn_sparsity"].mean())}
        row |= {"documents": len(own["loss"]), **estimate("loss", own["loss"])}
        row |= estimate("divergence", own["divergence"])
        for against, other in (("base", BASE), ("idea", idea), ("ships", SHIPS)):
            if other != name and other in carried:
                for measure in ("divergence", "loss"):
                    difference = own[measure] - carried[other][measure]
                    row |= estimate(f"{against}_{measure}", difference)
                    row[f"{against}_{measure}_smallest"] = POWER * difference.sem()
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--idea", nargs="+", default=list(IDEAS), choices=list(IDEAS))
    parser.add_argument("--documents", type=int, default=96)
    parser.add_argument("--sparsity", type=float, default=0.4)
    parser.add_argument("--tables", action="store_true", help="only make the tables")
    options = parser.parse_args()
    experiment = Experiment(load_model("smollm2"), options.documents, options.sparsity)
    for name in () if options.tables else in_order():
        if _idea(name) in options.idea:
            experiment.run(name)
            write(experiment)
    write(experiment)


def write(experiment: Experiment) -> None:
    """Write table, page and figure of all that was measured."""
    table = experiment.table()
    measured = dict.fromkeys(_idea(name) for name in experiment.found())
    tried = pd.concat([experiment.tried(idea) for idea in measured] or [pd.DataFrame()], ignore_index=True)
    results, target = results_folder(__file__), experiment.target
    name = "mechanisms" if target == 0.4 else f"mechanisms_{target:g}"
    write_text(results / f"{name}.csv", table.round(5).to_csv(index=False))
    write_text(results / f"{name}_settings.csv", tried.round(5).to_csv(index=False))
    known, kept = experiment.known(), experiment.kept()
    write_text(results / f"{name}.md", page(table, tried, known, kept, experiment.identity, target))
    figure(table, results / f"{name}.png")
    print(table[["policy", "ffn_sparsity", "loss", "divergence"]].to_string(), flush=True)


if __name__ == "__main__":
    main()
