"""`analyses/31_mechanisms.py`: planned policies against plain ones, planted effects of budgets and prefixes, tables by hand."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from analysis_scripts import load
from tiny_models import tiny_model, tiny_policy

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.policy import HIDDEN, INPUT
from clada_neuro.runtime.scoring import score

mechanisms = load("31_mechanisms")
policies, costs_of = load("_shared.mechanism_policies"), load("_shared.token_costs")
worth, pages = load("_shared.marginal_loss"), load("_shared.mechanisms_page")
ideas = load("_shared.mechanisms")

PREFIX = 6


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def batch(model):
    tokens = torch.randint(3, 97, (4, 20), generator=torch.Generator().manual_seed(0))
    return costs_of.Batch(SimpleNamespace(model=model), tokens, PREFIX)


@pytest.fixture(scope="module")
def dense(batch):
    return batch.dense()


def test_costs_are_those_of_the_common_protocol(model, batch, dense):
    policy = tiny_policy(model)
    found = batch.under(policies.planned(policy), dense, signals=True)
    plain = score(model, policy, batch.tokens.tolist(), prefix=PREFIX)
    whole = [
        score(model, tiny_policy(model, 0.0), batch.tokens.tolist(), prefix=PREFIX)[row] for row in range(4)
    ]
    for row, (own, without) in enumerate(zip(plain, whole, strict=True)):
        rise = (own.surprisal_bits - without.surprisal_bits)[PREFIX + 1 :] * math.log(2)
        torch.testing.assert_close(found["rise"][row], rise, atol=1e-4, rtol=1e-4)
        processed = slice(PREFIX, -1)
        torch.testing.assert_close(
            found["surprisal"][row], own.surprisal_bits[processed], atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(found["entropy"][row], own.entropy_bits[processed], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found["sparsity"][row], own.sparsity[processed].mean(1))


def test_divergence_is_kullback_leibler_over_the_vocabulary(model, batch, dense):
    policy = policies.planned(tiny_policy(model))
    found = batch.under(policy, dense)
    seen = {}

    class Keep:
        def hidden(self, *_):
            pass

        def logits(self, rows, positions, logits):
            for row, position, some in zip(rows.tolist(), positions.tolist(), logits, strict=True):
                seen[row, position] = some.log_softmax(-1)

    score(model, tiny_policy(model), batch.tokens.tolist(), prefix=PREFIX, observer=Keep())
    before = model(batch.tokens).logits.log_softmax(-1)
    for row in range(4):
        for place in range(batch.count):
            own = before[row, PREFIX + place]
            expected = (own.exp() * (own - seen[row, PREFIX + place])).sum()
            assert float(found["divergence"][row, place]) == pytest.approx(float(expected), abs=1e-4)


def test_a_plan_shifts_one_site_of_one_layer_of_one_token(model):
    policy = policies.planned(tiny_policy(model), shift=torch.zeros(2, 3, 2, 2))
    policy.shift[1, 2, 0, 1] = math.log(2)
    state = SimpleNamespace(scale=torch.ones(2, 3), seeds=torch.arange(2))
    moved = policy.threshold(0, HIDDEN, state)[..., 0]
    assert moved.tolist() == [[0.5, 0.5, 0.5], [0.5, 0.5, pytest.approx(1.0)]]
    assert (policy.threshold(0, INPUT, state) == 0.5).all()
    assert (policy.threshold(1, HIDDEN, state) == 0.5).all()


def test_neurons_that_are_left_out_spare_their_columns_of_gate_and_up(model):
    layers = ffn_layers(model)
    alive = torch.ones(1, 2, 52, dtype=torch.bool)
    alive[:, :, :20] = False
    policy = policies.planned(tiny_policy(model, 0.0), alive=alive)
    whole, left = policies.planned(tiny_policy(model)).reads(layers[0]), policy.reads(layers[0])
    assert whole.row[INPUT] == 448  # 2 · 52 numbers of 4 bytes in whole lines of 64
    assert left.row[INPUT] == 320  # ⌈448 · 32/52⌉ in whole lines
    assert left.total == whole.total
    mask = policy.select(0, HIDDEN, torch.ones(3, 5, 52), SimpleNamespace(scale=torch.ones(3, 5)))
    assert mask.shape == (3, 5, 52)
    assert not mask[..., :20].any()
    assert mask[..., 20:].all()


def test_the_least_active_neurons_are_those_dropped():
    activity = torch.tensor([[3.0, 1.0, 2.0, 5.0], [1.0, 9.0, 8.0, 7.0]])
    assert policies.most_active(activity, 0.5).tolist() == [
        [True, False, False, True],
        [False, True, True, False],
    ]
    assert policies.most_active(activity, 0.0).all()


def test_gathered_statistics_are_those_of_prefix_and_rest(model, batch):
    layers, shares = ffn_layers(model), {site: torch.tensor([0.3, 0.3]) for site in (INPUT, HIDDEN)}
    policy = tiny_policy(model)
    found = policies.gather(model, policy, layers, shares, batch.tokens, PREFIX)
    seen = []
    handle = layers[0].inputs[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model(batch.tokens)
    handle.remove()
    x = seen[0]  # no block comes before the first
    scores = policy.score(0, INPUT, x)
    own, rest = (scores[0, part].flatten().sort().values for part in (slice(1, PREFIX), slice(PREFIX, None)))
    assert float(found["input-own"][0, 0]) == pytest.approx(float(own[int(0.3 * len(own))].log()), abs=1e-5)
    assert float(found["input-rest"][0, 0]) == pytest.approx(
        float(rest[int(0.3 * len(rest))].log()), abs=1e-5
    )
    kept = x * (scores >= 0.5)
    a = layers[0].hidden(kept)
    lost = layers[0].output(layers[0].hidden(x)) - layers[0].output(a * (policy.score(0, HIDDEN, a) >= 0.5))
    torch.testing.assert_close(found["lost-own"][:, 0], lost[:, 1:PREFIX].mean(1), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found["lost-rest"][:, 0], lost[:, PREFIX:].mean(1), atol=1e-3, rtol=1e-3)


def test_what_a_tokens_own_budget_does_is_found_under_its_neighbours_noise():
    sign = worth.signs(200, 60, 2, seed=3)
    own = torch.tensor([0.05, -0.02])
    neighbours = 0.1 * sign.sum(-1).roll(1, 1)
    noise = 0.05 * torch.randn(200, 60, generator=torch.Generator().manual_seed(1))
    effect = (sign * own).sum(-1) + neighbours
    up, down = 0.3 + effect + noise, 0.3 - effect
    found = worth.own_effect(up, down, sign).mean((0, 1))
    assert found.tolist() == pytest.approx([0.1, -0.04], abs=0.01)


def test_a_log_link_is_recovered_from_noise_that_turns_signs():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(20_000, 2, generator=generator)
    planted = torch.tensor([-2.0, 0.5, -0.3])
    z = worth.predict(x, planted).exp() + 0.2 * torch.randn(20_000, generator=generator)
    assert (z < 0).any()
    assert worth.fit_log_link(x, z).tolist() == pytest.approx(planted.tolist(), abs=0.05)


def test_budgets_equal_marginal_loss():
    # Loss worth·exp(k·s): its slope is equal over tokens where s falls by log(worth)/k.
    log_worth, k = torch.tensor([-1.0, 0.0, 0.5]), 10.0
    s = 0.4 + worth.budget(log_worth, 1 / k, 0.0)
    slopes = log_worth.exp() * k * (k * s).exp()
    assert slopes.tolist() == pytest.approx([float(slopes[0])] * 3)
    assert worth.budget(torch.tensor([100.0]), 1.0, 0.0).item() == pytest.approx(-worth.LIMIT)


def test_shuffled_budgets_are_the_same_budgets():
    shift = torch.arange(24.0).view(2, 6, 2)
    moved = worth.shuffled(shift, 4)
    assert not torch.equal(moved, shift)
    assert sorted(moved[..., 0].flatten().tolist()) == shift[..., 0].flatten().tolist()
    assert (moved[..., 1] - moved[..., 0] == 1).all()
    assert torch.equal(moved, worth.shuffled(shift, 4))


def test_what_is_known_before_does_not_look_ahead():
    costs = {name: torch.rand(2, 8) for name in ("surprisal", "entropy", "margin", "divergence")}
    later = {name: value.clone() for name, value in costs.items()}
    for value in later.values():
        value[:, 5:] += 1
    later["divergence"] += 7
    before, after = (worth.known_before(some, PREFIX) for some in (costs, later))
    assert torch.equal(before[:, :5], after[:, :5])
    assert float(before[0, 0, 3]) == pytest.approx(math.log(PREFIX) - 4)


def test_what_is_known_beforehand_is_measured_on_texts_left_out():
    generator = torch.Generator().manual_seed(4)
    costs = {
        name: torch.randn(40, 50, generator=generator) for name in ("surprisal", "entropy", "margin", "noise")
    }
    costs["divergence"] = (costs["surprisal"] + costs["noise"]).exp()  # half the variance of its log
    found = worth.explained(costs, PREFIX)
    assert found["surprisal"][0] == pytest.approx(0.5, abs=0.05)
    assert found["all"][0] == pytest.approx(0.5, abs=0.05)
    assert found["entropy"][0] == pytest.approx(0.0, abs=0.01)


def test_shrinkage_is_the_slope_of_what_follows():
    before = torch.randn(400, 3, 8, generator=torch.Generator().manual_seed(2))
    noise = torch.randn(400, 3, 8, generator=torch.Generator().manual_seed(3))
    after = torch.tensor([0.7, 0.2, -0.5])[:, None] * before + noise + 4
    assert ideas.shrinkage(before, after).tolist() == pytest.approx([0.7, 0.2, 0.0], abs=0.05)


def test_what_goes_on_after_a_prefix_by_hand():
    own = torch.tensor([[-1.0], [1.0], [0.0]])
    vectors = torch.stack([own, 0 * own], dim=-1)
    found = {f"{site}-own": own for site in (INPUT, HIDDEN)} | {
        f"{site}-rest": 3 + own / 2 for site in (INPUT, HIDDEN)
    }
    found |= {"lost-own": vectors, "lost-rest": torch.tensor([4.0, 0.0]) + vectors / 4}
    kept = ideas.persistence(found)
    assert kept["input"] == pytest.approx((0.5, 0.5))
    assert kept["lost"] == pytest.approx((0.25 * 2 / 3 / 4, 0.25))


def table() -> pd.DataFrame:
    """A mechanism that wins 0.01 over none and 0.02 over its control, at equal sparsity."""
    noise = 0.001 * torch.tensor([1.0, -1.0, 2.0, -2.0])

    def texts(sparsity: float, above: float, spread: float) -> dict[str, torch.Tensor]:
        values = 0.1 + 0.5 * (sparsity - 0.4) + above + spread * noise
        return {"loss": values, "divergence": values, "ffn_sparsity": torch.full((4,), sparsity)}

    found = {
        "no-load": texts(0.40, 0.0, 0.0),
        "load": texts(0.38, -0.01, 1.0),
        "load-random": texts(0.42, 0.01, 0.5),
        "load-reversed": texts(0.40, 0.02, 0.5),
    }
    return mechanisms.compared(found, mechanisms.Line({"loss": 0.5, "divergence": 0.5}, 3.0), 0.4)


def test_policies_are_compared_at_equal_bytes():
    rows = table().set_index("policy")
    assert rows.loc["load", "divergence"] == pytest.approx(0.09)
    assert rows.loc["load", "base_divergence"] == pytest.approx(-0.01)
    assert rows.loc["load-random", "idea_divergence"] == pytest.approx(0.02)
    error = pd.Series([1.0, -1.0, 2.0, -2.0]).std() * 0.001 / 2
    assert rows.loc["load", "base_divergence_smallest"] == pytest.approx(2.8 * error, rel=1e-4)
    assert rows.loc["load", "base_divergence_high"] == pytest.approx(-0.01 + 3.182446 * error, rel=1e-4)
    assert pd.isna(rows.loc["no-load", "base_divergence"])
    assert rows.loc["no-load", "ships_divergence"] == pytest.approx(0.01)
    assert pd.isna(rows.loc["load", "ships_divergence"])
    assert pd.isna(rows.loc["load", "idea_divergence"])


def test_the_page_says_what_wins_and_what_does_not(tmp_path):
    rows = table()
    assert pages.wins(rows, "load")
    tried = pd.DataFrame(
        [
            {
                "idea": "predicted",
                "setting": 0.1,
                "difference": -0.001,
                "difference_low": -0.002,
                "difference_high": 0.0,
            }
        ]
    )
    text = pages.page(rows, tried, {"surprisal": (0.05, 0.01)}, {"lost": (0.8, 0.1)}, "abc", 0.4)
    assert "budget by surprisal, linear (ships): -10.0 % of the divergence without it; **wins**" in text
    assert "| — the same budgets turned |" in text
    assert "**-0.0300 [" in text
    assert "| surprisal | 5.0 % | 1.0 % |" in text
    assert "| mean of what a block loses (of its norm) | 0.80 | 0.10 |" in text
    pages.figure(rows, tmp_path / "mechanisms.png")
    assert (tmp_path / "mechanisms.png").read_bytes()[1:4] == b"PNG"
    rows.loc[rows["policy"] == "load-random", "idea_divergence_low"] = -0.001
    assert not pages.wins(rows, "load")


def test_the_page_says_what_loses_and_how_much_there_is_to_win():
    rows = table().replace({"policy": {"load-random": "mean-oracle", "load-reversed": "static"}})
    text = pages.page(rows, pd.DataFrame(), {}, {}, "abc", 0.4)
    assert "+10.0 % of the divergence without it; no more than 0.0 % are there to win" in text
    assert (
        "neurons dropped by the prefix: +20.0 % of the divergence without it; **loses** against none" in text
    )
    assert "its controls were not all measured" in text


def test_bounds_are_measured_first():
    order = ideas.in_order()
    assert order[:3] == ["hindsight", "mean-oracle", "thresholds-oracle"]
    assert (
        len(order)
        == len(set(order))
        == sum(len(idea.controls) + 1 + bool(idea.bound) for idea in ideas.IDEAS.values())
    )


def test_an_idea_names_its_controls_and_bound():
    assert ideas.IDEAS["mean"].names("mean") == ["mean", "mean-foreign", "mean-oracle"]
    for name, idea in ideas.IDEAS.items():
        assert all(pages.said(variant) for variant in idea.names(name))
