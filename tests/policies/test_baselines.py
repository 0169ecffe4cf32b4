"""Each baseline's rule on numbers worked out by hand."""

import random

import pytest
import torch
from selecting import selected, state
from tiny_models import tiny_model
from torch import nn

from clada_neuro.errors import ModelError
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.attribution import Attribution, tilts_of
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.policies.larosa import LaRosa, rotations, split
from clada_neuro.policies.r_sparse import RSparse, budget, strongest
from clada_neuro.policies.scap import Scap, candidates
from clada_neuro.policies.teal import Teal
from clada_neuro.policies.threshold import ThresholdTruncation
from clada_neuro.policies.wina import Wina
from clada_neuro.policies.wina_orthogonal import WinaOrthogonal, turned
from clada_neuro.policies.wisparse import WiSparse, child, evolved
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.kernels.selection import check_policy
from clada_neuro.runtime.prefix import Prefix


def test_dense_keeps_everything() -> None:
    assert selected(Dense(), "hidden", [0.0, -1.0]) == [1, 1]


def test_griffin_keeps_the_prompts_strongest_relative_activations() -> None:
    # rows normalised: (.6, .8, 0, 0) and (0, 0, 1, 0): scores s² = .36, .64, 1, 0; the size of a row does not count
    prefix = Prefix(1)
    prefix.update(
        0, torch.tensor([[[30.0, 40.0, 0.0, 0.0], [0.0, 0.0, 0.1, 0.0]]]), torch.ones(1, 2, dtype=torch.bool)
    )
    policy = Griffin(sparsity=0.5)
    assert selected(policy, "neuron", [9.0, 9.0, 9.0, 9.0], state(policy, prefix)) == [0, 1, 1, 0]
    assert selected(Griffin(sparsity=0.25), "neuron", [0.0] * 4, state(policy, prefix)) == [1, 1, 1, 0]


def test_tt_thresholds_the_norm_of_a_neurons_output() -> None:
    policy = ThresholdTruncation({"hidden": torch.tensor([1.0])}, {"hidden": torch.tensor([[2.0, 0.5, 1.0]])})
    assert selected(policy, "hidden", [0.5, 1.9, -1.1]) == [1, 0, 1]


def test_teal_thresholds_magnitudes() -> None:
    policy = Teal({"input": torch.tensor([1.0]), "hidden": torch.tensor([0.1])}, {})
    assert selected(policy, "input", [0.9, -1.0, 3.0]) == [0, 1, 1]
    assert selected(policy, "hidden", [0.05, -0.2, 0.0]) == [0, 1, 0]


def test_wina_keeps_the_top_products_of_each_token() -> None:
    weights = {"input": torch.tensor([[1.0, 10.0, 1.0, 0.1]]), "hidden": torch.ones(1, 4)}
    policy = Wina({"input": torch.tensor([0.5]), "hidden": torch.tensor([0.0])}, weights)
    # products 3, 5, 2, .4: the magnitudes alone would keep 3 and 4
    assert selected(policy, "input", [3.0, 0.5, -2.0, 4.0]) == [1, 1, 0, 0]
    assert selected(policy, "hidden", [3.0, 0.5, -2.0, 0.0]) == [1, 1, 1, 1]


def test_attribution_is_gradient_times_output_with_its_correction() -> None:
    # gradients (3, −4, 0): mean (3, −4, 0), norm 5. By the paper s = x·g + ½·|x|·5, for x = (1, 1, −3):
    # 3 + 2.5, −4 + 2.5, 0 + 7.5; for x = (−1, −1, 1): −3 + 2.5, 4 + 2.5, 2.5
    gradients = {"hidden": torch.tensor([[3.0, -4.0, 0.0]])}
    tilts = tilts_of(gradients, {"hidden": gradients["hidden"].square()})
    torch.testing.assert_close(tilts["hidden"], torch.tensor([[1.2, -1.6, 0.0]]))
    policy = Attribution({"hidden": torch.tensor([1.0])}, {}, tilts=tilts)
    x = torch.tensor([[1.0, 1.0, -3.0], [-1.0, -1.0, 1.0]])
    by_paper = torch.tensor([[5.5, -1.5, 7.5], [-0.5, 6.5, 2.5]])
    # half of the norm is divided out, and no score is below 0
    torch.testing.assert_close(policy.score(0, "hidden", x), by_paper.clamp_min(0) / 2.5)
    # |x| alone would keep the third and any one of the others
    assert selected(policy, "hidden", [1.0, 1.0, -3.0]) == [1, 0, 1]
    assert selected(policy, "hidden", [-1.0, -1.0, 1.0]) == [0, 1, 1]


def test_attribution_measures_the_gradient_of_what_the_model_would_say() -> None:
    from clada_neuro.passes.fitting import Passes
    from clada_neuro.passes.measure import DENSE_PREFIX
    from clada_neuro.policies.attribution import _tilts

    model = tiny_model("llama")
    tokens = torch.randint(3, 60, (3, DENSE_PREFIX + 4), generator=torch.Generator().manual_seed(0))
    _, found = _tilts(Passes(model, ffn_layers(model), tokens, None, lambda count: None))
    down = model.model.layers[1].mlp.down_proj
    seen = []

    def keep(module: nn.Module, args: tuple) -> None:
        args[0].retain_grad()
        seen.append(args[0])

    handle = down.register_forward_pre_hook(keep)
    embedded = model.get_input_embeddings()(tokens).detach().requires_grad_()
    logits = model(inputs_embeds=embedded).logits.flatten(0, 1)
    nn.functional.nll_loss(logits.log_softmax(-1), logits.argmax(-1), reduction="sum").neg().backward()
    handle.remove()
    gradient = seen[0].grad[:, DENSE_PREFIX:].flatten(0, 1)
    expected = 2 * gradient.mean(0) / gradient.square().sum(-1).mean().sqrt()
    torch.testing.assert_close(found["hidden"][1], expected, rtol=1e-4, atol=1e-6)


def test_scap_keeps_what_is_far_from_the_mode_and_puts_the_rest_there() -> None:
    policy = Scap({"hidden": torch.tensor([0.5])}, {}, modes={"hidden": torch.tensor([-0.2])})
    values = [-0.3, 0.2, 0.4, -0.8]  # 0.1, 0.4, 0.6 and 0.6 from the mode
    assert selected(policy, "hidden", values) == [0, 0, 1, 1]
    passed = policy.masked(0, "hidden", torch.tensor(values), torch.tensor([False, False, True, True]))
    torch.testing.assert_close(passed, torch.tensor([-0.2, -0.2, 0.4, -0.8]))
    # as the paper writes it: W(x − m) over kept rows, and W·m as a bias
    weight = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    shifted = torch.tensor([0.0, 0.0, 0.6, -0.6])
    torch.testing.assert_close(weight @ passed, weight @ shifted + weight @ torch.full((4,), -0.2))


def test_scaps_modes_are_zero_the_median_and_the_densest_value() -> None:
    generator = torch.Generator().manual_seed(0)
    # a narrow peak at −0.17, as of GELU, and a long tail above it
    peak = -0.17 + 0.02 * torch.randn(6000, generator=generator)
    values = torch.cat([peak, torch.rand(4000, generator=generator) * 3])
    values = values[torch.randperm(len(values), generator=generator)]
    zero, median, densest = candidates(values)
    assert zero == 0
    assert median == pytest.approx(float(values.median()), abs=0.02)
    assert densest == pytest.approx(-0.17, abs=0.02)
    assert candidates(torch.cat([torch.zeros(9990), torch.ones(10)])) == [0.0, 0.0]


def test_scap_with_modes_of_zero_is_teal() -> None:
    thresholds = {"input": torch.tensor([1.0]), "hidden": torch.tensor([0.1])}
    zero = {"input": torch.zeros(1), "hidden": torch.zeros(1)}
    values = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    for site in ("input", "hidden"):
        one, other = Scap(thresholds, {}, modes=zero), Teal(thresholds, {})
        masks = [rule.select(0, site, values, state(rule)) for rule in (one, other)]
        assert torch.equal(*masks)
        assert torch.equal(*(rule.masked(0, site, values, masks[0]) for rule in (one, other)))


def test_larosa_keeps_the_top_rows_of_a_turned_input() -> None:
    # along (1, 1)/√2 and (1, −1)/√2, x = (3, 1) is (4, 2)/√2: the first is kept, which is (2, 2) where x is read
    turn = torch.tensor([[[1.0, 1.0], [1.0, -1.0]]]) / 2**0.5
    policy = LaRosa({"input": torch.tensor([0.5]), "hidden": torch.tensor([0.5])}, turn)
    assert selected(policy, "input", [3.0, 1.0]) == [1, 0]
    assert selected(policy, "input", [3.0, -4.0]) == [0, 1]
    x, mask = torch.tensor([3.0, 1.0]), torch.tensor([True, False])
    passed = policy.masked(0, "input", x, mask)
    torch.testing.assert_close(passed, torch.tensor([2.0, 2.0]))
    # what the maps give is what merged maps give: kept rows of W·Q, times the turned input
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.0, 1.0]])
    merged, turned = weight @ turn[0], x @ turn[0]
    torch.testing.assert_close(weight @ passed, merged[:, 0] * turned[0])
    # the down map reads neurons as they are
    assert selected(policy, "hidden", [0.1, -3.0]) == [0, 1]
    assert policy.masked(0, "hidden", x, mask).tolist() == [3.0, 0.0]
    assert torch.equal(policy.masked(0, "input", x, torch.tensor([True, True])), x)


def test_larosa_turns_to_the_directions_of_calibration_texts() -> None:
    from clada_neuro.models.watching import watching
    from clada_neuro.passes.fitting import Passes
    from clada_neuro.passes.measure import DENSE_PREFIX

    model, seen = tiny_model("llama"), {}
    few, more = torch.randint(3, 60, (5, DENSE_PREFIX + 9), generator=torch.Generator().manual_seed(0)).split(
        [2, 3]
    )
    layers = ffn_layers(model)
    found = rotations(Passes(model, layers, few, None, lambda count: None, more=more))
    with watching(layers, x=lambda ffn, x: seen.update({ffn.layer: x})), torch.no_grad():
        model(torch.cat([few, more]))
    for layer, turn in enumerate(found):
        turned = (seen[layer][:, DENSE_PREFIX:] @ turn).flatten(0, 1)
        moments = turned.T @ turned
        torch.testing.assert_close(turn.T @ turn, torch.eye(len(turn)), rtol=0, atol=1e-5)
        off = moments - moments.diag().diag()
        assert off.abs().max() < 1e-4 * moments.diag().max()
        assert (moments.diag().diff() > -1e-3).all()  # from the least to the most


def test_larosa_shares_are_those_of_the_least_mean_error() -> None:
    errors = torch.tensor([[0.1, 0.2, 0.4], [0.9, 0.3, 0.4]])
    assert split(errors, [(0.1, 0.9), (0.2, 0.8), (0.3, 0.7)]) == (0.2, 0.8)


def test_wina_orthogonal_scores_turned_inputs_by_singular_values() -> None:
    # x = (3, 1) is (4, 2)/√2 along (1, 1)/√2 and (1, −1)/√2; σ = 1 and 3 turn 4 : 2 into 4 : 6, and the second is kept
    turn = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    policy = WinaOrthogonal(
        {},
        {"input": torch.tensor([[1.0, 3.0]])},
        dropped={"input": torch.tensor([0.5]), "hidden": torch.tensor([0.5])},
        turns=[turn],
    )
    assert selected(policy, "input", [3.0, 1.0]) == [0, 1]
    assert selected(policy, "input", [3.0, 1.6]) == [1, 0]  # 4.6 : 3·1.4
    x, mask = torch.tensor([3.0, 1.0]), torch.tensor([False, True])
    torch.testing.assert_close(policy.masked(0, "input", x, mask), torch.tensor([1.0, -1.0]))
    assert torch.equal(policy.masked(0, "input", x, torch.tensor([True, True])), x)
    # the down map reads neurons as they are, by magnitude
    assert selected(policy, "hidden", [0.1, -3.0]) == [0, 1]
    assert policy.masked(0, "hidden", x, mask).tolist() == [0.0, 1.0]


def test_wina_orthogonal_loses_what_its_scores_say() -> None:
    """Columns of W·V are orthogonal: the squared error of gate and up is the sum of the dropped scores squared."""
    layers = ffn_layers(tiny_model("llama"))
    policy = turned(layers, {"input": torch.tensor([0.4, 0.4]), "hidden": torch.zeros(2)})
    x = torch.randn(1, 5, 24, generator=torch.Generator().manual_seed(2))
    for ffn in layers:
        merged = ffn.input_weight @ policy.turns[ffn.layer]
        products = merged.T @ merged
        torch.testing.assert_close(
            products, policy.weights["input"][ffn.layer].square().diag(), rtol=0, atol=1e-5
        )
        mask = policy.select(ffn.layer, "input", x, state(policy))
        assert (~mask).sum(-1).unique().tolist() == [10]  # of 24
        lost = (x - policy.masked(ffn.layer, "input", x, mask)) @ ffn.input_weight.T
        scores = policy.score(ffn.layer, "input", x) * ~mask
        torch.testing.assert_close(lost.square().sum(-1), scores.square().sum(-1), rtol=1e-4, atol=1e-5)


def test_wina_orthogonal_that_drops_nothing_is_the_dense_model() -> None:
    model = tiny_model("llama")
    tokens = torch.randint(3, 60, (2, 9), generator=torch.Generator().manual_seed(1))
    dense = model(tokens).logits
    policy = turned(ffn_layers(model), {"input": torch.zeros(2), "hidden": torch.zeros(2)})
    with attach(model, policy) as session:
        session.begin(2)
        session.plan(torch.ones(2, 9), torch.zeros(2, 9, dtype=torch.bool))
        torch.testing.assert_close(model(tokens).logits, dense, rtol=0, atol=1e-5)
        assert session.ffn_sparsity().abs().max() == 0


def test_r_sparse_projects_what_it_drops_on_the_strongest_directions() -> None:
    # scores 2·1, 1·2 and 1·.1 against 2; the third passes along (0, .6, .8): −.8 of it
    along = torch.tensor([[0.0], [0.6], [0.8]])
    policy = RSparse(
        {"hidden": torch.tensor([2.0])},
        {"hidden": torch.tensor([[1.0, 2.0, 0.1]])},
        directions={"hidden": [along]},
    )
    values = torch.tensor([2.0, 1.0, -1.0])
    assert selected(policy, "hidden", values.tolist()) == [1, 1, 0]
    mask = torch.tensor([True, True, False])
    passed = policy.masked(0, "hidden", values, mask)
    torch.testing.assert_close(passed, torch.tensor([2.0, 0.52, -0.64]))
    # as the authors write it: W·kept + U_r·S_r·V_rᵀ·rest, for a W whose strongest direction that is
    other = torch.tensor([[0.0], [0.8], [-0.6]])
    weight = torch.tensor([[3.0], [4.0]]) @ along.T + torch.tensor([[-0.4], [0.3]]) @ other.T
    low_rank = torch.tensor([3.0, 4.0]) * (along[:, 0] @ (values * ~mask))
    torch.testing.assert_close(weight @ passed, weight @ (values * mask) + low_rank)


def test_r_sparse_finds_singular_directions_of_both_kinds_of_maps() -> None:
    for ffn in ffn_layers(tiny_model("llama")):
        for site, weight in (("input", ffn.input_weight), ("hidden", ffn.down_weight)):
            right = torch.linalg.svd(weight, full_matrices=False).Vh[:3].T
            found = strongest(ffn, site, 3)
            torch.testing.assert_close((found * right).sum(0).abs(), torch.ones(3), rtol=0, atol=1e-4)
            assert strongest(ffn, site, 0).shape == (weight.shape[1], 0)


def test_r_sparse_reads_no_more_than_columns_alone() -> None:
    (ffn, _) = ffn_layers(tiny_model("llama"))
    # half of 24 inputs of 104 weights (448 bytes in cache lines); directions have 104 + 24 (448 + 128)
    assert budget(ffn, "input", 0.5, 1.0) == (0.5, 0)
    assert budget(ffn, "input", 0.5, 0.5) == (0.75, 4)  # .5·.5·24·448 / 576 = 4.7
    plain, ranked = (
        RSparse({}, {}, directions={"input": [torch.zeros(24, rank)], "hidden": [torch.zeros(52, 0)]}).reads(
            ffn
        )
        for rank in (0, 4)
    )
    columns, fewer = ({"input": torch.tensor(kept), "hidden": torch.tensor(9)} for kept in (12, 6))
    assert ranked.read(fewer) - plain.read(fewer) == 4 * 576
    assert ranked.read(fewer) <= plain.read(columns)


def test_wisparse_thresholds_magnitudes_times_norms() -> None:
    weights = {"input": torch.tensor([[1.0, 10.0, 1.0, 0.1]])}
    policy = WiSparse({"input": torch.tensor([3.0])}, weights)
    # products 3, 5, 2, .4: the magnitudes alone would keep the first and the last
    assert selected(policy, "input", [3.0, 0.5, -2.0, 4.0]) == [1, 1, 0, 0]
    check_policy(WiSparse({"input": torch.zeros(1), "hidden": torch.zeros(1)}, {}))


def test_wisparse_children_move_steps_between_blocks() -> None:
    source = random.Random(0)
    parents = [[0.4] * 6, [0.1, 0.55, 0.4, 0.55, 0.1, 0.55]]
    for parent in parents:
        for _ in range(200):
            found = child(parent, source)
            assert sum(found) == pytest.approx(sum(parent))
            assert min(found) >= 0.1 - 1e-6
            assert max(found) <= 0.55 + 1e-6
    assert parents == [[0.4] * 6, [0.1, 0.55, 0.4, 0.55, 0.1, 0.55]]


def test_wisparse_evolution_finds_planted_budgets() -> None:
    planted = [0.2, 0.5, 0.3, 0.55, 0.45, 0.4]

    def loss(budgets) -> float:
        return sum((one - other) ** 2 for one, other in zip(budgets, planted, strict=True))

    start = [0.4] * 6
    found = evolved(start, loss, 60, 4, 0)
    assert loss(found) < 0.1 * loss(start)
    assert sum(found) == pytest.approx(2.4)
    assert evolved(start, loss, 60, 4, 0) == found
    assert evolved(start, lambda budgets: -loss(budgets) if budgets == start else 1.0, 9, 3, 0) == start


def test_kernels_refuse_scores_and_fillings_that_they_do_not_compute() -> None:
    tables = {"input": torch.zeros(1), "hidden": torch.zeros(1)}
    with pytest.raises(ModelError, match="'attribution' scores rows by more than"):
        check_policy(Attribution(tables, {}, tilts=tables))
    for rule in (
        Scap(tables, {}, modes=tables),
        LaRosa(tables, torch.eye(2)[None]),
        RSparse(tables, {}, directions={}),
        WinaOrthogonal({}, tables),
    ):
        with pytest.raises(ModelError, match=f"'{rule.name}' does more with dropped rows"):
            check_policy(rule)
    check_policy(Teal(tables, {}))
