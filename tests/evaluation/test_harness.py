"""The model class inside lm-evaluation-harness, beside the harness's own, on tasks made here of a few rows."""

import importlib
import json
import math
from types import SimpleNamespace

import pytest
import torch

from clada_neuro.errors import CladaNeuroError
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.scoring import score

lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
HarnessModel = importlib.import_module("clada_neuro.evaluation.harness").HarnessModel
HFLM = importlib.import_module("lm_eval.models.huggingface").HFLM
TaskManager = importlib.import_module("lm_eval.tasks").TaskManager

ROWS = [
    {"question": "What boils water?", "choices": ["a kettle", "a door", "an old hat"], "gold": 0},
    {"question": "Where do fish live?", "choices": ["in trees", "in the sea", "in books"], "gold": 1},
    {"question": "What falls from clouds?", "choices": ["rain", "bread and butter", "cups"], "gold": 0},
    {"question": "Who writes a novel?", "choices": ["a river", "a stone", "an author"], "gold": 2},
]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> TaskManager:
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    source = (
        f"dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {folder / 'rows.jsonl'}\n"
        "test_split: test\n"
    )
    (folder / "choice.yaml").write_text(
        f"task: own_choice\n{source}output_type: multiple_choice\n"
        'doc_to_text: "Question: {{question}}\\nAnswer:"\ndoc_to_target: gold\ndoc_to_choice: choices\n'
        "metric_list:\n  - metric: acc\n  - metric: acc_norm\n",
        encoding="utf-8",
    )
    (folder / "rolling.yaml").write_text(
        f"task: own_rolling\n{source}output_type: loglikelihood_rolling\n"
        'doc_to_text: ""\ndoc_to_target: "{{question}}"\n'
        "metric_list:\n  - metric: word_perplexity\n  - metric: bits_per_byte\n",
        encoding="utf-8",
    )
    (folder / "generate.yaml").write_text(
        f"task: own_generate\n{source}output_type: generate_until\n"
        'doc_to_text: "Question: {{question}}\\nAnswer:"\ndoc_to_target: "{{choices[gold]}}"\n'
        'generation_kwargs:\n  until: ["\\n", "."]\n  max_gen_toks: 8\n'
        "metric_list:\n  - metric: exact_match\n",
        encoding="utf-8",
    )
    return TaskManager(include_path=str(folder), include_defaults=False)


def run(model, tasks: TaskManager, *names: str) -> dict:
    return lm_eval.simple_evaluate(model, tasks=list(names), task_manager=tasks, bootstrap_iters=0)


@pytest.fixture(scope="module")
def dense() -> HarnessModel:
    return HarnessModel(policy="dense")


@pytest.fixture(scope="module")
def theirs(dense: HarnessModel) -> HFLM:
    return HFLM(dense.language.model, tokenizer=dense.tokenizer, max_length=dense.language.max_context)


def test_dense_is_the_harness_own_model(dense, theirs, tasks) -> None:
    names = ("own_choice", "own_rolling", "own_generate")
    ours, reference = run(dense, tasks, *names), run(theirs, tasks, *names)
    for name in names:
        for metric, value in reference["results"][name].items():
            if isinstance(value, float):
                assert ours["results"][name][metric] == pytest.approx(value, rel=1e-4), metric
        for mine, other in zip(ours["samples"][name], reference["samples"][name], strict=True):
            if name == "own_generate":
                assert mine["resps"] == other["resps"]
            else:
                flat = [torch.tensor(s["resps"], dtype=torch.double).flatten() for s in (mine, other)]
                torch.testing.assert_close(*flat, rtol=1e-4, atol=1e-3)


def test_it_is_registered_and_takes_its_arguments_as_text(tasks) -> None:
    found = lm_eval.simple_evaluate(
        "clada-neuro",
        model_args="policy=griffin,sparsity=0.3,start=middle",
        tasks=["own_choice"],
        task_manager=tasks,
        bootstrap_iters=0,
    )
    assert found["results"]["own_choice"]["sample_len"] == len(ROWS)


def test_a_policy_touches_what_it_should(dense) -> None:
    sparse = HarnessModel(policy="teal", start_token="auto")
    context, answer = "Question: What boils water?\nAnswer:", " a kettle"
    request = SimpleNamespace(args=(context, answer))
    (log_prob, _), (plain, _) = (m.loglikelihood([request], True)[0] for m in (sparse, dense))
    assert abs(log_prob - plain) > 1e-3
    ids = [sparse.language.start_token_id, *sparse.tokenizer(context + answer).input_ids]
    length = len(sparse.tokenizer(answer).input_ids)
    found = score(sparse.language.model, sparse.policy, [ids], prefix=len(ids) - length - 1)[0]
    expected = -float(found.surprisal_bits[-length:].sum()) * math.log(2)
    assert log_prob == pytest.approx(expected, abs=0.05)


def test_an_empty_context_is_the_start_token_of_the_harness(dense) -> None:
    (log_prob, greedy), *_ = dense.loglikelihood([SimpleNamespace(args=("", "The kettle"))], True)
    ids = [dense.tokenizer.bos_token_id, *dense.tokenizer("The kettle").input_ids]
    found = score(dense.language.model, Dense(), [ids], prefix=1)[0]
    assert log_prob == pytest.approx(-float(found.surprisal_bits[1:].sum()) * math.log(2), abs=1e-3)
    assert greedy is False


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(CladaNeuroError, match="'sparsty' is not known"):
        HarnessModel(sparsty=0.3)
