"""Items that are made here: every answer follows from its question, and scoring takes the first answer that is given."""

import random
import re

import pytest
from analysis_scripts import load

load("32_long_generations")
from _shared.made_items import (  # noqa: E402
    ARITHMETIC,
    CLOZE,
    MAKERS,
    given_answer,
    is_right,
    made_items,
)


def solved(question: str) -> str:
    """Answer a question from its words, in another way than its maker."""
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    if "boxes" in question:
        return str(numbers[0] * numbers[1])
    if "loses" in question:
        return str(numbers[0] + numbers[1] - numbers[2])
    if "gives away" in question:
        return str(numbers[0] - numbers[1])
    if "finds" in question:
        return str(sum(numbers))
    if "in the end" in question:
        return re.findall(r"gives the \w+ to (\w+)", question)[-1]
    inside = dict(re.findall(r"The (\w+) is in the (\w+)", question))
    return next(place for place in inside.values() if place not in inside)


@pytest.mark.parametrize("kind", MAKERS)
def test_answers_follow_from_questions_and_steps_end_with_them(kind):
    items = made_items(kind, 60, seed=3)
    assert len({item.question for item in items}) == 60
    for item in items:
        assert item.answer == solved(item.question)
        assert is_right(item.solved.removeprefix(item.asked), item.answer)
        sums = re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)", item.steps)
        assert all(int(c) == {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[op] for a, op, b, c in sums)  # fmt: skip
        assert sums if kind in ARITHMETIC else not sums
        assert int(item.answer) > 0 if kind in ARITHMETIC else item.answer in item.steps
    assert set(MAKERS) == {*ARITHMETIC, *CLOZE}


def test_items_are_those_of_their_seed_and_fewer_are_the_first_of_more():
    state = random.getstate()
    first = made_items("hands", 20)
    assert random.getstate() == state
    assert made_items("hands", 8) == first[:8]
    assert made_items("hands", 20, seed=1) != first
    # The same on every machine and in every process.
    assert first[0].question.split(".")[0] == made_items("hands", 1)[0].question.split(".")[0]
    with pytest.raises(KeyError):
        made_items("riddle", 1)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        (" 6 + 7 = 13. The answer is 13.\n", "13"),
        (" The answer is 13. The answer is 14.", "13"),  # the first counts
        (" 6 + 7 = 13.\n\nQuestion: 2. The answer is 13.", None),  # of another question
        (" The answer is the Shed!", "Shed"),
        (" so 13", None),
        ("", None),
    ],
)
def test_what_a_text_gives_as_its_answer(text, given):
    assert given_answer(text) == given


def test_exact_match_is_of_the_whole_answer():
    assert is_right(" The answer is noor.", "Noor")
    assert not is_right(" The answer is 13.", "3")
    assert not is_right(" The answer is 3 or 4.", "34")
    assert not is_right(" 3.", "3")
