"""Every command that loads a model takes a revision of it, and says when there is none."""

import pytest
from command_line import clada
from tiny_models import tiny_checkpoint

from clada_neuro.errors import ModelError

LOADING = [
    "run demo --limit 20 --out {0}/out",
    "trace demo --out {0}/out",
    "calibrate --text {0}/config.json --out {0}/out.safetensors",
    "evaluate --json {0}/out.json",
    "generate w3",
    "synergy adaptation --out {0}/out",
    "bench trace --json {0}/out.json",
]


@pytest.mark.parametrize(
    "command",
    [
        *LOADING,
        "synergy prefix --out {0}/out",
        "synergy human --out {0}/out",
        "bench decode --json {0}/out.json",
    ],
    ids=lambda command: " ".join(command.split()[:2]),
)
def test_a_revision_reaches_the_loader(tmp_path, capsys, command):
    tiny_checkpoint(tmp_path)
    done = clada(capsys, *command.format(tmp_path).split(), "--model", tmp_path, "--revision", "step3")
    assert done.code == 2
    assert done.complaint == (
        f"clada-neuro: revision 'step3' given, but '{tmp_path}' is no Hugging Face name, and only those have revisions; "
        "leave it out"
    )


@pytest.mark.parametrize("command", LOADING, ids=lambda command: " ".join(command.split()[:2]))
def test_precision_and_device_reach_the_loader(tmp_path, capsys, command, monkeypatch):
    tiny_checkpoint(tmp_path)
    seen = {}

    def read(model, kind, **source):
        seen.update(source)
        raise ModelError("seen")

    monkeypatch.setattr("clada_neuro.models.loading.load_weights", read)
    given = ("--model", tmp_path, "--dtype", "bfloat16", "--device")
    done = clada(capsys, *command.format(tmp_path).split(), *given, "spread")
    assert done.complaint.endswith("seen"), done.err
    assert str(seen["dtype"]) == "torch.bfloat16"
    assert seen["device_map"] == "auto"
    done = clada(capsys, *command.format(tmp_path).split(), *given, "cuda:99")
    assert "device 'cuda:99' cannot be used here" in done.complaint
