import pytest
import torch
from tiny_models import tiny_model

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.policy import reads


@pytest.mark.parametrize(
    ("family", "sites", "kept", "expected"),
    [
        # gated block, hidden 24, neurons 52: rows of 4·104 = 416 → 448 bytes by input, 96 → 128 bytes by neuron
        (
            "llama",
            ("input", "hidden"),
            {"input": 12, "hidden": 13},
            1 - (12 * 448 + 13 * 128) / (24 * 448 + 52 * 128),
        ),
        ("llama", ("hidden",), {"hidden": 0}, 1 / 3),
        ("llama", ("gate",), {"gate": 26}, 1 / 3),
        ("llama", ("neuron",), {"neuron": 13}, 3 / 4),
        # plain block: rows of 4·52 = 208 → 256 bytes by input
        ("gpt2", ("input", "hidden"), {"input": 24, "hidden": 0}, 52 * 128 / (24 * 256 + 52 * 128)),
        ("gpt2", ("gate",), {"gate": 0}, 1 / 2),
    ],
)
def test_bytes_count_by_cache_line(family: str, sites: tuple, kept: dict, expected: float) -> None:
    bytes_of = reads(ffn_layers(tiny_model(family))[0], sites)
    share = bytes_of.sparsity({site: torch.tensor([[count]]) for site, count in kept.items()})
    assert share.shape == (1, 1)
    assert float(share) == pytest.approx(expected, abs=1e-6)


def test_nothing_dropped_is_no_sparsity() -> None:
    ffn = ffn_layers(tiny_model())[0]
    assert (
        float(
            reads(ffn, ("input", "hidden")).sparsity({"input": torch.tensor(24), "hidden": torch.tensor(52)})
        )
        == 0
    )
    assert reads(ffn, ()).sparsity({}) == 0
