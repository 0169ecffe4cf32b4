"""Every command that loads a model takes a revision of it, and says when there is none."""

import pytest
from command_line import clada
from tiny_models import tiny_checkpoint


@pytest.mark.parametrize(
    "command",
    [
        "run demo --limit 1 --out {0}/out",
        "trace demo --out {0}/out",
        "calibrate --text {0}/config.json --out {0}/out.safetensors",
        "evaluate --json {0}/out.json",
        "generate w3",
        "synergy adaptation --out {0}/out",
    ],
    ids=lambda command: command.split()[0],
)
def test_a_revision_reaches_the_loader(tmp_path, capsys, command):
    tiny_checkpoint(tmp_path)
    done = clada(capsys, *command.format(tmp_path).split(), "--model", tmp_path, "--revision", "step3")
    assert done.code == 2
    assert done.complaint == (
        f"clada-neuro: revision 'step3' given, but '{tmp_path}' is no Hugging Face name, and only those have revisions; "
        "leave it out"
    )
