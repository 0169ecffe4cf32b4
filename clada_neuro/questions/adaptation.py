"""Do surprisal and entropy predict how far activity moves from the token before?

One row a token, activity averaged over layers; natural text beside two kinds of random tokens and shuffled signals.
What the two signals explain is their part R²: R²m with surprisal, entropy and their product, less R²m without.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.cache import TABLE, Store
from clada_neuro.instrument.sequences import KINDS, Corpus, Measured, measure
from clada_neuro.models.loading import LanguageModel
from clada_neuro.questions.adaptation_page import AdaptationTables, adaptation_answer
from clada_neuro.questions.analysis import Progress
from clada_neuro.questions.corpus import read_corpus
from clada_neuro.questions.page import Answer
from clada_neuro.questions.parts import part_r2
from clada_neuro.questions.settings import AdaptationSettings
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.panel import R2, Panel, layer_curve, panel_fit, r2_by_level, shuffled

SIGNALS = ("surprisal_bits", "entropy_bits", "surprisal_bits:entropy_bits")
CONTROLS = ("log_prefix", "log_frequency", "position", "surprisal_lag1", "adjustment_lag1")
SPARSITY = "sparsity_energy99"
_SEQUENCE = "(1 | sequence)"
_UNSEEN = 2  # tokens of a sequence without a lagged adjustment


def adaptation(
    model: LanguageModel, settings: AdaptationSettings, folder: Path, progress: Progress
) -> Answer:
    """Measure sequences, keeping them in `folder`, and fit adjustment on the signals."""
    length = settings.scored + _UNSEEN
    corpus = Corpus.of(read_corpus(settings.corpus), model, length)
    measured = {}
    for kind in KINDS:
        ids = corpus.sequences(kind, settings.sequences, length, settings.seed)
        measured[kind] = _measured(ids, model, folder / kind)
        progress(f"{kind}: {len(measured[kind].tokens):,} tokens measured")
    found = analyze(measured, corpus.log_frequency, settings, progress)
    return adaptation_answer(found, model.describe(), asdict(settings))


def _measured(ids: np.ndarray, model: LanguageModel, folder: Path) -> Measured:
    store = Store.of(folder, measure.__module__, ids, model.describe(), model.threads, codec=TABLE)
    tokens, layers = (store.read(name) for name in ("tokens", "layers"))
    if tokens is not None and layers is not None:
        return Measured(tokens, layers)
    found = measure(ids, model, progress=True)
    store.write("tokens", found.tokens)
    store.write("layers", found.layers)
    return found


def analyze(
    measured: Mapping[str, Measured],
    log_frequency: np.ndarray,
    settings: AdaptationSettings,
    progress: Progress = lambda line: None,
) -> AdaptationTables:
    """Fit every model to measured sequences.

    Parameters
    ----------
    measured : mapping
        From each of `KINDS`.
    log_frequency : numpy.ndarray, shape (vocabulary,)
    """
    rows = {kind: token_rows(found.tokens, log_frequency) for kind, found in measured.items()}
    rows["shuffled signals"] = shuffled(rows["natural"], SIGNALS[:2], "sequence", settings.seed)
    models, panels = [], {}
    for kind, data in rows.items():
        for name, terms in {
            "primary": CONTROLS,
            "with sparsity": (*CONTROLS, SPARSITY),
            "signals alone": (),
        }.items():
            panels[kind, name], row = _explained(data, terms, settings)
            models.append({"sequences": kind, "model": name, **row})
            progress(f"{kind}, {name}: R²m = {row['r2_marginal']:.3f}, signals {row['part_signals']:.4f}")
    by_layer = layer_rows(measured["natural"].layers, rows["natural"])
    curve = layer_curve(by_layer, formula(CONTROLS), SIGNALS)
    progress(f"{by_layer['layer'].nunique()} layers fitted")
    natural = {name: panels["natural", name] for name in ("primary", "with sparsity")}
    return AdaptationTables(
        pd.DataFrame(models),
        pd.concat([panel.table().assign(model=name) for name, panel in natural.items()], ignore_index=True),
        curve,
        levels(rows["natural"], by_layer, panels["natural", "primary"].fit, settings.pooled),
        {kind: len(data) for kind, data in rows.items()},
    )


def formula(terms: tuple[str, ...], random: str = _SEQUENCE, signals: tuple[str, ...] = SIGNALS) -> str:
    """Return the model of adjustment with some further terms."""
    return "adjustment_prev ~ " + " + ".join([*signals, *terms, random])


def token_rows(tokens: pd.DataFrame, log_frequency: np.ndarray) -> pd.DataFrame:
    """Return tokens with controls; the first two of a sequence, without lagged adjustment, are left out."""
    by_sequence = tokens.groupby("sequence", sort=False)
    frame = tokens.assign(
        log_prefix=np.log2(tokens["position"]),  # the start token is part of the prefix
        log_frequency=log_frequency[tokens["token_id"]],
        surprisal_lag1=by_sequence["surprisal_bits"].shift(),
        adjustment_lag1=by_sequence["adjustment_prev"].shift(),
    )
    return frame.loc[frame["position"] > _UNSEEN].reset_index(drop=True)


def layer_rows(layers: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a token and layer: the layer's own adjustment and its lag, the token's signals and controls."""
    lag = layers.groupby(["sequence", "layer"], sort=False)["adjustment_prev"].shift()
    shared = rows.drop(columns=["adjustment_prev", "adjustment_lag1", SPARSITY])
    return layers.assign(adjustment_lag1=lag).merge(shared, on=["sequence", "position"])


def _explained(
    data: pd.DataFrame, terms: tuple[str, ...], settings: AdaptationSettings
) -> tuple[Panel, dict[str, Any]]:
    """Fit with the signals and return R², the signals' part of it, and intervals over sequences."""
    panel = panel_fit(data, formula(terms), bootstrap=settings.bootstrap, seed=settings.seed)
    reduced = _fitted(data, formula(terms, signals=() if terms else ("1",)))
    part = part_r2(panel.fit, reduced, "sequence", replicates=settings.bootstrap, seed=settings.seed)
    return panel, {
        "n_obs": panel.fit.n_obs,
        "n_sequences": panel.n_sequences,
        **_r2(panel),
        "part_signals": part.value,
        "part_low": part.low,
        "part_high": part.high,
        "autocorrelation": panel.autocorrelation,
    }


def _r2(panel: Panel) -> dict[str, float]:
    shares, interval = panel.fit.r2(), panel.intervals.get(R2)
    low, high = (interval.low, interval.high) if interval else (np.nan, np.nan)
    return {
        "r2_marginal": shares.marginal,
        "r2_low": low,
        "r2_high": high,
        "r2_conditional": shares.conditional,
    }


def levels(rows: pd.DataFrame, by_layer: pd.DataFrame, tokens: MixedFit, pooled: int) -> pd.DataFrame:
    """Return R² of the primary model and the signals' part of it at each level: token and layer, token, sequence."""
    some = by_layer.loc[by_layer["sequence"] < pooled].copy()
    some["token"] = some["sequence"].astype(str) + ":" + some["position"].astype(str)
    some["layer"] = "layer " + some["layer"].astype(str)
    means = rows.groupby("sequence").mean(numeric_only=True)

    def fits(signals: tuple[str, ...]) -> dict[str, MixedFit]:
        every = formula((*CONTROLS, "layer"), "(1 | token)", signals)
        # Position and prefix length have the same mean in every sequence.
        flat = " + ".join(["adjustment_prev ~ log_frequency", *signals])
        return {
            f"token and layer ({pooled} sequences, layer as a factor)": _fitted(some, every),
            "token (mean over layers)": tokens if signals else _fitted(rows, formula(CONTROLS, signals=())),
            "sequence (mean over tokens)": _fitted(means, flat, engine="statsmodels"),
        }

    full, reduced = r2_by_level(fits(SIGNALS)), r2_by_level(fits(()))
    return full.assign(part_signals=full["r2_marginal"] - reduced["r2_marginal"])


def _fitted(data: pd.DataFrame, text: str, engine: str = "mixedlm") -> MixedFit:
    return estimate(specify(data, text, standardize=True), engine=engine)
