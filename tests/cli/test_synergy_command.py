"""``clada-neuro synergy``: wrong input is one line and exit code 2, before any model is loaded."""

import pytest
from command_line import clada


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("human", "--question", "frank2015_n40"), "did you mean 'frank2015_n400'"),
        (("prefix", "--distance", "64"), "a distance must lie between"),
    ],
)
def test_wrong_input_is_refused_in_one_line(arguments, said, tmp_path, capsys):
    done = clada(capsys, "synergy", *arguments, "--model", "no-such-model", "--out", tmp_path)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
