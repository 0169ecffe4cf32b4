"""R-style formulas: random terms are split off here, everything else is read by formulaic.

``n400 ~ surprisal * sparsity + (1 + surprisal || subject) + (1 | item/noun)`` becomes a response, a fixed part
and one `RandomTerm` per covariance block. ``||`` and ``/`` are expanded as lme4 does.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from formulaic import Formula, SimpleFormula
from formulaic.parser.types import Factor, Term

from clada_neuro.errors import FitError
from clada_neuro.stats.expressions import check_formula_part

CONTRASTS = {"treatment": "contr.treatment", "sum": "contr.sum", "helmert": "contr.helmert"}


@dataclass(frozen=True)
class RandomTerm:
    """One covariance block: the columns of a one-sided formula, and the factors whose levels they vary over."""

    columns: str
    factors: tuple[str, ...]

    @property
    def group(self) -> str:
        """Return the grouping factor's name; interacting factors are joined by a colon."""
        return ":".join(self.factors)

    def __str__(self) -> str:
        return f"({self.columns} | {self.group})"


@dataclass(frozen=True)
class ModelFormula:
    """A formula as written (`text`) and its parts."""

    text: str
    response: str
    fixed: str
    random: tuple[RandomTerm, ...]

    def variables(self) -> list[str]:
        """Return the data columns that the formula needs, in order of appearance."""
        sides = [f"0 + {self.response}", self.fixed, *(term.columns for term in self.random)]
        names = [name for side in sides for name in names_of(side)]
        names += [factor for term in self.random for factor in term.factors]
        return list(dict.fromkeys(names))

    def with_random(self, random: Sequence[RandomTerm]) -> str:
        """Return the formula with other random terms."""
        return " + ".join([f"{self.response} ~ {self.fixed}", *map(str, random)])


def parse(text: str) -> ModelFormula:
    """Split a formula into response, fixed part and random terms.

    Raises
    ------
    FitError
        When a side is missing, a parenthesis is open, a bar stands outside parentheses, or formulaic refuses it.
    """
    text = " ".join(text.split())
    response, tilde, right = _as_python(text).partition("~")
    if not tilde or not response.strip() or not right.strip():
        raise FitError(f"'{text}' is not a formula; write response ~ predictors + (1 | group)")
    fixed, bars = _split_bars(right, text)
    random = tuple(block for bar in bars for block in _blocks(bar, text))
    formula = ModelFormula(text, response.strip(), fixed, random)
    for side in (f"0 + {formula.response}", fixed):
        _terms(side, text)
    return formula


def _as_python(text: str) -> str:
    """Write R's power and factor() as formulaic does."""
    return re.sub(r"\b(as\.)?factor\(", "C(", text.replace("^", "**"))


def with_contrasts(side: str, contrasts: Mapping[str, str]) -> str:
    """Return one side of a formula with each factor of ``contrasts`` wrapped in ``C(factor, contr.…)``."""
    wrapped = {name: f"C({name}, {CONTRASTS[kind]})" for name, kind in contrasts.items()}
    terms = list(_terms(side, side))
    written = [":".join(wrapped.get(f.expr, _quoted(f)) for f in term.factors) for term in terms]
    return " + ".join(written if "1" in written else ["0", *written])


def _quoted(factor: Factor) -> str:
    plain = factor.eval_method is not Factor.EvalMethod.LOOKUP or factor.expr.isidentifier()
    return factor.expr if plain else f"`{factor.expr}`"


def _terms(side: str, text: str) -> Iterator[Term]:
    try:
        found = Formula(side)
    except Exception as error:  # formulaic's own kinds, and StopIteration and others where it does not check
        reason = str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
        raise FitError(f"cannot read '{side.strip()}' in the formula '{text}': {reason}") from error
    if not isinstance(found, SimpleFormula):
        raise FitError(
            f"cannot read '{side.strip()}' in the formula '{text}': more than one part; write one ~ and no bar outside parentheses"
        )
    for factor in (factor for term in found for factor in term.factors):
        if factor.eval_method is Factor.EvalMethod.PYTHON:
            check_formula_part(factor.expr, text)
    return iter(found)


def names_of(side: str) -> list[str]:
    """Return the data columns that one side of a formula needs, in order, with repeats."""
    return names_in(_terms(side, side))


def coded_names(side: str) -> list[str]:
    """Return the columns that one side of a formula turns into factors by ``C(…)``."""
    factors = [factor for term in _terms(side, side) for factor in term.factors]
    return [name for f in factors if f.expr.startswith("C(") for name in _python_names(f.expr)]


def plain_names(side: str) -> list[str]:
    """Return the columns that one side of a formula uses as they are, outside any function."""
    factors = [factor for term in _terms(side, side) for factor in term.factors]
    return list(dict.fromkeys(f.expr for f in factors if f.eval_method is Factor.EvalMethod.LOOKUP))


def names_in(terms: Iterable[Term]) -> list[str]:
    """Return the data columns that parsed terms need, in order, with repeats."""
    names: list[str] = []
    for term in terms:
        for factor in term.factors:
            if factor.eval_method is Factor.EvalMethod.LOOKUP:
                names.append(factor.expr)
            elif factor.eval_method is Factor.EvalMethod.PYTHON:
                names += _python_names(factor.expr)
    return names


def _python_names(expression: str) -> list[str]:
    tree = ast.parse(expression, mode="eval")
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    called |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]


def _split_bars(right: str, text: str) -> tuple[str, list[str]]:
    """Take the top-level ``( … | … )`` groups out of a right-hand side."""
    fixed, bars, depth, start = "", [], 0, 0
    for position, character in enumerate(right):
        if character == "(":
            start = position if depth == 0 else start
            depth += 1
        elif character == ")":
            depth -= 1
            if depth < 0:
                break
            if depth == 0:
                group = right[start : position + 1]
                if _has_bar(group[1:-1]):
                    bars.append(group[1:-1])
                else:
                    fixed += group
        elif depth == 0:
            fixed += character
    if depth != 0:
        raise FitError(f"the parentheses of '{text}' do not match")
    if "|" in fixed:
        raise FitError(f"random terms need parentheses in '{text}'; write (1 | group)")
    parts = [part.strip() for part in re.split(r"\+(?![^(]*\))", fixed)]
    if any(part.endswith(("-", "*", ":")) for part in parts):
        raise FitError(f"random terms are joined with '+' in '{text}'; write … + (1 | group)")
    return " + ".join(part for part in parts if part) or "1", bars


def _has_bar(group: str) -> bool:
    depth = 0
    for character in group:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            return True
    return False


def _blocks(bar: str, text: str) -> Iterator[RandomTerm]:
    columns, mark, group = bar.partition("||")
    if not mark:
        columns, _, group = bar.partition("|")
    if "|" in group or not group.strip() or not columns.strip():
        raise FitError(f"cannot read the random term '({bar})' in '{text}'; write (1 + slope | group)")
    for factors in _groupings(group):
        if mark:
            written = [":".join(map(_quoted, term.factors)) for term in _terms(columns, text)]
            yield from (RandomTerm("1" if term == "1" else f"0 + {term}", factors) for term in written)
        else:
            list(_terms(columns, text))
            yield RandomTerm(columns.strip(), factors)


def _groupings(group: str) -> Iterator[tuple[str, ...]]:
    """Expand ``a/b`` into ``a`` and ``a:b``."""
    nested = [tuple(f.strip(" `()") for f in part.split(":")) for part in group.split("/")]
    for last in range(1, len(nested) + 1):
        yield tuple(name for part in nested[:last] for name in part)
