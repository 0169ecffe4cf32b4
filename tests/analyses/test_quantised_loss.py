"""The table of what quantising and leaving rows out cost: apart, together, and together beyond apart."""

import math

import pandas as pd
import pytest
import torch
from analysis_scripts import load
from tiny_models import tiny_model

from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.scoring import score

LOSS = load("29_quantised_loss")


def cell(*losses: float) -> pd.DataFrame:
    return pd.DataFrame({"loss": losses, "ffn_sparsity": [0.4] * len(losses)}).assign(
        compiled_loss=lambda table: table["loss"] + 0.004
    )


def test_what_both_cost_beyond_the_sum_of_each():
    cells = {
        ("float32", "dense"): cell(3.0, 4.0, 5.0),
        ("float32", "no-load"): cell(3.1, 4.1, 5.1),
        ("q8_0", "dense"): cell(3.02, 4.02, 5.02),
        ("q8_0", "no-load"): cell(3.15, 4.15, 5.15),
    }
    rows = LOSS.table(cells, ["q8_0"], "no-load").set_index(["weights", "policy"])
    assert rows.loc[("q8_0", "dense"), "rise"] == pytest.approx(0.02)
    assert rows.loc[("q8_0", "no-load"), "rise"] == pytest.approx(0.15)
    assert rows.loc[("q8_0", "no-load: compiled step − PyTorch"), "rise"] == pytest.approx(0.004)
    beyond = rows.loc[("q8_0", "no-load: together − apart")]
    assert beyond["rise"] == pytest.approx(0.15 - 0.02 - 0.1)
    assert beyond["rise_high"] - beyond["rise_low"] == pytest.approx(
        0, abs=1e-9
    )  # the same in every document
    assert rows.loc[("float32", "no-load"), "tokens"] == 3 * 223


def test_the_compiled_steps_loss_is_of_the_same_tokens():
    model, text = tiny_model("llama"), torch.randint(3, 60, (LOSS.PREFIX + 9,))
    (found,) = score(model, Dense(), [text.tolist()], prefix=LOSS.PREFIX)
    expected = float(found.surprisal_bits[LOSS.PREFIX + 1 :].mean()) * math.log(2)
    assert LOSS.compiled_loss(model, Dense(), text) == pytest.approx(expected, abs=1e-4)
