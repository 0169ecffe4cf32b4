"""Prompts, targets and right answers, on rows written for these tests in the shapes of the files and of the hub."""

import os
import re

import pytest

from clada_neuro.errors import DataError
from clada_neuro.evaluation.items import load_items, sample, task_of
from clada_neuro.evaluation.tasks import TASKS, Item
from clada_neuro.evaluation.tasks.hellaswag import clean, with_capital

SCHOOL = ["a kettle", "a door", "a hat"]
# task: row of the file, row of the hub, the item that both must give
ROWS = {
    "hellaswag": (
        {
            "query": "Baking: A man opens an oven. he",
            "choices": ["takes out bread.", "swims."],
            "gold": 0,
        },
        {
            "activity_label": "Baking",
            "ctx_a": "A man opens an oven.",
            "ctx_b": "he",
            "endings": ["takes out bread.", "swims."],
            "label": "0",
        },
        Item.choice("Baking: A man opens an oven. He", ["takes out bread.", "swims."], 0),
    ),
    "piqa": (
        {"goal": "Dry a cup", "sol1": "Use a towel.", "sol2": "Use a brick.", "label": 0},
        {"goal": "Dry a cup", "sol1": "Use a towel.", "sol2": "Use a brick.", "label": 0},
        Item.choice("Question: Dry a cup\nAnswer:", ["Use a towel.", "Use a brick."], 0),
    ),
    "arc_easy": (
        {"query": "Question: What boils water?\nAnswer:", "choices": SCHOOL, "gold": 0},
        {
            "question": "What boils water?",
            "choices": {"text": SCHOOL, "label": ["1", "2", "3"]},
            "answerKey": "1",
        },
        Item.choice("Question: What boils water?\nAnswer:", SCHOOL, 0),
    ),
    "openbookqa": (
        {"query": "Question: Water is boiled in\nAnswer:", "choices": SCHOOL, "gold": 0},
        {
            "question_stem": "Water is boiled in",
            "choices": {"text": SCHOOL, "label": ["A", "B", "C"]},
            "answerKey": "A",
        },
        Item.choice("Water is boiled in", SCHOOL, 0),
    ),
    "winogrande": (
        {"sentence": "Ann fed Eve as _ was hungry.", "option1": "Ann", "option2": "Eve", "answer": "2"},
        {"sentence": "Ann fed Eve as _ was hungry.", "option1": "Ann", "option2": "Eve", "answer": "2"},
        Item(("Ann fed Eve as Ann", "Ann fed Eve as Eve"), ("was hungry.", "was hungry."), 1),
    ),
    "boolq": (
        {"passage": "Water boils.", "question": "does water boil", "answer": True},
        {"passage": "Water boils.", "question": "does water boil", "label": 1},
        Item.choice("Water boils.\nQuestion: does water boil?\nAnswer:", ["no", "yes"], 1),
    ),
    "lambada": (
        {"context": "He filled the kettle and\nboiled the", "continuation": "water"},
        {"text": "He filled the kettle and\nboiled the water"},
        Item.choice("He filled the kettle and\nboiled the", ["water"], 0),
    ),
    "sciq": (
        {
            "support": " Water boils.",
            "question": "What boils?",
            "distractor1": "a",
            "distractor2": "b",
            "distractor3": "c",
            "correct_answer": "water",
        },
        {
            "support": " Water boils.",
            "question": "What boils?",
            "distractor1": "a",
            "distractor2": "b",
            "distractor3": "c",
            "correct_answer": "water",
        },
        Item.choice("Water boils.\nQuestion: What boils?\nAnswer:", ["a", "b", "c", "water"], 3),
    ),
}
ROWS["arc_challenge"] = ROWS["arc_easy"]


@pytest.mark.parametrize("name", ROWS)
def test_file_and_hub_give_the_same_item(name: str) -> None:
    local, hub, item = ROWS[name]
    task = TASKS[name]
    assert task.local
    assert task.local.item(local) == item
    assert task.hub
    assert task.hub.item(hub) == item


@pytest.mark.parametrize("name", TASKS)
def test_what_a_task_declares_can_be_used(name: str) -> None:
    task = TASKS[name]
    assert task.metric in ("acc", "acc_norm")
    assert 0 <= task.chance < 1
    assert task.local or task.hub
    if task.local:
        assert task.local.source.citation
        assert task.local.source.licence
        for file in task.local.source.files.values():
            assert file.url.startswith("https://")
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)


def test_hellaswag_is_cleaned_as_the_harness_does() -> None:
    text = " How to tie [title] Take a rope. [step] Long ones are best.  Then [substeps] knot it."
    # what lm-evaluation-harness's own `preprocess` returns for it
    assert clean(text) == "How to tie. Take a rope. Long ones are best. Then knot it."


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Tango: . a man dances", "Tango: . A man dances"),
        ('Golf: He says "now!" the Ball', 'Golf: He says "now!" The ball'),
        ("Golf: The game ends.", "Golf: The game ends."),
    ],
)
def test_only_an_unfinished_sentence_gets_its_capital(query: str, expected: str) -> None:
    assert with_capital(query) == expected


def test_samples_grow_and_depend_on_the_seed() -> None:
    items = [Item.choice(str(n), ["a", "b"], 0) for n in range(100)]
    assert sample(items, 30, 1)[:10] == sample(items, 10, 1)
    assert sample(items, 30, 1) != sample(items, 30, 2)
    assert sorted(number for number, _ in sample(items, None, 1)) == list(range(100))


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(DataError, match=r"no task 'helaswag' \(did you mean 'hellaswag'\?\)"):
        task_of("helaswag")


def test_missing_data_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("CLADA_NEURO_DATA", str(tmp_path))
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match=r"data fetch piqa.*or install datasets"):
        load_items(TASKS["piqa"])


def test_the_hub_is_read_where_there_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from types import SimpleNamespace

    asked = []

    def load_dataset(path, name, split):
        asked.append((path, name, split))
        return [ROWS["arc_easy"][1]]

    monkeypatch.setenv("CLADA_NEURO_DATA", str(tmp_path))
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert load_items(TASKS["arc_easy"]) == [ROWS["arc_easy"][2]]
    assert asked == [("allenai/ai2_arc", "ARC-Easy", "test")]


@pytest.mark.skipif(not os.environ.get("CLADA_NEURO_DATA"), reason="CLADA_NEURO_DATA names no data sets")
@pytest.mark.parametrize(
    ("name", "count", "answers"),
    [
        ("hellaswag", 10042, {4}),
        ("piqa", 1838, {2}),
        ("arc_easy", 2376, {3, 4, 5}),
        ("arc_challenge", 1172, {3, 4, 5}),
        ("winogrande", 1267, {2}),
        ("openbookqa", 500, {4}),
        ("boolq", 3270, {2}),
        ("lambada", 5153, {1}),
        ("sciq", 1000, {4}),
    ],
)
def test_the_files_hold_the_published_number_of_items(name: str, count: int, answers: set[int]) -> None:
    try:
        items = load_items(TASKS[name])
    except DataError as error:
        pytest.skip(str(error))
    assert len(items) == count
    assert {len(item.answers) for item in items} == answers
    assert all(0 <= item.gold < len(item.answers) and all(item.contexts) for item in items)
    guessed = sum(1 / len(item.answers) for item in items if len(item.answers) > 1) / len(items)
    assert TASKS[name].chance == pytest.approx(guessed, abs=1e-3)
