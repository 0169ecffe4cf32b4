"""Does the similarity of activity grow with the length of the stretch that two sequences share before they part?

Length of the stretch x kind of sequence (natural, tokens with natural frequencies, tokens drawn uniformly) x target
(the same or another token), at several distances from the parting, each with pairs of its own. At one distance every
sequence is in one pair and every pair in one cell; intervals come from resampled pairs.
"""

from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.cache import TABLE, Store
from clada_neuro.instrument.pairs import PairLayout, dealt, similarity
from clada_neuro.instrument.sequences import KINDS, Corpus
from clada_neuro.models.loading import LanguageModel
from clada_neuro.questions.analysis import Progress
from clada_neuro.questions.corpus import read_corpus
from clada_neuro.questions.page import Answer
from clada_neuro.questions.parts import part_r2
from clada_neuro.questions.prefix_page import PrefixTables, prefix_answer
from clada_neuro.questions.settings import PrefixSettings
from clada_neuro.stats.compare import adjust
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.panel import Panel, panel_fit

MEASURES = ("cosine", "jaccard")
_CELLS = ["distance", "kind", "target", "shared"]
# terms, and the same without the shared length
_EACH = ("target + shared_same + shared_other", "target")
_TOGETHER = ("log_shared * kind + target", "kind + target")


def stretches(layout: PairLayout) -> tuple[int, ...]:
    """Return the lengths compared: none, powers of two, and all tokens before the parting."""
    longest = layout.parting
    return (0, *(2**power for power in range(longest.bit_length()) if 2**power < longest), longest)


def prefix(model: LanguageModel, settings: PrefixSettings, folder: Path, progress: Progress) -> Answer:
    """Measure pairs, keeping them in `folder`, and fit similarity on the shared length."""
    corpus = Corpus.of(read_corpus(settings.corpus), model, settings.position + 1)
    parts = []
    for layout, kind in product(layouts(settings), KINDS):
        parts.append(_measured(kind, layout, corpus, model, settings, folder))
        progress(f"{kind}, {layout.distance} after parting: {parts[-1]['pair'].nunique()} pairs measured")
    return prefix_answer(analyze(pd.concat(parts), settings), model.describe(), asdict(settings))


def layouts(settings: PrefixSettings) -> tuple[PairLayout, ...]:
    """Return where sequences part and are compared, nearest first."""
    return tuple(PairLayout(settings.position, distance) for distance in sorted(set(settings.distances)))


def _measured(
    kind: str,
    layout: PairLayout,
    corpus: Corpus,
    model: LanguageModel,
    settings: PrefixSettings,
    folder: Path,
) -> pd.DataFrame:
    """Return a row a pair and layer, from `folder` where the same pairs stand there."""
    design, first, second = draw_pairs(kind, layout, corpus, settings)
    store = Store.of(
        folder, similarity.__module__, first, second, model.describe(), model.threads, codec=TABLE
    )

    def rows() -> pd.DataFrame:
        found = similarity(first, second, model, progress=True)
        pairs, layers = found["cosine"].shape
        rows = design.loc[np.repeat(np.arange(pairs), layers)].reset_index(drop=True)
        rows["layer"] = np.tile(np.arange(layers), pairs)
        return rows.assign(**{name: values.ravel() for name, values in found.items()})

    return store.once(f"{kind}_{layout.distance}", rows)


def draw_pairs(
    kind: str, layout: PairLayout, corpus: Corpus, settings: PrefixSettings
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Draw the pairs of one kind of sequence at one distance.

    Returns
    -------
    A row a pair (pair, distance, kind, shared, target, n_chance), and both sequences, shape (pairs, length). Pairs that agree by
    chance where they should differ are left out; `n_chance` counts them.
    """
    number, distance = settings.pairs, layout.distance
    rng = np.random.default_rng([settings.seed, distance, KINDS.index(kind)])
    ids = corpus.sequences(kind, 2 * number, layout.length, int(rng.integers(2**31)))
    rows, first, second = [], [], []
    for pair, (stretch, same) in enumerate(dealt(number, stretches(layout), rng)):
        one, other = ids[2 * pair], ids[2 * pair + 1]
        changed = layout.share(one, other, stretch, same_target=same)
        if layout.is_valid(one, changed, stretch, same_target=same):
            rows.append((f"{kind} {distance} {pair}", distance, kind, stretch, "same" if same else "other"))
            first.append(one)
            second.append(changed)
    design = pd.DataFrame(rows, columns=["pair", "distance", "kind", "shared", "target"])
    return design.assign(n_chance=number - len(rows)), np.stack(first), np.stack(second)


def analyze(layers: pd.DataFrame, settings: PrefixSettings) -> PrefixTables:
    """Fit similarity on the logarithm of the shared length; `layers` has a row a pair and layer."""
    keys = ["pair", *_CELLS, "n_chance"]
    pairs = layers.groupby(keys, sort=False)[list(MEASURES)].mean().reset_index()
    pairs["log_shared"] = np.log2(1 + pairs["shared"])
    for target in ("same", "other"):
        pairs[f"shared_{target}"] = pairs["log_shared"] * (pairs["target"] == target)
    models, coefficients = [], []
    for distance, measure, kind in product(sorted(pairs["distance"].unique()), MEASURES, (*KINDS, "all")):
        some = pairs.loc[(pairs["distance"] == distance) & ((pairs["kind"] == kind) | (kind == "all"))]
        panel, row = _fit(some, measure, *(_TOGETHER if kind == "all" else _EACH), settings)
        cell = {"distance": int(distance), "measure": measure, "kind": kind}
        models.append({**cell, **row})
        coefficients.append(panel.table().assign(**cell))
    table = pd.concat(coefficients, ignore_index=True)
    return PrefixTables(
        pairs,
        _cells(pairs, _CELLS),
        _cells(layers, [*_CELLS, "layer"]),
        pd.DataFrame(models),
        adjust(table.loc[table["term"] != "(Intercept)"].reset_index(drop=True), family="measure"),
    )


def _fit(
    pairs: pd.DataFrame, measure: str, terms: str, reduced: str, settings: PrefixSettings
) -> tuple[Panel, dict[str, Any]]:
    """Fit by least squares, with R² and the part of it that the shared length adds to the `reduced` terms."""
    panel = panel_fit(
        pairs, f"{measure} ~ {terms}", sequence="pair", order="shared", standardize=False, engine="statsmodels",
        bootstrap=settings.bootstrap, seed=settings.seed,
    )  # fmt: skip
    smaller = estimate(specify(pairs, f"{measure} ~ {reduced}"), engine="statsmodels")
    part = part_r2(panel.fit, smaller, "pair", replicates=settings.bootstrap, seed=settings.seed)
    return panel, {
        "n_pairs": panel.fit.n_obs,
        "r2_marginal": panel.fit.r2().marginal,
        "part_shared": part.value,
        "part_low": part.low,
        "part_high": part.high,
    }


def _cells(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return each cell's number of pairs, means and standard errors."""
    found = rows.groupby(keys)[list(MEASURES)].agg(["mean", "sem"])
    found.columns = ["_".join(names) for names in found.columns]
    return found.assign(n_pairs=rows.groupby(keys).size()).reset_index()
