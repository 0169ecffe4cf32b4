import numpy as np
import pytest
import torch

from clada_neuro.calibration.allocation import allocate, equal_error

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def quadratic(costs: list[float]) -> torch.Tensor:
    return torch.tensor([[cost * share**2 for share in SHARES] for cost in costs])


def test_quadratic_losses_have_the_solution_of_lagrange() -> None:
    """Least Σ c_k p_k² at Σ W_k p_k = B: p_k ∝ W_k / c_k."""
    losses = {"input": quadratic([1.0, 2.0]), "hidden": quadratic([0.5, 1.0])}
    weight = {"input": torch.tensor([2.0, 2.0]), "hidden": torch.tensor([1.0, 1.0])}
    found = allocate(losses, SHARES, weight, total=6.0, target=0.3)
    ideal = np.array([2 / 1, 2 / 2, 1 / 0.5, 1 / 1])
    ideal *= 0.3 * 6 / (ideal @ np.array([2, 2, 1, 1]))
    np.testing.assert_allclose(torch.cat([found["input"], found["hidden"]]), ideal, atol=0.01)


def test_the_budget_is_met_and_costly_sites_are_spared() -> None:
    torch.manual_seed(0)
    losses = {"input": quadratic([5.0, 0.1, 1.0]), "hidden": quadratic([1.0, 1.0, 20.0])}
    weight = {"input": torch.full((3,), 2.0), "hidden": torch.ones(3)}
    found = allocate(losses, SHARES, weight, total=9.0, target=0.4)
    spared = sum(float(weight[site] @ found[site]) for site in weight)
    assert spared / 9 == pytest.approx(0.4, abs=0.005)
    assert found["input"][0] < found["input"][2] < found["input"][1]
    assert found["hidden"][2] < found["hidden"][0]


def test_equal_error_meets_the_budget_with_one_error_everywhere() -> None:
    """Errors e = c·p: at the common error every share is e/c."""
    costs = {"input": torch.tensor([1.0, 2.0]), "hidden": torch.tensor([0.8, 4.0])}
    errors = {site: cost[:, None] * torch.tensor(SHARES) for site, cost in costs.items()}
    weight = {"input": torch.full((2,), 2.0), "hidden": torch.ones(2)}
    found = equal_error(errors, SHARES, weight, total=6.0, target=0.3)
    reached = torch.cat([found[site] * costs[site] for site in costs])
    torch.testing.assert_close(reached, reached.mean().expand(4), rtol=1e-4, atol=1e-5)
    spared = sum(float(weight[site] @ found[site]) for site in weight)
    assert spared / 6 == pytest.approx(0.3, abs=1e-4)
