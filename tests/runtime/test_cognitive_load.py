import math

import pytest
import torch
from tiny_models import tiny_model, tiny_policy

from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.cognitive_load import LoadHistory, LoadSignal, surprisal_and_entropy
from clada_neuro.runtime.scoring import score


def test_bits() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]))
    surprisal, entropy = surprisal_and_entropy(logits, torch.tensor([1, 0]))
    torch.testing.assert_close(surprisal, torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(entropy, torch.tensor([1.5, 0.0]))


def test_load_is_the_weighted_mean_of_z_scores() -> None:
    signal = LoadSignal(alpha=0.25, surprisal_mean=4.0, surprisal_sd=2.0, entropy_mean=5.0, entropy_sd=0.5)
    assert float(signal(torch.tensor(8.0), torch.tensor(4.0))) == pytest.approx(0.25 * 2 + 0.75 * -2)


def events(loads: torch.Tensor) -> torch.Tensor:
    """Push ``loads (tokens, batch)``; return the event of each."""
    history = LoadHistory()
    assert history.event() is None
    found = []
    for load in loads:
        history.push(load)
        found.append(history.event())
    return torch.stack(found)


def test_no_event_before_the_window_is_full() -> None:
    found = events(torch.stack([torch.arange(12.0), torch.full((12,), 3.0)], dim=1))
    assert not found[:10].any()
    assert found[10:, 0].all()  # rising load passes every percentile
    assert not found[:, 1].any()  # a constant load never passes its own


def test_the_seventieth_percentile_decides() -> None:
    loads = torch.cat([torch.arange(10.0).repeat(2, 1).T, torch.tensor([[6.2, 6.4]])])
    assert events(loads)[-1].tolist() == [False, True]  # the 70th percentile of 0…9 is 6.3


def test_the_window_rolls_and_follows_its_sequences() -> None:
    loads = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
    history, order = LoadHistory(), torch.tensor([2, 0])
    for number, load in enumerate(loads):
        if number == 20:
            history.reorder(order)
        history.push(load if number < 20 else load[order])
    expected = loads[29] > torch.quantile(loads[19:29], 0.7, dim=0)
    assert history.event().tolist() == expected[order].tolist()


def test_scale_follows_load() -> None:
    """τ_t = τ·exp(−κ·λ_t), λ_t from the logits that the policy itself produced."""
    model = tiny_model()
    policy = tiny_policy(model, kappa=0.3, base_scale=1.5)
    with attach(model, policy) as session, torch.no_grad():
        logits = model(torch.tensor([[3, 4, 5]])).logits[:, -1]
        token = torch.tensor([6])
        session.drawn(token)
        load = policy.signal(*surprisal_and_entropy(logits, token))
        torch.testing.assert_close(session.state.load, load)
        torch.testing.assert_close(session.state.scale[0, 0], 1.5 * torch.exp(-0.3 * load[0]))


def test_high_load_is_answered_densely() -> None:
    model = tiny_model()
    tokens = torch.randint(3, 97, (40,), generator=torch.Generator().manual_seed(1)).tolist()
    free = score(model, tiny_policy(model, kappa=0.1), [tokens], prefix=3)[0]
    limit = float(free.load[3:].median())
    acting = score(model, tiny_policy(model, kappa=0.1, reanalysis_load=limit), [tokens], prefix=3)[0]
    acted = acting.action == 1
    assert acted.any()
    assert (acting.ffn_sparsity[acted] == 0).all()
    assert (acting.load[acted] > limit).all()
    assert (acting.ffn_sparsity[3:][~acted[3:]] > 0).any()
    assert math.isnan(float(acting.load[2]))
