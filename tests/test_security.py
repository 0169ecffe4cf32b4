"""One test a promise about code that others could bring in: models, formulas, tables, archives, pages, downloads."""

import ast
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from clada_neuro.errors import FitError, ModelError
from clada_neuro.evaluation.tasks import TASKS
from clada_neuro.exports import write_csv
from clada_neuro.stats.exclusions import exclude
from clada_neuro.stats.formula import parse
from clada_neuro.stimuli.registry import registry

ROOT = Path(__file__).parent.parent
CODE = sorted(
    [
        *(ROOT / "clada_neuro").rglob("*.py"),
        *(ROOT / "analyses").glob("*.py"),
        *ROOT.glob("notebooks/*.ipynb"),
    ]
)


def parsed(path: Path) -> ast.Module:
    if path.suffix == ".py":
        return ast.parse(path.read_text(encoding="utf-8"))
    cells = [
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"
    ]
    return ast.parse(
        "\n".join("".join(cell["source"]) for cell in cells if not "".join(cell["source"]).startswith("%"))
    )


def imported(tree: ast.Module) -> set[str]:
    plain = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    return plain | {
        (node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }


def calls(tree: ast.Module) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def keyword(call: ast.Call, name: str) -> object:
    return next((getattr(k.value, "value", k.value) for k in call.keywords if k.arg == name), None)


@pytest.fixture(scope="module", params=CODE, ids=lambda path: str(path.relative_to(ROOT)))
def tree(request) -> ast.Module:
    return parsed(request.param)


def test_nothing_is_pickled_or_unpickled(tree):
    assert not imported(tree) & {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"}
    for name, call in calls(tree):
        # joblib shares work out among processes of ours; its files would be pickles.
        assert name not in ("joblib.load", "joblib.dump", "joblib.Memory"), name
        assert name not in ("torch.save", "pd.read_pickle", "pandas.read_pickle"), name
        assert not name.endswith((".to_pickle", ".read_pickle")), name
        assert not keyword(call, "allow_pickle"), name
        assert name != "torch.load" or keyword(call, "weights_only") is True, name


def test_code_of_a_checkpoint_is_never_run(tree):
    for name, call in calls(tree):
        assert keyword(call, "trust_remote_code") in (None, False), name


def test_weights_are_safetensors_only(tree):
    for name, call in calls(tree):
        assert keyword(call, "use_safetensors") in (None, True), name


def test_no_shell_and_no_evaluated_text(tree):
    for name, call in calls(tree):
        assert name not in ("os.system", "os.popen", "eval", "exec", "compile", "subprocess.getoutput"), name
        assert not keyword(call, "shell"), name
        if name.startswith("subprocess."):
            assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), (
                f"{name}: a list of arguments expected"
            )


def test_archives_are_never_unpacked_to_disk(tree):
    assert not imported(tree) & {"tarfile"}
    for name, _ in calls(tree):
        assert not name.endswith((".extractall", ".extract", "unpack_archive")), name
        assert name not in ("pooch.Unzip", "pooch.Untar", "Unzip", "Untar"), name


def test_tables_for_people_are_written_with_formulas_neutralised():
    """A CSV written otherwise holds names and numbers of ours alone: R's input, names of policies, tasks and terms."""
    elsewhere = {"stats/engines/lme4.py", "questions/page.py", "cli/evaluate.py"}
    writing = {
        str(path.relative_to(ROOT / "clada_neuro"))
        for path in CODE
        if path.is_relative_to(ROOT / "clada_neuro")
        and any(name.endswith(".to_csv") for name, _ in calls(parsed(path)))
    }
    assert writing - elsewhere == {"exports.py"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_becomes_text(tmp_path, start):
    frame = pd.DataFrame({f"{start}HEADER": [f"{start}cmd|'/c calc'!A1", "plain"], "b": [-1.5, 2.0]})
    text = write_csv(frame, tmp_path / "t.csv").read_bytes().decode("utf-8-sig")
    assert f"'{start}HEADER" in text
    assert f"'{start}cmd" in text
    assert "-1.5" in text
    assert "'-1.5" not in text


def test_text_of_stimuli_is_escaped_on_the_page(tmp_path):
    from clada_neuro.reporting.build import report

    evil = "<script>alert(1)</script>"
    rows = {
        "stimulus_id": [evil],
        "item": [evil],
        "condition": [evil],
        "sentence": [evil],
        "word": [evil],
        "word_index": [0],
    }
    from clada_neuro.artifacts import write_json, write_table

    write_table(pd.DataFrame(rows), tmp_path / "stimuli.parquet")
    step = {"step": evil, "reason": evil, "rows_before": 1, "rows_removed": 1, "rows_after": 0}
    document = {"target": evil, "title": evil, "model": {"model": evil}, "joins": [step]}
    write_json(tmp_path / "manifest.json", document)
    page = report(tmp_path).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_checkpoint_of_pickles_or_of_code_is_refused(tmp_path):
    from clada_neuro.models.loading import load_model

    for file in ("pytorch_model.bin", "modeling_evil.py"):
        (tmp_path / file).write_bytes(b"raise SystemExit('ran')")
    config = {
        "model_type": "evil",
        "auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Config"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"pytorch_model\.bin' cannot be read as weights"):
        load_model(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "part",
    ["__import__('os').system('touch {file}')", "np.load('x')", "open('{file}', 'w')", "C(x, contr.treatment.__class__)", "[q for q in x]", "I(x).real"],
)  # fmt: skip
def test_a_formula_runs_no_code(tmp_path, part):
    text = part.format(file=tmp_path / "ran")
    for formula in (f"y ~ {text} + (1 | s)", f"{text} ~ x", f"y ~ x + (1 + {text} | s)"):
        with pytest.raises(FitError):
            parse(formula).variables()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "condition",
    [
        "@pd.io.common.os.system('touch {file}') == 0",
        "x.__class__ == 1",
        "x.map(print) == 1",
        "__import__('os') == 1",
        "y = 1",
    ],
)
def test_an_exclusion_runs_no_code(tmp_path, condition):
    with pytest.raises(FitError):
        exclude(pd.DataFrame({"x": [1, 2]}), [condition.format(file=tmp_path / "ran")])
    assert not os.listdir(tmp_path)


def test_ordinary_exclusions_and_formulas_still_work():
    frame = pd.DataFrame({"x": [1.0, None, 3.0], "a b": [1, 2, 3], "word": ["u", "v", "w"]})
    for condition, met in (
        ("x.isna()", 1), ("`a b` > 2", 1), ("word in ['u', 'v']", 2), ("abs(x) > 2 and word == 'w'", 1), ("not x > 0", 0),
    ):  # fmt: skip
        assert exclude(frame, [condition])[1][0]["rows_removed"] == met
    for text in (
        "log(y) ~ scale(x) + C(f, contr.sum) + I(x ** 2) + np.log1p(z) + poly(w, 2) + (1 + x | s)",
        "y ~ sqrt(abs(x))",
    ):
        parse(text).variables()


def test_every_download_has_a_checksum_and_comes_over_tls():
    declared = [*registry()[0].values(), *(task.local.source for task in TASKS.values() if task.local)]
    files = [file for source in declared for file in source.files.values()]
    assert len(files) > 20
    for file in files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256), file
        assert file.url.startswith("https://"), file
        assert Path(file.name).name == file.name or ".." not in Path(file.name).parts, file
