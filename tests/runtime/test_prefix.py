import pytest
import torch
from tiny_models import tiny_model, tiny_policy

from clada_neuro.policies.controls import ForeignPrefix, PeriodicRefresh, never_refresh
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.prefix import REFRESH_WEIGHT, Prefix, ranks, standardize


def test_score_is_the_mean_share_of_energy() -> None:
    prefix = Prefix(1)
    a = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 1.0, 0.0], [9.0, 9.0, 9.0]]])
    prefix.update(0, a, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(prefix.score(0), torch.tensor([[0.36 / 2, (0.64 + 1) / 2, 0.0]]))


def test_a_long_prefix_is_refreshed_as_a_moving_average() -> None:
    prefix = Prefix(1)
    prefix.update(0, torch.tensor([[[1.0, 0.0]]]).expand(1, 50, 2), torch.ones(1, 50, dtype=torch.bool))
    prefix.update(0, torch.tensor([[[0.0, 1.0]]]), torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(prefix.score(0), torch.tensor([[1 - REFRESH_WEIGHT, REFRESH_WEIGHT]]))


def test_in_pieces_equals_at_once_for_a_short_prefix() -> None:
    torch.manual_seed(0)
    a = torch.randn(2, 9, 5)
    counted = torch.ones(2, 9, dtype=torch.bool)
    once, pieces = Prefix(2), Prefix(2)
    once.update(0, a, counted)
    for part, mask in zip(a.split(3, 1), counted.split(3, 1), strict=True):
        pieces.update(0, part, mask)
    torch.testing.assert_close(once.score(0), pieces.score(0))


def test_rank_joins_prefix_and_prior() -> None:
    prefix = Prefix(2)
    a = torch.tensor([[[1.0, 2.0, 3.0, 4.0]], [[4.0, 3.0, 2.0, 1.0]]])
    prefix.update(0, a, torch.tensor([[True], [False]]))
    prior = torch.tensor([0.0, 0.1, 0.2, 0.3])
    z = prefix.standardized_rank(0, prior)
    torch.testing.assert_close(z[0], standardize(torch.arange(4.0)))
    torch.testing.assert_close(
        z[1], standardize(ranks(prior))
    )  # a sequence without a prefix has the prior alone
    assert z.mean(1).abs().max() < 1e-6
    torch.testing.assert_close(z.square().mean(1), torch.ones(2))


def _masks_after(policy, prompt: list[int], continuation: list[int]) -> list[torch.Tensor]:
    model = tiny_model()
    found = []
    with attach(model, policy) as session, torch.no_grad():
        cache = model(torch.tensor([prompt]), use_cache=True).past_key_values
        for token in continuation:
            session.drawn(torch.tensor([token]))
            cache = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True).past_key_values
            found.append(session.masks.get((1, "hidden")))
    return found


@pytest.fixture
def policy():
    return tiny_policy(tiny_model(), gamma=1.0, base_scale=2.0)


def test_the_prefix_changes_the_active_set(policy) -> None:
    """Against another sequence's prefix, with the very same threshold scale."""
    foreign = torch.stack(
        [
            standardize(torch.randperm(52, generator=torch.Generator().manual_seed(layer)).float())
            for layer in range(2)
        ]
    )
    common = {
        name: getattr(policy, name)
        for name in ("thresholds", "weights", "mean_of_dropped", "base_scale", "gamma")
    }
    own = _masks_after(policy, [3, 4, 5, 6], [7])[0]
    other = _masks_after(ForeignPrefix(**common, foreign=foreign), [3, 4, 5, 6], [7])[0]
    assert not torch.equal(own, other)


def test_a_refresh_changes_the_active_set(policy) -> None:
    common = {
        name: getattr(policy, name)
        for name in ("thresholds", "weights", "mean_of_dropped", "base_scale", "gamma")
    }
    refreshed = _masks_after(PeriodicRefresh(**common, period=2), [3, 4], [50, 60, 70])
    never = _masks_after(never_refresh(policy), [3, 4], [50, 60, 70])
    assert torch.equal(refreshed[0], never[0])
    assert refreshed[1] is None  # the dense token
    assert not torch.equal(refreshed[2], never[2])
