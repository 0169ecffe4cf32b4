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
