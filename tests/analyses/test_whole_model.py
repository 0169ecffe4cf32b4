"""`analyses/30_whole_model.py`: equal bytes, intervals and ceilings, on figures by hand."""

import pandas as pd
import pytest
from analysis_scripts import load
from tiny_models import tiny_model

from clada_neuro.bench.engines import weight_bytes
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.artifact import Calibration
from clada_neuro.runtime.policy import attention_reads

whole = load("30_whole_model")
SITES = {"qkv": 0.3, "out": 0.2, "input": 0.4, "hidden": 0.5}


def measured() -> pd.DataFrame:
    """Loss that is ten times the sparsity plus what the document adds; CLADA loses half of what TEAL does."""
    rows = [
        {
            "policy": policy, "asked": asked, "linear_sparsity": asked - 0.01, "document": document,
            "loss": slope * (asked - 0.01) + document / 10, "divergence": slope * (asked - 0.01) + document / 10,
            **({} if policy == "clada-ffn" else SITES),
        }
        for policy, slope in (("clada", 5.0), ("teal", 10.0), ("clada-ffn", 8.0))
        for asked in (0.25, 0.4)
        for document in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_policies_are_compared_at_exactly_the_asked_sparsity():
    table = whole.summary(measured()).set_index(["asked", "policy"])
    assert table.loc[(0.4, "clada"), "loss"] == pytest.approx(5.0 * 0.4 + 0.15)
    assert table.loc[(0.4, "teal"), "loss"] == pytest.approx(10.0 * 0.4 + 0.15)
    assert table.loc[(0.4, "teal"), "clada_minus_divergence"] == pytest.approx(-2.0)
    assert table.loc[(0.4, "teal"), "clada_minus_divergence_low"] == pytest.approx(-2.0)
    assert pd.isna(table.loc[(0.4, "clada"), "clada_minus_loss"])
    assert table.loc[(0.25, "teal"), "qkv"] == pytest.approx(0.3)
    assert table.loc[(0.25, "clada-ffn"), "qkv"] == 0
    unloaded = measured().replace({"policy": {"clada": "no-load"}})
    assert set(whole.summary(unloaded)["compared_with"]) == {"no-load"}


def test_ceilings_are_bytes_over_bytes_left():
    limits = whole.ceilings(600.0, 400.0, 200.0, [0.5]).set_index(["scope", "sparsity"])["ceiling"]
    assert limits["ffn", 0.5] == pytest.approx(1000 / 700)
    assert limits["all", 0.5] == pytest.approx(1000 / 600)
    assert limits["all", 1.0] == pytest.approx(1000 / 200)
    model = tiny_model()
    blocks, others = weight_bytes(model)
    attention = sum(attention_reads(ffn.attention).total for ffn in ffn_layers(model))
    assert 0 < attention < others
    assert whole.ceilings(blocks, others, attention, [0.4])["ceiling"].between(1.0, 20.0).all()


def test_the_page_shows_sites_certificate_and_ceilings():
    certificate = {
        "bound_nats": 0.1, "confidence": 0.95, "documents": 48, "linear_sparsity": None, "reason": "too much",
        "frontier": [{"asked": 0.4, "linear_sparsity": 0.4, "loss_nats": 0.15, "upper_bound_nats": 0.17}],
    }  # fmt: skip
    calibration = Calibration({"scope": "all", "certificate": certificate}, {})
    limits = whole.ceilings(600.0, 400.0, 200.0, [0.4])
    text = whole.page(whole.summary(measured()), limits, calibration)
    assert f"with calibration {calibration.identity} of scope all" in text
    assert "## 0.4 of all linear weights" in text
    assert "| clada − policy (divergence) |" in text
    assert "| clada | 0.390 | 0.30 | 0.20 | 0.40 | 0.50 |" in text
    assert "does not hold: too much" in text
    assert "- 0.4: +0.1500 nats per token, upper bound 0.1700" in text
    assert "| 0.4 | 1.47 | 1.32 |" in text


def test_the_page_shows_how_fast_decoding_was_with_what_each_site_left_out(tmp_path):
    command = "python analyses/03_decode_speed.py smollm2 --scope all"
    shared = {
        "dtype": "bfloat16",
        "threads": 2,
        "rounds": 3,
        "tokens": 16,
        "load_average": 1.0,
        "ratio_low": 1.1,
        "ratio_high": 1.3,
    }
    speed = {
        "tokens_per_s": 120.0,
        "tokens_per_s_low": 110.0,
        "tokens_per_s_high": 130.0,
        "stream_share": 0.6,
        "stream_gb_s": 30.0,
    }
    sites = {f"{site}_dropped": share for site, share in SITES.items()}
    rows = [
        {"engine": "compiled", "policy": "dense", "linear_sparsity": 0.0, "ratio_vs_dense": 1.0, "ceiling": 1.0},
        {"engine": "compiled", "policy": "clada", "linear_sparsity": 0.4, "ratio_vs_dense": 1.21, "ceiling": 1.48, **sites},
    ]  # fmt: skip
    table = pd.DataFrame([{**shared, **speed, **row} for row in rows])
    path = tmp_path / "smollm2_bfloat16_all.csv"
    path.write_text(f"# {command}\n{table.to_csv(index=False)}", encoding="utf-8")
    (tmp_path / "smollm2_bfloat16.csv").write_text("of feed-forward blocks alone", encoding="utf-8")
    text = whole.timings(whole.speeds(tmp_path))
    assert "## How fast decoding is: bfloat16" in text
    assert f"`{command}`: batch 1, 2 threads" in text
    assert (
        "| compiled | clada | 0.40 | 0.30 | 0.20 | 0.40 | 0.50 | 120.0 [110.0, 130.0] | 1.21 [1.10, 1.30] | 1.48 |"
        in text
    )
    assert "| compiled | dense | 0.00 |  |  |  |  |" in text
