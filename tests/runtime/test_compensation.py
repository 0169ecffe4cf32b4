"""The mean of what is dropped, between the scales at which it was measured, said alike in every way of asking."""

import pytest
import torch

from clada_neuro.runtime.thresholds import Compensation

MEAN = Compensation(
    torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 3.0])[:, None, None] * torch.tensor([[1.0, 2.0]])
)


@pytest.mark.parametrize(
    ("scale", "expected"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (1.5, 2.0), (2.0, 3.0), (7.0, 3.0)]
)
def test_it_is_linear_between_scales_and_constant_beyond_the_last(scale, expected):
    bias = expected * torch.tensor([1.0, 2.0])
    torch.testing.assert_close(MEAN(0, torch.tensor([[scale]])), bias[None, None])
    torch.testing.assert_close(MEAN.of_token(torch.tensor([scale])), bias[None])
    out = torch.full((1, 2), 9.0)
    MEAN.put(scale, out)
    torch.testing.assert_close(out, bias[None])
