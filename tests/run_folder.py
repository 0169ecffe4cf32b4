"""An output folder of simulated numbers that follows the contracts of tables.py and fits.json."""

from pathlib import Path

import numpy as np
import pandas as pd

from clada_neuro.artifacts import versions, write_json, write_table
from clada_neuro.overview.stage import OverviewStage
from clada_neuro.records.fits import FitRecord

N_ITEMS, N_SUBJECTS, N_LAYERS = 12, 10, 4
CONDITIONS = ("expected", "related", "unrelated")
EVIL = "<script>alert('x')</script>"
FORMULA = "=HYPERLINK(1)"


def record(entry: dict) -> FitRecord:
    """Return an entry of fits.json as the report reads it."""
    return FitRecord.of({"name": "m", "formula": "y ~ x", "coefficients": {}, "n_obs": 1, **entry})


def write_folder(folder: Path) -> Path:
    random = np.random.default_rng(0)
    stimuli = _stimuli()
    words = _words(stimuli, random)
    tokens = words[["stimulus_id", "word_index", "surprisal_bits", "entropy_bits"]].assign(
        token_index=words["word_index"], token=words["word"]
    )
    layers = (
        words[["stimulus_id"]]
        .assign(token_index=words["word_index"])
        .merge(pd.DataFrame({"layer": range(N_LAYERS)}), how="cross")
    )
    layers["sparsity_energy99"] = 0.5 + 0.05 * layers["layer"] + random.normal(0, 0.02, len(layers))
    layers["adjustment_prev"] = 0.3 + random.normal(0, 0.02, len(layers))
    trials = _trials(words[words["is_critical"]].merge(stimuli[["stimulus_id", "item", "condition"]]), random)
    frames = {"stimuli": stimuli, "words": words, "tokens": tokens, "layers": layers, "trials": trials}
    for name, frame in frames.items():
        write_table(frame, folder / f"{name}.parquet", {"inputs": "0123456789abcdef"})
    write_json(folder / "fits.json", [_fit(trials)])
    write_json(folder / "synergy.json", _synergy(len(trials)))
    _write_erp(folder / "erp", random)
    write_json(folder / "manifest.json", _manifest(len(trials)))
    OverviewStage().into(folder)
    return folder


def _stimuli() -> pd.DataFrame:
    rows = []
    for item in range(N_ITEMS):
        for condition in CONDITIONS:
            word = EVIL if item == 0 and condition == "related" else f"{condition[:4]}{item}"
            rows.append((f"{item}-{condition}", str(item), condition, f"The cook gave {word} away", word, 3))
    names = ["stimulus_id", "item", "condition", "sentence", "critical_word", "critical_index"]
    stimuli = pd.DataFrame(rows, columns=names)
    stimuli.loc[1, "critical_word"] = FORMULA
    return stimuli


def _words(stimuli: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    rows = [
        (row.stimulus_id, place, word, place == row.critical_index)
        for row in stimuli.itertuples()
        for place, word in enumerate(row.sentence.split())
    ]
    words = pd.DataFrame(rows, columns=["stimulus_id", "word_index", "word", "is_critical"])
    words["surprisal_bits"] = random.gamma(3, 3, len(words))
    words.loc[words["word_index"] == 0, "surprisal_bits"] = np.nan
    words["entropy_bits"] = random.gamma(6, 1, len(words))
    words["sparsity_energy99"] = random.normal(0.6, 0.03, len(words))
    words["adjustment_prev"] = random.normal(0.35, 0.03, len(words))
    return words


def _trials(critical: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    subjects = pd.DataFrame({"subject": [f"s{number:02d}" for number in range(N_SUBJECTS)]})
    trials = subjects.merge(critical, how="cross")
    trials["stimulus"] = trials["item"] + ":" + trials["word"]
    z = (trials["surprisal_bits"] - trials["surprisal_bits"].mean()) / trials["surprisal_bits"].std()
    return trials.assign(n400_uv=-1 - 0.9 * z + random.normal(0, 7, len(trials)), simulated=True)


def _coefficient(estimate: float, se: float, df: float | None = 33.2, p: float = 0.0001) -> dict:
    low, high = estimate - 2 * se, estimate + 2 * se
    return {
        "estimate": estimate,
        "se": se,
        "df": df,
        "t": estimate / se,
        "p": p,
        "ci_low": low,
        "ci_high": high,
    }


def _line(by: float | None) -> dict:
    x, estimate = [2.0, 8.0, 14.0], [0.5, -1.0, -2.5]
    return {
        "by": by,
        "x": x,
        "estimate": estimate,
        "ci_low": [value - 0.4 for value in estimate],
        "ci_high": [value + 0.4 for value in estimate],
    }


def _fit(trials: pd.DataFrame) -> dict:
    predictors = ("surprisal_bits", "sparsity_energy99")
    return {
        "name": "N400: surprisal, sparsity",
        "formula": "n400_uv ~ surprisal_bits * sparsity_energy99 + (1|subject) + (1|item) + (1|stimulus)",
        "engine": "mixedlm",
        "reml": True,
        "n_obs": len(trials),
        "n_groups": {"subject": N_SUBJECTS, "item": N_ITEMS, "stimulus": N_ITEMS * 3},
        "coefficients": {
            "(Intercept)": _coefficient(-1.02, 0.3),
            "surprisal_bits": _coefficient(-0.914, 0.2),
            "sparsity_energy99": _coefficient(-0.05, 0.2, p=0.803),
            "surprisal_bits:sparsity_energy99": _coefficient(-0.31, 0.1, p=0.0042),
        },
        "random": [
            {"group": "subject", "term": "(Intercept)", "term2": "", "vcov": 2.25, "sdcor": 1.5},
            {"group": "item", "term": "(Intercept)", "term2": "", "vcov": 0.25, "sdcor": 0.5},
            {"group": "stimulus", "term": "(Intercept)", "term2": "", "vcov": 0.25, "sdcor": 0.5},
        ],
        "sigma": 7.0,
        "loglik": -1234.5,
        "aic": 2485.0,
        "r2_marginal": 0.0187,
        "r2_conditional": 0.0712,
        "singular": False,
        "converged": True,
        "warnings": [],
        "directions": {"surprisal_bits": "negative"},
        "standardized": {
            name: {"mean": float(trials[name].mean()), "sd": float(trials[name].std())} for name in predictors
        },
        "vif": {"surprisal_bits": 1.04, "sparsity_energy99": 1.07, "surprisal_bits:sparsity_energy99": 1.05},
        "vcov": np.diag([0.09, 0.04, 0.04, 0.01]).tolist(),
        "effects": {
            "surprisal_bits": [_line(None)],
            "sparsity_energy99": [_line(None)],
            "surprisal_bits:sparsity_energy99": [_line(by) for by in (0.5, 0.6, 0.7)],
        },
        "linearity": {
            "surprisal_bits": [
                {"predictor": 2.0 * k, "residual": 0.1 * (-1) ** k, "se": 0.2, "n": 36} for k in range(10)
            ]
        },
        "sensitivity": {
            "cutoff": 21.3,
            "n_left_out": 4,
            "terms": [
                {
                    "term": "surprisal_bits",
                    "estimate_without": -0.88,
                    "se_without": 0.2,
                    "p_without": 0.0002,
                    "shift": 0.17,
                }
            ],
        },
        "detectable": {
            "surprisal_bits": {
                "term": "surprisal_bits",
                "effect": 0.57,
                "se": 0.2,
                "df": 33.2,
                "power": 0.8,
                "alpha": 0.05,
            }
        },
        "ladder": [
            {
                "formula": "n400_uv ~ x + (1 + x | subject)",
                "loglik": -1230.0,
                "singular": True,
                "converged": True,
                "removed": "correlations",
            },
            {
                "formula": "n400_uv ~ x + (1 | subject)",
                "loglik": -1234.5,
                "singular": False,
                "converged": True,
                "removed": "",
            },
        ],
        "residual_quantiles": {"p": [0.01, 0.1, 0.5, 0.9, 0.99], "value": [-2.4, -1.3, 0.0, 1.3, 2.2]},
        "lme4_script": 'library(lmerTest)\nd <- read.csv("trials.csv")\n',
    }


def _synergy(n_trials: int) -> dict:
    return {
        "response": "n400_uv",
        "predictors": ["surprisal_bits", "sparsity_energy99"],
        "term": "surprisal_bits:sparsity_energy99",
        "n_obs": n_trials,
        "r2_marginal_baseline": 0.0175,
        "r2_marginal_full": 0.0187,
        "r2_conditional_full": 0.0712,
        "r2_synergy": 0.0012,
        "r2_synergy_common": 0.0011,
        "r2_synergy_without_squares": 0.0021,
        "coefficient": _coefficient(-0.31, 0.1, p=0.0042),
        "test": {
            "smaller": "baseline", "larger": "full", "n_obs": n_trials, "chi2": 8.31, "df": 1, "p": 0.0039,
            "delta_loglik": 4.155, "delta_loglik_per_trial": 0.01154, "delta_aic": -6.31,
            "delta_r2_marginal": 0.0012, "warnings": [],
        },
        "cross_validation": {
            "delta_loglik_per_trial": 0.0021, "se": 0.0018, "n_folds": 10, "n_items": N_ITEMS, "n_trials": n_trials,
        },
        "intervals": {
            "parametric": {"low": 0.0002, "median": 0.0014, "high": 0.0041, "n": 200, "n_failed": 0},
            "cluster": None, "null_p": 0.0149, "n_null": 200, "seed": 0,
        },
        "warnings": [],
    }  # fmt: skip


def _write_erp(folder: Path, random: np.random.Generator) -> None:
    folder.mkdir()
    times = np.round(np.arange(-0.2, 0.81, 0.02), 2)
    x, y = random.uniform(-0.9, 0.9, (2, 8))
    labels = {"component": "n400", "predictor": "surprisal_bits"}
    curves, maps = [], []
    for group, size in zip(("low", "middle", "high"), (0.0, -1.0, -2.0), strict=True):
        mean = size * np.exp(-(((times - 0.4) / 0.08) ** 2))
        curve = {"group": group, "time_s": times, "mean_uv": mean, "ci_low": mean - 1, "ci_high": mean + 1}
        curves.append(pd.DataFrame(curve).assign(n_subjects=N_SUBJECTS, **labels))
        scalp = {
            "group": group,
            "channel": [f"E{k}" for k in range(8)],
            "x": x,
            "y": y,
        }
        maps.append(pd.DataFrame(scalp).assign(amplitude_uv=size + random.normal(0, 0.3, 8), **labels))
    waveforms, topographies = pd.concat(curves), pd.concat(maps)
    named = {"low": "expected", "middle": "related", "high": "unrelated"}
    apart = {"middle": "related − expected", "high": "unrelated − expected"}
    rename = {"low": "intercept", "middle": "entropy_bits", "high": "surprisal_bits"}
    clusters = pd.DataFrame(
        {
            "predictor": "surprisal_bits", "cluster": [0, 1], "sign": -1, "tmin_s": 0.3, "tmax_s": 0.5,
            "n_channels": 5, "channels": "E1 E2", "mass": [-200.0, -8.0], "p": [0.005, 0.7],
        }
    )  # fmt: skip
    by_item = pd.DataFrame([_coefficient(-1.8, 0.4)]).rename(columns={"estimate": "b_uv_per_sd"})
    tables = {
        "waveforms": waveforms,
        "topographies": topographies,
        "conditions": waveforms.replace({"group": named}).drop(columns="predictor"),
        "differences": waveforms[waveforms["group"] != "low"]
        .replace({"group": apart})
        .drop(columns="predictor"),
        "difference_topographies": topographies[topographies["group"] != "low"]
        .replace({"group": apart})
        .drop(columns="predictor"),
        "rerp_waveforms": waveforms.replace({"group": rename}).drop(columns="predictor"),
        "rerp_topographies": topographies.replace({"group": rename}).drop(columns="predictor"),
        "rerp_clusters": clusters,
        "by_item": by_item.assign(
            where="n400_uv", predictor="surprisal_bits", n_stimuli=36, n_items=12, note=""
        ),
        "rejections": pd.DataFrame({"subject": ["s01"], "reason": ["blink"], "n": [3]}),
        "lost": pd.DataFrame({"subject": [], "epoch": [], "reason": []}),
    }
    for name, frame in tables.items():
        write_table(frame.reset_index(drop=True), folder / f"{name}.parquet")
    component = {
        "name": "n400",
        "tmin": 0.3,
        "tmax": 0.5,
        "roi": ["E1"],
        "sign": -1,
        "channels": ["E1", "E2"],
    }
    facts = {
        "simulated": True, "n_subjects": N_SUBJECTS, "n_epochs": 360, "n_stimuli": 36, "components": [component],
        "baseline": "subtracted", "n_permutations": 1000, "seed": 0, "notes": ["Items count as fixed."],
        "reasons": {"rejections": [{"reason": "blink", "subjects": 1, "epochs": 3}], "lost": []},
    }  # fmt: skip
    write_json(folder / "erp.json", facts)


def _manifest(n_trials: int) -> dict:
    return {
        "target": "demo",
        "title": "Demonstration",
        "command": "clada-neuro run demo",
        "created": "2026-01-05T10:00:00Z",
        "simulated": True,
        "simulation": {
            "description": "SIMULATED data: 10 simulated subjects.",
            "truth": [{"component": "n400_uv", "kind": "fixed", "term": "surprisal_bits", "value_uv": -0.9}],
        },
        "model": {
            "model": "smollm2",
            "architecture": "LlamaForCausalLM",
            "weights_hash": "89abcdef01234567",
            "start_token": "<|endoftext|>",
            "start_token_id": 0,
            "dtype": "float32",
            "device": "cpu",
        },
        "policy": "dense",
        "calibration": None,
        "neuron_sparsity": {"calibration": "0123.safetensors", "hash": "fedcba98", "ffn_sparsity": 0.4},
        "seed": 0,
        "versions": versions(),
        "exclusions": [
            {
                "step": "words",
                "rows_before": 400,
                "rows_removed": 40,
                "rows_after": 360,
                "reason": "no amplitude",
            }
        ],
        "joins": [
            {
                "step": "trials without a word",
                "rows_before": n_trials,
                "rows_removed": 0,
                "rows_after": n_trials,
                "reason": "every trial found its word",
            }
        ],
    }
