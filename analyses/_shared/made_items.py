"""Items of arithmetic and of tracking that are made from a seed, each with its worked steps, and how an answer to one is scored.

A policy acts on what is written after the prompt, so an answer of one token would be the dense model's: every kind is
answered in steps. Templates are our own; no item of a benchmark is in them.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

PEOPLE = ("Ada", "Ben", "Eva", "Ida", "Jon", "Lea", "Leo", "Max", "Mia", "Noor", "Omar", "Tom")
THINGS = ("apples", "books", "coins", "cups", "pens", "shells", "stamps", "stones")
OBJECTS = ("ball", "book", "key", "lamp", "letter", "map", "ring", "ticket")
PLACES = ("bag", "barn", "basket", "box", "car", "chest", "drawer", "house", "jar", "shed")
ANSWER = "The answer is"
_GIVEN = re.compile(rf"{ANSWER} (?:the )?([^\s.,;!?]+)")


@dataclass(frozen=True)
class MadeItem:
    """A question, the steps that answer it, and the answer: one number or one word."""

    kind: str
    question: str
    steps: str
    answer: str

    @property
    def asked(self) -> str:
        """The question as a prompt that the steps go on from."""
        return f"Question: {self.question}\nAnswer:"

    @property
    def solved(self) -> str:
        """The question with its steps, as an example."""
        return f"{self.asked} {self.steps} {ANSWER} {self.answer}.\n\n"


def _sum(rng: random.Random) -> MadeItem:
    name, thing = rng.choice(PEOPLE), rng.choice(THINGS)
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    question = f"{name} has {a} {thing} and finds {b} more. How many {thing} does {name} have now?"
    return MadeItem("sum", question, f"{a} + {b} = {a + b}.", str(a + b))


def _difference(rng: random.Random) -> MadeItem:
    name, thing = rng.choice(PEOPLE), rng.choice(THINGS)
    a = rng.randint(5, 12)
    b = rng.randint(2, a - 2)
    question = f"{name} has {a} {thing} and gives away {b}. How many {thing} does {name} have now?"
    return MadeItem("difference", question, f"{a} - {b} = {a - b}.", str(a - b))


def _product(rng: random.Random) -> MadeItem:
    name, thing = rng.choice(PEOPLE), rng.choice(THINGS)
    a, b = rng.randint(2, 6), rng.randint(2, 6)
    question = f"{name} has {a} boxes with {b} {thing} in each. How many {thing} does {name} have in all?"
    return MadeItem("product", question, f"{a} * {b} = {a * b}.", str(a * b))


def _two_steps(rng: random.Random) -> MadeItem:
    name, thing = rng.choice(PEOPLE), rng.choice(THINGS)
    a, b = rng.randint(2, 6), rng.randint(2, 6)
    c = rng.randint(1, min(4, a + b - 1))
    question = (
        f"{name} has {a} {thing}, finds {b} more and then loses {c}. How many {thing} does {name} have now?"
    )
    steps = f"First {a} + {b} = {a + b}. Then {a + b} - {c} = {a + b - c}."
    return MadeItem("two steps", question, steps, str(a + b - c))


def _hands(rng: random.Random) -> MadeItem:
    first, second, third = rng.sample(PEOPLE, 3)
    thing = rng.choice(OBJECTS)
    question = (
        f"{first} has the {thing}. {first} gives the {thing} to {second}. {second} gives the {thing} to {third}. "
        f"Who has the {thing} in the end?"
    )
    steps = f"First {first}, then {second}, then {third}."
    return MadeItem("hands", question, steps, third)


def _inside(rng: random.Random) -> MadeItem:
    inner, middle, outer = rng.sample(PLACES, 3)
    thing = rng.choice(OBJECTS)
    told = [
        f"The {thing} is in the {inner}.",
        f"The {inner} is in the {middle}.",
        f"The {middle} is in the {outer}.",
    ]
    rng.shuffle(told)
    question = f"{' '.join(told)} What holds everything?"
    steps = f"The {thing} is in the {inner}, the {inner} in the {middle}, the {middle} in the {outer}."
    return MadeItem("inside", question, steps, outer)


MAKERS: dict[str, Callable[[random.Random], MadeItem]] = {
    "sum": _sum,
    "difference": _difference,
    "product": _product,
    "two steps": _two_steps,
    "hands": _hands,
    "inside": _inside,
}
ARITHMETIC, CLOZE = ("sum", "difference", "product", "two steps"), ("hands", "inside")


def made_items(kind: str, count: int, seed: int = 0) -> list[MadeItem]:
    """Return ``count`` different items of a kind; fewer are the first of more."""
    # Text seeds are hashed the same way on every machine.
    rng = random.Random(f"{seed} {kind}")
    found: dict[str, MadeItem] = {}
    while len(found) < count:
        item = MAKERS[kind](rng)
        found.setdefault(item.question, item)
    return list(found.values())


def given_answer(text: str) -> str | None:
    """Return what a text gives as its answer, the first time it does so on its first line; None where it does not."""
    found = _GIVEN.search(text.strip().split("\n")[0])
    return found[1] if found else None


def is_right(text: str, answer: str) -> bool:
    """Return whether a text's answer is the right one: the same number, or the same word whatever its case."""
    given = given_answer(text)
    return given is not None and given.casefold() == answer.casefold()
