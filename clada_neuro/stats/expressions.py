"""What may stand in a formula or an exclusion: names, numbers, arithmetic, comparisons and known functions.

formulaic and pandas evaluate these texts as Python, so anything else would be run as code. An analysis file that
came with somebody else's paper must not be able to do that.
"""

import ast

from clada_neuro.errors import FitError
from clada_neuro.stats.factors import contr
from clada_neuro.stats.functions import ARGUMENTS, INSTEAD, NUMPY, OFFERED
from clada_neuro.stats.notation import read

_METHODS = {"abs", "between", "isin", "isna", "notna"}  # of a column, in exclusions
_IN_CONDITIONS = {"abs", "exp", "log", "log10", "log1p", "log2", "sqrt"}
_PARTS = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.keyword, ast.Name, ast.Constant,
    ast.List, ast.Tuple, ast.Attribute, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def check_formula_part(expression: str, text: str) -> None:
    """Refuse a Python part of the formula `text` that is not a known function of columns.

    Raises
    ------
    FitError
        Naming the part, and what to write instead where that is known.
    """
    tree, _ = read(expression)
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for name in (node.id for node in called if isinstance(node, ast.Name) and node.id not in ARGUMENTS):
        instead = f"write {INSTEAD[name]}" if name in INSTEAD else f"a formula may call {OFFERED}"
        raise FitError(f"{name}() in the formula '{text}' is not offered; {instead}")
    allowed = {id(node) for node in called if isinstance(node, ast.Name) or _belongs(node, "np", NUMPY)}
    allowed |= {id(node) for node in ast.walk(tree) if _belongs(node, "contr", vars(contr))}
    _refuse_others(tree, allowed, f"'{expression}' in the formula '{text}'")
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        _check_arguments(call, text)


def _check_arguments(call: ast.Call, text: str) -> None:
    name = ast.unparse(call.func)
    known = ARGUMENTS.get(name, ("base",) if name == "contr.treatment" else ())
    unknown = next((given.arg for given in call.keywords if given.arg not in known), None)
    most = len(known) + (name != "contr.treatment")
    if unknown is None and not call.args and name != "contr.treatment":
        raise FitError(f"{name}() in the formula '{text}' names no column")
    if unknown is not None or len(call.args) > most:
        what = f"'{unknown}'" if unknown is not None else f"number {most + 1}"
        takes = f"the column, {', '.join(known)}" if known else "the column only"
        raise FitError(f"argument {what} of {name}() in '{text}' is not offered; {name}() takes {takes}")


def check_condition(condition: str, kind: str = "exclusion") -> None:
    """Refuse a condition that is more than comparisons of columns; `kind` is what it is called in messages.

    Raises
    ------
    FitError
        Naming the condition.
    """
    what = f"{kind} '{condition}'"
    try:
        tree, _ = read(condition)
    except FitError as error:
        raise FitError(f"{kind} {error}") from error
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    _refuse_others(tree, {id(node) for node in called if _is_function(node) or _is_method(node)}, what)


def _refuse_others(tree: ast.Expression, allowed: set[int], what: str) -> None:
    for node in ast.walk(tree):
        attribute = isinstance(node, ast.Attribute) and id(node) not in allowed
        call = isinstance(node, ast.Call) and id(node.func) not in allowed
        if attribute or call or not isinstance(node, _PARTS):
            raise FitError(
                f"{what} would run code ({ast.unparse(node)[:40]}); use columns, arithmetic, comparisons and the "
                "functions that are offered"
            )


def _belongs(node: ast.AST, owner: str, names: object) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in names  # type: ignore[operator]
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
    )


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in _IN_CONDITIONS


def _is_method(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in _METHODS and isinstance(node.value, ast.Name)
