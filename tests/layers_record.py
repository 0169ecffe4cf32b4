"""An entry of depth.json as `depth` writes it: two layers of one measure, the second of which passes."""

GAINS = {
    "heldout_baseline": 0.001,
    "heldout_baseline_se": 0.0005,
    "heldout_final": -0.002,
    "heldout_final_se": 0.001,
}
OWN = {"mean": 5.0, "sd": 2.0, "r_final": 0.5, "se": 0.2, "t": -2.5, "loglik": -9.0, "delta_loglik_per_trial": 0.001}  # fmt: skip
FORMULA, BASELINE = "n400_uv ~ surprisal_bits + (1|item)", "n400_uv ~ 1 + (1 | item)"


def layer(number: int, estimate: float, p: float) -> dict:
    """Return the row of a layer."""
    limits = {
        "ci_low": estimate - 0.4,
        "ci_high": estimate + 0.4,
        "expected": "negative",
        "as_expected": True,
    }
    own = {"measure": "lens_surprisal_bits", "layer": number, "estimate": estimate, "converged": True}
    return {**OWN, **own, **GAINS, **limits, "p_family": p, "t": 5 * estimate}


def profile_entry() -> dict:
    """Return an entry."""
    final = {"measure": "surprisal_bits", "layer": None, "estimate": -0.6, "converged": True, **OWN}
    final |= {"heldout_baseline": 0.001, "heldout_baseline_se": 0.0005}
    chosen = {
        "measure": "lens_surprisal_bits",
        "fold": 0,
        "chosen_measure": "lens_surprisal_bits",
        "layer": 1,
    }
    return {
        "name": "N400", "response": "n400_uv", "formula": FORMULA, "baseline": BASELINE,
        "replaces": "surprisal_bits", "n_obs": 1200, "n_groups": {"item": 30}, "n_words": 60, "n_stimuli": 60, "n_family": 2,
        "singular": False, "critical_t": 2.0, "confidence": 0.95, "replicates": 99, "n_failed": 1, "folds": 10, "fold": "item",
        "n_items": 30, "seed": 0, "notes": ["a note"], "final": final, "profile": [layer(0, -0.1, 0.5), layer(1, -0.5, 0.01)],
        "choice": [{"measure": "lens_surprisal_bits", "layers": "1 (×10)", **GAINS}], "chosen": [chosen],
    }  # fmt: skip
