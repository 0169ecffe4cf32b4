import torch
from tiny_models import tiny_model, tiny_policy

from clada_neuro.policies.controls import (
    RandomLoad,
    ReversedLoad,
    entropy_only,
    no_load,
    no_prefix,
    surprisal_only,
    uniform,
)
from clada_neuro.runtime.scoring import score

TEXTS = [
    torch.randint(3, 97, (n,), generator=torch.Generator().manual_seed(n)).tolist() for n in (30, 18, 25)
]


def _as(kind, policy, **extra):
    names = ("thresholds", "weights", "mean_of_dropped", "base_scale", "gamma", "kappa", "signal")
    return kind(**{name: getattr(policy, name) for name in names}, **extra)


def test_uniform_numbers_are_uniform_and_repeatable() -> None:
    seeds, steps = torch.meshgrid(torch.arange(200), torch.arange(200), indexing="ij")
    values = uniform(seeds.flatten(), steps.flatten())
    assert torch.equal(values, uniform(seeds.flatten(), steps.flatten()))
    assert ((values >= 0) & (values < 1)).all()
    assert abs(float(values.mean()) - 0.5) < 0.01
    counts = torch.histc(values, bins=20, min=0, max=1)
    assert (counts - 2000).abs().max() < 250
    neighbours = values.reshape(200, 200)
    assert (
        abs(
            float(
                torch.corrcoef(torch.stack([neighbours[:, :-1].flatten(), neighbours[:, 1:].flatten()]))[0, 1]
            )
        )
        < 0.03
    )


def test_random_load_belongs_to_the_text_not_to_the_batch() -> None:
    model = tiny_model()
    policy = _as(RandomLoad, tiny_policy(model, kappa=0.2), quantiles=torch.linspace(-2, 2, 11))
    together = score(model, policy, TEXTS, prefix=3, seeds=[5, 6, 7])
    for row, text in enumerate(TEXTS):
        alone = score(model, policy, [text], prefix=3, seeds=[5 + row])[0]
        torch.testing.assert_close(together[row].load, alone.load, equal_nan=True)
        torch.testing.assert_close(
            together[row].surprisal_bits, alone.surprisal_bits, equal_nan=True, rtol=1e-4, atol=1e-4
        )
    assert not torch.allclose(together[0].load[3:18], together[1].load[3:])


def test_reversed_load_turns_the_sign() -> None:
    model = tiny_model()
    policy = tiny_policy(model, kappa=0.2)
    own, reversed_load = (
        score(model, p, TEXTS[:1], prefix=3)[0] for p in (policy, _as(ReversedLoad, policy))
    )
    torch.testing.assert_close(own.load[3], -reversed_load.load[3])


def test_single_signals_and_missing_parts() -> None:
    policy = tiny_policy(tiny_model(), kappa=0.2, gamma=0.3)
    assert surprisal_only(policy).signal.alpha == 1
    assert entropy_only(policy).signal.alpha == 0
    assert not no_load(policy).sequential
    assert not no_prefix(policy).uses_prefix
    assert policy.sequential
    assert policy.uses_prefix
