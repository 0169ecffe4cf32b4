"""Our nine tasks beside those of lm-evaluation-harness, its prompts and its own model, item by item.

The harness reads its data sets from the hub. Here it gets the rows of the local files, put back into the hub's shape.
"""

import importlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from clada_neuro.evaluation import evaluate as module
from clada_neuro.evaluation.items import load_items
from clada_neuro.evaluation.tasks import TASKS
from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.stimuli import datasets

lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
TaskManager = importlib.import_module("lm_eval.tasks").TaskManager
HFLM = importlib.import_module("lm_eval.models.huggingface").HFLM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("CLADA_NEURO_DATA"), reason="CLADA_NEURO_DATA names no data sets"),
]
ITEMS = int(os.environ.get("CLADA_NEURO_HARNESS_ITEMS", "12"))
THEIR_FILE = {
    "hellaswag": "hellaswag/hellaswag.yaml",
    "piqa": "piqa/piqa.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_challenge.yaml",
    "winogrande": "winogrande/default.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "lambada": "lambada/lambada_openai.yaml",
    "sciq": "sciq/sciq.yaml",
}


def lettered(row: dict) -> dict:
    letters = "ABCDE"[: len(row["choices"])]
    stem = row["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
    return {
        "question": stem,
        "question_stem": stem,
        "choices": {"text": row["choices"], "label": list(letters)},
        "answerKey": letters[row["gold"]],
    }


def described(row: dict) -> dict:
    activity, _, context = row["query"].partition(": ")
    unfinished = re.match(r"""(?s)(.*[.!?]["')]*)\s+([^.!?]*[^.!?"')])$""", context)
    first, second = unfinished.groups() if unfinished else (context, "")
    return {
        "activity_label": activity,
        "ctx_a": first,
        "ctx_b": second,
        "endings": row["choices"],
        "label": str(row["gold"]),
    }


IN_HUB_SHAPE = {
    "arc_easy": lettered,
    "arc_challenge": lettered,
    "openbookqa": lettered,
    "hellaswag": described,
    "boolq": lambda row: {**row, "label": int(row["answer"])},
    "lambada": lambda row: {"text": f"{row['context']} {row['continuation']}"},
}


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load_model("smollm2", start_token="none")


@pytest.mark.parametrize("name", THEIR_FILE)
def test_same_log_probs_and_scores(
    model: LanguageModel, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cache_folder", lambda *parts: tmp_path)
    items = load_items(TASKS[name])
    ours = module.evaluate(model, [name], ["dense"], limit=ITEMS).set_index("item")
    local = TASKS[name].local
    rows = local.read(datasets.path(local.source))
    shape = IN_HUB_SHAPE.get(name, dict)
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(shape(rows[number])) for number in ours.index), encoding="utf-8")
    own = tmp_path / "tasks"
    own.mkdir()
    settings = {
        "include": str(Path(lm_eval.__file__).parent / "tasks" / THEIR_FILE[name]),
        "task": f"local_{name}",
        "tag": None,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "training_split": None,
        "validation_split": None,
        "test_split": "test",
    }
    (own / f"{name}.yaml").write_text(json.dumps(settings), encoding="utf-8")
    theirs = lm_eval.simple_evaluate(
        HFLM(model.model, tokenizer=model.tokenizer, max_length=model.max_context),
        tasks=[f"local_{name}"],
        task_manager=TaskManager(include_path=str(own), include_defaults=False),
        bootstrap_iters=0,
    )
    (samples,) = theirs["samples"].values()
    assert len(samples) == len(ours) == ITEMS
    for sample, (number, row) in zip(
        sorted(samples, key=lambda sample: sample["doc_id"]), ours.iterrows(), strict=True
    ):
        reference = [float(response[0][0]) for response in sample["resps"]]
        np.testing.assert_allclose(
            row["log_probs"], reference, rtol=1e-4, atol=2e-3, err_msg=str(items[number])
        )
        assert row["correct"] == sample["acc"]
        if TASKS[name].metric == "acc_norm":
            assert row["correct_norm"] == sample["acc_norm"]
