"""R-style formulas: random terms are split off here, everything else is read by formulaic.

``n400 ~ surprisal * sparsity + (1 + surprisal || subject) + (1 | item/noun)`` becomes a response, a fixed part
and one `RandomTerm` per covariance block. ``||`` and ``/`` are expanded as lme4 does. The parts are written as
formulaic reads them (see `notation`).
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from formulaic import Formula, SimpleFormula
from formulaic.parser.types import Factor, Term

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.expressions import check_formula_part
from clada_neuro.stats.notation import formulaic_name, from_r, quoted, read, tokens
from clada_neuro.stats.smooths.terms import SmoothTerm, is_smooth, smooth_term


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
        return f"({self.columns} | {':'.join(map(quoted, self.factors))})"


@dataclass(frozen=True)
class ModelFormula:
    """A formula as written (`text`) and its parts; an offset is taken from the response, where it means the same.

    ``smooths`` are terms of their own, not in ``fixed``.
    """

    text: str
    response: str
    fixed: str
    random: tuple[RandomTerm, ...]
    smooths: tuple[SmoothTerm, ...] = ()

    @property
    def response_side(self) -> str:
        """Return the response as a formula of one column."""
        return f"0 + I({self.response})"

    def variables(self) -> list[str]:
        """Return the data columns that the formula needs, in order of appearance."""
        sides = [self.response_side, self.fixed, *(term.columns for term in self.random)]
        names = [name for side in sides for name in names_of(side)]
        names += self.smooth_variables()
        names += [factor for term in self.random for factor in term.factors]
        return list(dict.fromkeys(names))

    def smooth_variables(self) -> list[str]:
        """Return the numeric columns that have smooths, and the factors that these are made for each level of."""
        named = [[*term.variables, *([term.by] if term.by else [])] for term in self.smooths]
        return list(dict.fromkeys(name for names in named for name in names))

    def with_random(self, random: Sequence[RandomTerm]) -> str:
        """Return the formula with other random terms."""
        return " + ".join([f"{self.response} ~ {self.fixed}", *map(str, self.smooths), *map(str, random)])


def parse(text: str) -> ModelFormula:
    """Split a formula into response, fixed part and random terms.

    Raises
    ------
    FitError
        When a side is missing, a parenthesis is open, a bar stands outside parentheses, or formulaic refuses it.
    """
    text = " ".join(text.split())
    response, tilde, right = text.partition("~")
    if not tilde or not response.strip() or not right.strip():
        raise FitError(f"'{text}' is not a formula; write response ~ predictors + (1 | group)")
    left = from_r(response, called=True)
    if left.startswith("["):
        raise FitError(
            f"'{response.strip()}' is more than one response; write one formula for each, and successes of trials as hits/(hits + misses)"
        )
    fixed, bars = _split_bars(from_r(right), text)
    fixed, smooths = _without_smooths(fixed, text)
    random = tuple(block for bar in bars for block in _blocks(bar, text))
    fixed, offsets = _without_offsets(fixed, text)
    formula = ModelFormula(text, " - ".join([left, *offsets]), fixed, random, smooths)
    list(_terms(formula.response_side, text))
    _check_alike(formula)
    return formula


def _check_alike(formula: ModelFormula) -> None:
    """Refuse two columns whose names become the same one inside functions, as `a b` and `a_b` do."""
    seen: dict[str, str] = {}
    for name in formula.variables():
        other = seen.setdefault(formulaic_name(f"`{name}`"), name)
        if other != name:
            raise FitError(
                f"columns '{other}' and '{name}' of '{formula.text}' are too much alike; rename one"
            )


def check_contrasts(formula: ModelFormula, contrasts: Mapping[str, str]) -> None:
    """Raise `FitError` for a contrast of a column that no term uses as a factor."""
    sides = [formula.fixed, *(term.columns for term in formula.random)]
    known = [name for side in sides for name in [*plain_names(side), *coded_names(side)]]
    for name in contrasts:
        if name not in known:
            raise FitError(
                f"contrasts for '{name}', but no term of '{formula.text}' is made of it{did_you_mean(name, known)}"
            )


def with_contrasts(side: str, contrasts: Mapping[str, str]) -> str:
    """Return one side of a formula with each factor of ``contrasts`` (see `contrasts.canonical`) wrapped in ``C(…)``."""
    wrapped: dict[str, str] = {}
    for name, coding in contrasts.items():
        coded = coded_factor(name, coding)
        wrapped |= {name: coded, f"C({in_call(name)})": coded}
    return written(
        [
            [wrapped.get(factor.expr, expression(factor)) for factor in term.factors]
            for term in _terms(side, side)
        ]
    )


def coded_factor(name: str, coding: str) -> str:
    """Return a column with its coding as formulaic evaluates it."""
    return f"C({in_call(name)}, {coding})"


def written(terms: Iterable[Sequence[str]]) -> str:
    """Return the formula of terms; without an intercept among them it begins with 0."""
    written = [":".join(factors) for factors in terms]
    return " + ".join(written if "1" in written else ["0", *written])


def expression(factor: Factor) -> str:
    """Return a factor as it stands in a formula."""
    return quoted(factor.expr) if factor.eval_method is Factor.EvalMethod.LOOKUP else factor.expr


def in_call(name: str) -> str:
    """Return a column's name as it stands inside a function, where a dot would be Python's."""
    return name if name.isidentifier() else f"`{name}`"


def without(formula: ModelFormula, name: str) -> tuple[str, list[str]]:
    """Return a formula without the fixed terms that a column stands in, random terms as they are, and what those terms were."""
    terms = list(_terms(formula.fixed, formula.text))
    gone = [term for term in terms if name in names_in([term])]
    kept = [[expression(factor) for factor in term.factors] for term in terms if term not in gone]
    left = f"{formula.response} ~ {written(kept)}"
    return " + ".join([left, *map(str, formula.random)]), [
        ":".join(factor.expr for factor in term.factors) for term in gone
    ]


def _without_offsets(fixed: str, text: str) -> tuple[str, list[str]]:
    """Take the terms ``offset(…)`` out of a fixed part."""
    terms = [[expression(factor) for factor in term.factors] for term in _terms(fixed, text)]
    found = [factors for factors in terms if any(factor.startswith("offset(") for factor in factors)]
    if not found:
        return fixed, []
    if any(len(factors) > 1 for factors in found):
        raise FitError(f"an offset cannot interact, as in '{text}'; write … + offset(x)")
    return written(factors for factors in terms if factors not in found), [one[0][6:] for one in found]


def _without_smooths(fixed: str, text: str) -> tuple[str, tuple[SmoothTerm, ...]]:
    """Take the terms ``s(…)`` and ``te(…)`` out of a fixed part."""
    terms = [list(term.factors) for term in _terms(fixed, text, smooths=True)]
    found = [factors for factors in terms if any(is_smooth(factor.expr) for factor in factors)]
    if not found:
        return fixed, ()
    for factors in found:
        if len(factors) > 1:
            smooth, other = sorted((factor.expr for factor in factors), key=is_smooth, reverse=True)[:2]
            instead = "te(a, b)" if is_smooth(other) else f"{other} + {smooth[:-1]}, by = {other})"
            raise FitError(f"{smooth} cannot interact with {other}, as in '{text}'; write {instead}")
    smooths = tuple(smooth_term(factors[0].expr, text) for factors in found)
    kept = [[expression(factor) for factor in factors] for factors in terms if factors not in found]
    _check_smooths(smooths, [factors[0] for factors in kept if len(factors) == 1], text)
    return written(kept), smooths


def refuse_smooths(formula: ModelFormula, what: str) -> None:
    """Raise `FitError` where ``what`` is made of a formula with smooths."""
    if formula.smooths:
        raise FitError(
            f"{what} take no smooths, and '{formula.text}' has {formula.smooths[0].label}; write ns(x, df = 3) for a curve"
        )


def _check_smooths(smooths: Sequence[SmoothTerm], others: Sequence[str], text: str) -> None:
    """Refuse two smooths of the same columns, a line that a smooth has already, and a factor without its means."""
    for at, smooth in enumerate(smooths):
        double = next((name for name in smooth.variables if quoted(name) in others), None)
        if double is not None:
            raise FitError(
                f"{smooth.label} in '{text}' has the line of '{double}' in it; leave {quoted(double)} out"
            )
        taken = next((one for one in smooths[:at] if set(one.variables) & set(smooth.variables)), None)
        if taken is not None:
            shared = next(name for name in smooth.variables if name in taken.variables)
            raise FitError(
                f"'{shared}' stands in two smooths of '{text}', {taken.label} and {smooth.label}; leave one out"
            )
        by = smooth.by
        if by and not any(
            other in (quoted(by), f"C({in_call(by)})") or other.startswith(f"C({in_call(by)},")
            for other in others
        ):
            raise FitError(
                f"{smooth.label} in '{text}' is for each level of '{by}', whose means are left out; add {quoted(by)}"
            )


@lru_cache(maxsize=1024)  # a fit asks some forty times what the same few sides hold
def side_of(side: str) -> Formula:
    """Return one side of a formula, or the columns of a random term, as formulaic reads it; not to be changed."""
    return Formula(side)


@lru_cache(maxsize=1024)
def _terms(side: str, text: str, smooths: bool = False) -> tuple[Term, ...]:
    if "." in tokens(side):
        raise FitError(f"'.' stands for all columns in the formula '{text}'; name the predictors")
    try:
        found = side_of(side)
    except Exception as error:  # formulaic's own kinds, and StopIteration and others where it does not check
        reason = str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
        raise FitError(f"cannot read '{side.strip()}' in the formula '{text}': {reason}") from error
    if not isinstance(found, SimpleFormula):
        raise FitError(
            f"cannot read '{side.strip()}' in the formula '{text}': more than one part; write one ~ and no bar outside parentheses"
        )
    for factor in (factor for term in found for factor in term.factors):
        if factor.eval_method is Factor.EvalMethod.PYTHON and not (smooths and is_smooth(factor.expr)):
            check_formula_part(factor.expr, text)
    return tuple(found)


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
    tree, quoted_names = read(expression)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    called |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    return [quoted_names.get(name, name) for name in names]


def _split_bars(right: str, text: str) -> tuple[str, list[str]]:
    """Take the top-level ``( … | … )`` groups out of a right-hand side."""
    fixed: list[str] = [""]  # parts between plus signs
    bars, depth, group, called = [], 0, "", False
    for token in tokens(right):
        depth += (token == "(") - (token == ")")
        if depth < 0:
            break
        if not group:
            called = fixed[-1][-1:].isalnum() and token == "("
        if depth or token == ")":
            group += token
        elif token == "+":
            fixed.append("")
        elif token in ("|", "||"):
            raise FitError(f"random terms need parentheses in '{text}'; write (1 | group)")
        else:
            fixed[-1] += token
        if group and depth == 0:
            if _has_bar(group[1:-1]) and not called:
                bars.append(group[1:-1])
            else:
                fixed[-1] += group
            group = ""
    if depth != 0:
        raise FitError(f"the parentheses of '{text}' do not match")
    parts = [part.strip() for part in fixed]
    if any(part.endswith(("-", "*", ":")) for part in parts):
        raise FitError(f"random terms are joined with '+' in '{text}'; write … + (1 | group)")
    return " + ".join(part for part in parts if part) or "1", bars


def _has_bar(group: str) -> bool:
    depth = 0
    for token in tokens(group):
        depth += (token == "(") - (token == ")")
        if token in ("|", "||") and depth == 0:
            return True
    return False


def _blocks(bar: str, text: str) -> Iterator[RandomTerm]:
    columns, mark, group = bar.partition("||")
    if not mark:
        columns, _, group = bar.partition("|")
    if "|" in group or not group.strip() or not columns.strip():
        raise FitError(f"cannot read the random term '({bar})' in '{text}'; write (1 + slope | group)")
    for factors in _groupings(group, text):
        if mark:
            written = [":".join(map(expression, term.factors)) for term in _terms(columns, text)]
            yield from (RandomTerm("1" if term == "1" else f"0 + {term}", factors) for term in written)
        else:
            list(_terms(columns, text))
            yield RandomTerm(columns.strip(), factors)


def _groupings(group: str, text: str) -> Iterator[tuple[str, ...]]:
    """Expand ``a/b`` into ``a`` and ``a:b``."""
    nested: list[tuple[str, ...]] = [()]
    for token in tokens(re.sub(r"\bC\(", "(", group)):  # factor(subject) groups as subject does
        if token == "/":
            nested.append(())
        elif not token.isspace() and token not in ("(", ")", ":"):
            nested[-1] += (token.strip("`"),)
            if not (token.startswith("`") or quoted(token) == token):
                raise FitError(
                    f"cannot group by '{group.strip()}' in '{text}'; write (1 | a), (1 | a:b) or (1 | a/b)"
                )
    for last in range(1, len(nested) + 1):
        yield tuple(name for part in nested[:last] for name in part)
