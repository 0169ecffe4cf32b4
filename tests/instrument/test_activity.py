"""Activity measures by hand, at their bounds, and against their definitions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clada_neuro.instrument.activity import (
    MEASURES,
    Activations,
    active_set,
    activity,
    adjustment,
    defined,
    hoyer,
    jaccard,
    of_activations,
    participation_ratio,
)

VECTORS = st.lists(st.floats(0, 1e4, width=32), min_size=4, max_size=40).map(torch.tensor)


def smallest_set(e: torch.Tensor, energy: float) -> int:
    """Count neurons by the definition: add the largest until the energy is reached."""
    power = e.double().square().sort(descending=True).values
    target, held = energy * power.sum(), 0.0
    for number, value in enumerate(power):
        if held >= target:
            return number
        held += float(value)
    return len(power)


def test_energy_sparsity_by_hand():
    # Energies 90, 9, 0.9, 0.1 of 100: the first two hold exactly 99 %.
    e = torch.tensor([90.0, 9.0, 0.9, 0.1]).double().sqrt()
    share, active = active_set(e)
    assert share == pytest.approx(0.5)
    assert active.tolist() == [True, True, False, False]


def test_equal_neurons_are_all_active():
    share, active = active_set(torch.ones(10))
    assert share == 0
    assert active.all()


@settings(max_examples=200, deadline=None)
@given(VECTORS)
def test_active_set_is_the_smallest_that_holds_the_energy(e):
    share, active = active_set(e.double())
    if e.double().square().sum() == 0:
        assert math.isnan(share)
        return
    size = round(len(e) * (1 - float(share)))
    assert size in (smallest_set(e, 0.99 - 1e-9), smallest_set(e, 0.99 + 1e-9))
    assert int(active.sum()) >= size  # ties at the edge are all marked


def test_hoyer_and_participation_ratio_at_their_bounds():
    one = torch.tensor([0.0, 3.0, 0.0, 0.0])
    assert hoyer(torch.ones(4)) == pytest.approx(0, abs=1e-6)
    assert hoyer(one) == pytest.approx(1)
    assert participation_ratio(torch.ones(4)) == pytest.approx(1)
    assert participation_ratio(one) == pytest.approx(1 / 4)


def test_hoyer_and_participation_ratio_by_hand():
    e = torch.tensor([3.0, 4.0])
    assert hoyer(e) == pytest.approx((math.sqrt(2) - 7 / 5) / (math.sqrt(2) - 1))
    assert participation_ratio(e) == pytest.approx(625 / (2 * (81 + 256)))


def test_participation_ratio_survives_large_contributions():
    assert participation_ratio(torch.full((8,), 1e10)) == pytest.approx(1)


def test_jaccard_by_hand():
    first = torch.tensor([True, True, False, False])
    assert jaccard(first, torch.tensor([True, False, True, False])) == pytest.approx(1 / 3)
    assert jaccard(first, first) == 1
    assert math.isnan(jaccard(first, torch.zeros(4, dtype=torch.bool)))


def test_adjustment_by_hand():
    assert adjustment(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])) == pytest.approx(1)
    assert adjustment(torch.tensor([1.0, 0.0]), torch.tensor([5.0, 5.0])) == pytest.approx(1 - math.sqrt(0.5))
    assert adjustment(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])) == pytest.approx(0, abs=1e-7)


def test_small_adjustments_keep_their_digits():
    angle = 1e-4
    turned = torch.tensor([math.cos(angle), math.sin(angle)])
    assert adjustment(torch.tensor([1.0, 0.0]), turned) == pytest.approx(1 - math.cos(angle), rel=1e-3)


def test_sequence_measures_compare_with_the_token_before_and_the_prefix():
    torch.manual_seed(0)
    e = torch.rand(2, 5, 12)
    e[:, 0] = 0  # start token
    values, total = activity(e, torch.zeros(2, 12), torch.zeros(2, 12))
    torch.testing.assert_close(total, e.sum(dim=1))
    assert all(torch.isnan(column[:, 0]).all() for column in values.values())
    for name in ("overlap_prev", "overlap_prefix", "adjustment_prev", "adjustment_prefix"):
        assert torch.isnan(values[name][:, 1]).all()
        assert torch.isfinite(values[name][:, 2:]).all()
    for t in range(2, 5):
        mean = e[:, 1:t].mean(dim=1)
        cosine = torch.nn.functional.cosine_similarity(e[:, t], mean)
        torch.testing.assert_close(values["adjustment_prefix"][:, t], 1 - cosine, atol=1e-6, rtol=0)
        cosine = torch.nn.functional.cosine_similarity(e[:, t], e[:, t - 1])
        torch.testing.assert_close(values["adjustment_prev"][:, t], 1 - cosine, atol=1e-6, rtol=0)
        sets = active_set(e[:, t])[1], active_set(e[:, t - 1])[1], active_set(mean)[1]
        torch.testing.assert_close(values["overlap_prev"][:, t], jaccard(sets[0], sets[1]))
        torch.testing.assert_close(values["overlap_prefix"][:, t], jaccard(sets[0], sets[2]))


def test_the_last_token_of_the_pass_before_counts():
    torch.manual_seed(0)
    e = torch.rand(1, 6, 8)
    zeros = torch.zeros(1, 8)
    whole, total = activity(e, zeros, zeros)
    first, carried = activity(e[:, :3], zeros, zeros)
    second, both = activity(e[:, 3:], e[:, 2], carried)
    both_passes = {name: torch.cat([first[name], second[name]], dim=1) for name in whole}
    torch.testing.assert_close(both_passes, whole, equal_nan=True)
    torch.testing.assert_close(both, total)


def test_compiled_measures_equal_their_definitions():
    torch.manual_seed(0)
    e = torch.randn(5, 40, 301).abs() ** torch.tensor([1.0, 4.0, 0.1, 12.0, 2.0])[:, None, None]
    e[:, 0] = 0  # start token
    e[2, 20:] = 0  # padding
    e[3, 7] *= 1e12
    e[4, 9] = 1  # ties
    last, total = torch.rand(5, 301), torch.rand(5, 301)
    last[0], total[1] = 0, 0
    found, after = activity(e, last, total)
    expected, expected_after = defined(e.double(), last.double(), total.double())
    torch.testing.assert_close(after, expected_after.float())
    assert found.keys() == expected.keys() == set(MEASURES)
    for name, mine in found.items():
        truth = expected[name].float()
        assert torch.equal(mine.isnan(), truth.isnan()), name
        assert mine.isnan().any()
        assert not mine.isnan().all(), name
        # A set's edge at the energy limit may fall on either side of it, one neuron of 301 up or down.
        atol = 0.02 if "overlap" in name or "energy" in name else 1e-6
        torch.testing.assert_close(mine, truth, atol=atol, rtol=1e-5, equal_nan=True)
        assert ((mine - truth).abs().nan_to_num() > 1e-6).float().mean() < 0.01, name


@settings(max_examples=100, deadline=None)
@given(VECTORS)
def test_the_compiled_active_set_is_the_smallest_that_holds_the_energy(e):
    values, _ = activity(e[None, None], torch.zeros(1, len(e)), torch.zeros(1, len(e)))
    share = float(values["sparsity_energy99"])
    if e.double().square().sum() == 0:
        assert math.isnan(share)
        return
    size = round(len(e) * (1 - share))
    assert size in (smallest_set(e, 0.99 - 1e-9), smallest_set(e, 0.99 + 1e-9))


def test_what_is_not_a_number_is_missing():
    e = torch.tensor([[[1.0, math.nan, 2.0], [1.0, math.inf, 2.0]]])
    values, _ = activity(e, torch.ones(1, 3), torch.ones(1, 3))
    assert all(column.isnan().all() for column in values.values())


def test_threads_change_nothing():
    torch.manual_seed(0)
    e, last, total = torch.rand(5, 9, 33), torch.rand(5, 33), torch.rand(5, 33)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 8):
            torch.set_num_threads(threads)
            found.append(activity(e, last, total))
    finally:
        torch.set_num_threads(before)
    for values, after in found[1:]:
        assert all(torch.equal(column, found[0][0][name]) for name, column in values.items())
        assert torch.equal(after, found[0][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_are_measured_as_their_contributions_are(dtype):
    torch.manual_seed(0)
    a, norms = torch.randn(2, 3, 7, 33).to(dtype), torch.rand(2, 33)
    layers = [Activations(a[layer], norms[layer], torch.rand(3, 33), torch.rand(3, 33)) for layer in (0, 1)]
    for layer, (values, last, total) in zip(layers, of_activations(layers, fresh=True), strict=True):
        e = layer.a.abs().float() * layer.norms
        e[:, 0] = 0  # start token
        expected, after = activity(e, layer.last, layer.total)
        assert all(
            torch.equal(values[name].nan_to_num(), column.nan_to_num()) for name, column in expected.items()
        )
        assert torch.equal(last, e[:, -1])
        assert torch.equal(total, after)
