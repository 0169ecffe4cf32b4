"""Panel regressions: the sequence bootstrap equals copying rows, and covers where plain standard errors do not."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from clada_neuro.errors import FitError
from clada_neuro.stats.model import specify
from clada_neuro.stats.panel import R2, SequenceDraw, autocorrelation, layer_curve, panel_fit, shuffled

FORMULA = "adjustment ~ surprisal * entropy + log_prefix + (1 | sequence)"


def _tokens(n_sequences: int = 30, length: int = 40, rho: float = 0.5, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "sequence": np.repeat([f"q{k}" for k in range(n_sequences)], length),
            "position": np.tile(np.arange(1, length + 1), n_sequences),
        }
    )
    data["log_prefix"] = np.log2(data["position"])
    data["surprisal"], data["entropy"] = rng.gamma(2, 2, len(data)), rng.gamma(3, 1, len(data))
    noise = rng.normal(size=(n_sequences, length))
    for t in range(1, length):
        noise[:, t] = rho * noise[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    sequence = np.repeat(rng.normal(0, 0.5, n_sequences), length)
    effect = 0.10 * data["surprisal"] - 0.2 * data["log_prefix"] + 0.02 * data["surprisal"] * data["entropy"]
    return data.assign(adjustment=effect + sequence + noise.ravel())


@pytest.fixture(scope="module")
def tokens() -> pd.DataFrame:
    return _tokens()


def test_a_replicate_equals_least_squares_on_copied_rows(tokens: pd.DataFrame) -> None:
    design = specify(tokens, "adjustment ~ surprisal * entropy + log_prefix").design
    codes, _ = pd.factorize(tokens["sequence"])
    found = SequenceDraw(design, codes, seed=4)(2)
    draws = np.random.default_rng([4, 2]).integers(30, size=30)
    rows = np.concatenate([np.flatnonzero(codes == draw) for draw in draws])
    fitted = sm.OLS(design.y[rows], design.X[rows]).fit()
    assert [found[name] for name in design.names] == pytest.approx(list(fitted.params))
    explained = np.var(design.X[rows] @ fitted.params, ddof=1)
    assert found[R2] == pytest.approx(explained / (explained + fitted.mse_resid))


def test_effects_and_autocorrelation_are_recovered(tokens: pd.DataFrame) -> None:
    found = panel_fit(tokens, FORMULA, standardize=False, bootstrap=100)
    row = found.table().set_index("term").loc["log_prefix"]
    assert row["boot_low"] < -0.2 < row["boot_high"]
    assert found.n_sequences == 30
    assert 0.35 < found.autocorrelation < 0.55
    assert found.intervals[R2].low < found.fit.r2().marginal < found.intervals[R2].high
    entry = found.to_dict()
    assert entry["residual_autocorrelation_lag1"] == found.autocorrelation
    assert set(entry["bootstrap"]) == {*found.fit.design.names, R2}


def test_bootstrap_is_wider_where_a_predictor_varies_over_sequences() -> None:
    tokens = _tokens(rho=0.9)
    between = np.repeat(np.random.default_rng(1).normal(size=30), 40)
    found = panel_fit(
        tokens.assign(between=between), "adjustment ~ between", engine="statsmodels", bootstrap=200
    )
    row = found.table().set_index("term").loc["between"]
    assert row["boot_high"] - row["boot_low"] > 2 * (row["ci_high"] - row["ci_low"])


def test_autocorrelation_by_hand_and_over_layers() -> None:
    r = pd.DataFrame({"sequence": 0, "order": [0, 1, 2, 3], "r": [1.0, 2.0, 1.0, 3.0]})
    assert autocorrelation(r) == pytest.approx(np.corrcoef([1, 2, 1], [2, 1, 3])[0, 1])
    layers = pd.concat([r.assign(r=r["r"] - 1), r.assign(r=r["r"] + 1)])
    assert autocorrelation(layers) == pytest.approx(autocorrelation(r))
    assert np.isnan(autocorrelation(r.head(2)))


def test_layer_curve_finds_the_layer_with_the_effect(tokens: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    parts = []
    for layer in range(3):
        effect = 0.3 * tokens["surprisal"] * (layer == 1)
        parts.append(tokens.assign(layer=layer, adjustment=effect + rng.normal(size=len(tokens))))
    curve = layer_curve(pd.concat(parts), "adjustment ~ surprisal + (1 | sequence)", ["surprisal"])
    assert curve["layer"].tolist() == [0, 1, 2]
    assert curve["p_bh"].idxmin() == 1
    assert (curve["p_bh"] >= curve["p"]).all()
    assert curve["family_size"].tolist() == [3, 3, 3]


def test_shuffling_stays_within_sequences_and_keeps_columns_together(tokens: pd.DataFrame) -> None:
    moved = shuffled(tokens, ["surprisal", "entropy"], "sequence", seed=1)
    assert not moved["surprisal"].equals(tokens["surprisal"])
    for column in ("surprisal", "entropy"):
        before = tokens.groupby("sequence")[column].apply(lambda values: sorted(values))
        after = moved.groupby("sequence")[column].apply(lambda values: sorted(values))
        assert before.equals(after)
    pairs = set(zip(tokens["surprisal"], tokens["entropy"], strict=True))
    assert set(zip(moved["surprisal"], moved["entropy"], strict=True)) == pairs
    pd.testing.assert_frame_equal(moved[["position", "adjustment"]], tokens[["position", "adjustment"]])


def test_missing_columns(tokens: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="column 'document'"):
        panel_fit(tokens, FORMULA, sequence="document")
    with pytest.raises(FitError, match="column 'layer'"):
        layer_curve(tokens, FORMULA, ["surprisal"])
    with pytest.raises(FitError, match=r"layer 0: .*one value"):
        layer_curve(
            tokens.assign(layer=0, surprisal=1.0), "adjustment ~ surprisal + (1 | sequence)", ["surprisal"]
        )
