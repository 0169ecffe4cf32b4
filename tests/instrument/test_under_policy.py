"""Traces under a policy: dense identity, the runtime's own numbers, and columns a dense trace has not."""

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_language import tiny_language
from tiny_models import tiny_policy

from clada_neuro import tables
from clada_neuro.instrument.trace import trace
from clada_neuro.instrument.under_policy import LEAST_PREFIX
from clada_neuro.runtime.scoring import score

SENTENCES = ["The old sailor told the children a story.", "Nobody knows -- not even I.", "Rain."]


@pytest.fixture(scope="module")
def model():
    return tiny_language()


def traced(model, policy, top_k=0, **columns):
    frame = pd.DataFrame({"sentence": SENTENCES, "item": "1", "condition": "a", **columns})
    frame["stimulus_id"] = [f"s{number}" for number in range(len(frame))]
    return trace(frame, model, policy=policy, top_k=top_k, progress=False)


def test_a_policy_that_keeps_everything_equals_the_dense_trace(model):
    dense, kept = traced(model, None), traced(model, tiny_policy(model.model, threshold=0.0))
    for name in ("tokens", "layers", "words"):
        one, other = getattr(dense, name), getattr(kept, name)
        for column in one.select_dtypes(float).columns:
            if "prefix" not in column and "neuron_sparsity" not in column:
                np.testing.assert_allclose(one[column], other[column], rtol=0, atol=2e-4, err_msg=column)
    assert kept.tokens["kl_dense_bits"].abs().max() < 1e-4
    assert (kept.tokens["ffn_sparsity"] == 0).all()
    late = kept.tokens["token_index"] + 1 >= LEAST_PREFIX
    np.testing.assert_allclose(
        dense.tokens.loc[late, "adjustment_prefix"], kept.tokens.loc[late, "adjustment_prefix"], atol=1e-4
    )
    assert kept.tokens.loc[~late, "adjustment_prefix"].isna().all()


@pytest.mark.parametrize("options", [{}, {"kappa": 0.05}])
def test_values_are_the_runtime_s_own(model, options):
    policy = tiny_policy(model.model, **options)
    found = traced(model, policy)
    assert policy.sequential == bool(options)
    for name, mine in found.tokens.groupby("stimulus_id"):
        ids = [model.start_token_id, *mine["token_id"]]
        (expected,) = score(model.model, policy, [ids], prefix=LEAST_PREFIX)
        np.testing.assert_allclose(
            mine["surprisal_bits"], expected.surprisal_bits[1:], atol=1e-4, err_msg=name
        )
        np.testing.assert_allclose(mine["entropy_bits"], expected.entropy_bits[1:], atol=1e-4)
        np.testing.assert_allclose(mine["load"], expected.load[1:], atol=1e-4)
        layers = found.layers[found.layers["stimulus_id"] == name]
        np.testing.assert_allclose(layers["ffn_sparsity"], expected.ffn_sparsity[1:].reshape(-1), atol=1e-6)
    assert found.tokens["ffn_sparsity"].max() > 0.1
    assert found.tokens["kl_dense_bits"].max() > 1e-3


def test_tables_hold_and_events_are_words_too(model):
    found = traced(model, tiny_policy(model.model, kappa=0.2, reanalysis_load=-5.0))
    for name in ("tokens", "layers", "words"):
        tables.validate(getattr(found, name), name)
    assert found.words["reanalysis_action"].isin([True, False, pd.NA]).all()
    assert found.tokens["reanalysis_action"].fillna(False).any()
    assert found.manifest["policy"]["name"] == "clada"
    other = traced(model, tiny_policy(model.model, kappa=0.3))
    assert other.manifest["policy"]["hash"] != found.manifest["policy"]["hash"]


def test_left_out_neurons_are_counted(model):
    found = traced(model, tiny_policy(model.model, threshold=3.0))
    late = found.tokens["token_index"] + 1 >= LEAST_PREFIX
    assert (found.tokens.loc[~late, "neuron_sparsity"] == 0).all()
    assert found.tokens.loc[late, "neuron_sparsity"].min() > 0


def test_most_probable_tokens_are_the_policy_s_own(model):
    policy = tiny_policy(model.model)
    found = traced(model, policy, top_k=3)
    first = found.top_k[found.top_k["rank"] == 1].merge(found.tokens, on=["stimulus_id", "token_index"])
    hit = first["token_id_x"] == first["token_id_y"]
    assert ((first["rank_y"] == 1) == hit).all()
    for name, mine in found.tokens.groupby("stimulus_id"):
        ids = [model.start_token_id, *mine["token_id"]]
        (expected,) = score(model.model, policy, [ids], prefix=LEAST_PREFIX)
        top = found.top_k[(found.top_k["stimulus_id"] == name)].merge(mine, on=["stimulus_id", "token_index"])
        same = top[top["token_id_x"] == top["token_id_y"]]
        bits = expected.surprisal_bits[1:].numpy()[same["token_index"]]
        np.testing.assert_allclose(-np.log2(same["probability"]), bits, atol=1e-4)


def test_a_context_is_the_dense_prefix(model):
    found = traced(model, tiny_policy(model.model), context="The crowd cheered because of something.")
    first = found.tokens.groupby("stimulus_id").head(1)
    assert (first["kl_dense_bits"] < 1e-4).all()
    assert first["overlap_prefix"].notna().all()
    torch.testing.assert_close(found.tokens["ffn_sparsity"].min() > 0, True)
