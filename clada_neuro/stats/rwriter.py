"""A model's formula as R's code: what is Python's in it, levels, contrasts and knots are written as R has them."""

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from pandas.api import types

from clada_neuro.errors import FitError
from clada_neuro.exports import is_logical, r_names
from clada_neuro.stats.coding import codings
from clada_neuro.stats.formula import ModelFormula, names_of
from clada_neuro.stats.notation import each_call, formulaic_name, in_r, read, write

_FUNCTIONS = {"bs": "splines::bs", "ns": "splines::ns", "cs": "cr"}
_OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^", ast.Mod: "%%", ast.FloorDiv: "%/%",
    ast.BitAnd: "&", ast.BitOr: "|", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.USub: "-", ast.UAdd: "+", ast.Invert: "!",
}  # fmt: skip


class Writer:
    """Writes the parts of one model's formula as R code."""

    def __init__(
        self,
        formula: ModelFormula,
        data: pd.DataFrame,
        contrasts: Mapping[str, str],
        specs: Sequence[ModelSpec],
    ) -> None:
        self.parts = formula
        self.contrasts = contrasts
        self.codings = {name: coding for spec in specs for name, coding in codings(spec).items()}
        self.states = {name: state for spec in specs for name, state in spec.transform_state.items()}
        self.names = r_names(map(str, data.columns))
        self.texts = {name for name in formula.variables() if not _is_number(data[name])}
        self.truths = [name for name in formula.variables() if is_logical(data[name])]
        self.sides = [formula.fixed, *(term.columns for term in formula.random)]

    @property
    def has_cr(self) -> bool:
        """Return whether the formula has cubic regression splines, which R's packages make otherwise."""
        return any(name.startswith(("cr(", "cs(")) for name in self.states)

    def name(self, column: str) -> str:
        """Return a column as R's code names it."""
        return in_r(self.names.get(column, column))

    def text_columns(self) -> str:
        """Return the argument of read.csv that keeps "01" and "1" apart, and TRUE from becoming a number."""
        named = ", ".join(
            f'{self.name(name)} = "character"' for name in self.parts.variables() if name in self.texts
        )
        return f",\n  colClasses = c({named})" if named else ""

    def factors(self) -> list[str]:
        """Return the lines that fix each factor's levels and contrasts."""
        lines = []
        for name in dict.fromkeys(name for side in self.sides for name in names_of(side)):
            if name not in self.texts and name not in self.contrasts:
                continue
            column = f"d${self.name(name)}"
            levels = next((one.levels for one in self.codings.values() if one.column == name), ())
            if not levels:  # compared with a text, not coded
                continue
            lines.append(f"{column} <- factor({column}, levels = {self._levels(name, levels)})")
            lines.append(f"contrasts({column}) <- {self._chosen(name, levels)}")
        return lines

    def formula(self) -> str:
        """Return the formula, random terms included."""
        right = " + ".join([self.side(self.parts.fixed), *self.random()])
        return f"{self.expression(self.parts.response)} ~ {right}"

    def random(self) -> list[str]:
        """Return the random terms."""
        return [
            f"({self.side(term.columns)} | {':'.join(map(self.name, term.factors))})"
            for term in self.parts.random
        ]

    def side(self, side: str) -> str:
        """Return one side of the formula."""
        return each_call(side, self.expression, self._token)

    def _token(self, token: str) -> str:
        if token == "**":
            return "^"
        name = token.strip("`")
        return self.name(name) if token.startswith("`") or name[:1].isalpha() or name[:1] == "_" else token

    def _levels(self, name: str, levels: Sequence[str]) -> str:
        written = map(str.upper, levels) if name in self.truths else map(_plain, levels)
        return f"c({', '.join(map(text, written) if name in self.texts else levels)})"

    def expression(self, expression: str) -> str:
        """Return an expression of the formula as R's code."""
        tree, names = read(expression)
        return self._node(tree.body, names)

    def _node(self, node: ast.AST, names: Mapping[str, str]) -> str:
        """Write an expression; parentheses keep its order of evaluation."""
        write = partial(self._node, names=names)
        match node:
            case ast.Constant():
                return _constant(node.value)
            case ast.Name():
                return self.name(names.get(node.id, node.id))
            case ast.List() | ast.Tuple():
                nested = any(isinstance(part, ast.List) for part in node.elts)
                return f"{'cbind' if nested else 'c'}({', '.join(map(write, node.elts))})"
            case ast.BinOp():
                return (
                    f"{_grouped(write, node.left)} {_OPERATORS[type(node.op)]} {_grouped(write, node.right)}"
                )
            case ast.UnaryOp():
                return f"{_OPERATORS[type(node.op)]}{_grouped(write, node.operand)}"
            case ast.Compare():
                right = _grouped(write, node.comparators[0])
                return f"{_grouped(write, node.left)} {_OPERATORS[type(node.ops[0])]} {right}"
            case ast.Call():
                return self._call(node, names)
        raise FitError(f"'{ast.unparse(node)}' cannot be written for R; make a column of it first")

    def _call(self, node: ast.Call, names: Mapping[str, str]) -> str:
        name, x = ast.unparse(node.func).removeprefix("np."), self._node(node.args[0], names)
        if name == "C":
            return self._factor(node, x, names)
        if name in ("cr", "cs"):
            return f"cr({x}, {self._knots(node, names)})"
        if name == "center":
            return f"scale({x}, scale = FALSE)"
        if name == "standardize":  # with the SD of the sample, n below the root
            return f"I(scale({x}) * sqrt(length({x}) / (length({x}) - 1)))"
        if name == "numeric":
            return f"as.numeric(as.character({x}))"  # a factor's own numbers are its levels' places
        more = [self._node(argument, names) for argument in node.args[1:]]
        more += [f"{k.arg and k.arg.replace('_', '.')} = {self._node(k.value, names)}" for k in node.keywords]
        return f"{_FUNCTIONS.get(name, name)}({', '.join([x, *more])})"

    def _factor(self, node: ast.Call, x: str, names: Mapping[str, str]) -> str:
        column = node.args[0]
        name = names.get(column.id, column.id) if isinstance(column, ast.Name) else ""
        own = next((self._node(given.value, names) for given in node.keywords), None)
        levels = next(coding.levels for coding in self.codings.values() if coding.column == name)
        if own:
            x = f"factor({x}, levels = {own})"
        elif name not in self.texts and name not in self.contrasts:
            x = f"factor({x})"
        return f"C({x}, {self._contrast(node.args[1:], name, levels, names)})"

    def _contrast(
        self, given: Sequence[ast.expr], name: str, levels: Sequence[str], names: Mapping[str, str]
    ) -> str:
        (contrast,) = given or self._asked(name)
        if isinstance(contrast, ast.Call):
            base = ast.literal_eval(contrast.keywords[0].value)
            position = base if isinstance(base, int) else levels.index(base) + 1
            return f"contr.treatment({len(levels)}, base = {position})"
        if isinstance(contrast, ast.Attribute):
            return f"MASS::contr.sdif({len(levels)})" if contrast.attr == "diff" else f"contr.{contrast.attr}"
        return self._node(contrast, names)

    def _asked(self, name: str) -> Sequence[ast.expr]:
        """Return the contrast that was asked for by column, as an expression."""
        tree = ast.parse(f"C(x, {self.contrasts.get(name, 'contr.treatment')})", mode="eval").body
        return tree.args[1:] if isinstance(tree, ast.Call) else []

    def _chosen(self, name: str, levels: Sequence[str]) -> str:
        """Return the coding of a column as R gives it to a factor."""
        found = self._contrast([], name, levels, {})
        return f"{found}(levels(d${self.name(name)}))" if re.fullmatch(r"contr\.\w+", found) else found

    def _knots(self, node: ast.Call, names: Mapping[str, str]) -> str:
        """Return the knots of a cubic regression spline, and its constraint, as the fit chose them."""
        state = self.states[formulaic_name(write(node, dict(names)))]
        parts = [state["knots"], *(np.ravel(one) for one in [state["constraints"]] if one is not None)]
        return ", ".join(f"c({', '.join(repr(float(value)) for value in part)})" for part in parts)


def _grouped(write: Callable[[ast.AST], str], node: ast.AST) -> str:
    return f"({write(node)})" if isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare) else write(node)


def _constant(value: object) -> str:
    if isinstance(value, str):
        return text(value)
    return {"True": "TRUE", "False": "FALSE", "None": "NULL"}.get(repr(value), repr(value))


def text(value: str) -> str:
    """Return a text as R's code, in quotes."""
    return json.dumps(value, ensure_ascii=False)


def _plain(level: str) -> str:
    """Return a level as the script reads it, without the apostrophe that keeps a spreadsheet from running it."""
    return re.sub(r"^'(?=[=+@\t\r-])", "", level)


def _is_number(values: pd.Series) -> bool:
    return types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
