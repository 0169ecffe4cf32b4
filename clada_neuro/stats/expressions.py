"""What may stand in a formula or an exclusion: names, numbers, arithmetic, comparisons and known functions.

formulaic and pandas evaluate these texts as Python, so anything else would be run as code. An analysis file that
came with somebody else's paper must not be able to do that.
"""

import ast
import re

from clada_neuro.errors import FitError

_FUNCTIONS = {
    "C", "I", "abs", "bs", "cc", "center", "cr", "cs", "exp", "exp10", "exp2", "lag", "log", "log10", "log2", "poly",
    "scale", "sqrt", "standardize",
}  # fmt: skip
_METHODS = {"abs", "between", "isin", "isna", "notna"}  # of a column, in exclusions
_CONTRASTS = {"SAS", "diff", "helmert", "poly", "sum", "treatment"}
_NUMPY = {"abs", "exp", "expm1", "log", "log10", "log1p", "log2", "sign", "sqrt"}
_PARTS = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.keyword, ast.Name, ast.Constant,
    ast.List, ast.Tuple, ast.Attribute, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def check_formula_part(expression: str, text: str) -> None:
    """Refuse a Python part of the formula `text` that is not a known function of columns.

    Raises
    ------
    FitError
        Naming the part.
    """
    tree = _parse(expression, f"'{expression}' in the formula '{text}'")
    allowed = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _known(node.func)}
    allowed |= {id(node) for node in ast.walk(tree) if _is_contrast(node)}
    _refuse_others(tree, allowed, f"'{expression}' in the formula '{text}'")


def check_condition(condition: str) -> None:
    """Refuse an exclusion that is more than comparisons of columns.

    Raises
    ------
    FitError
        Naming the condition.
    """
    what = f"exclusion '{condition}'"
    tree = _parse(re.sub(r"`[^`]*`", "column", condition), what)
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    _refuse_others(tree, {id(node) for node in called if _known(node) or _is_method(node)}, what)


def _parse(expression: str, what: str) -> ast.Expression:
    try:
        return ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FitError(
            f"{what} cannot be read: {str(error).splitlines()[0] if str(error) else 'too deep'}"
        ) from error


def _refuse_others(tree: ast.Expression, allowed: set[int], what: str) -> None:
    for node in ast.walk(tree):
        attribute = isinstance(node, ast.Attribute) and id(node) not in allowed
        call = isinstance(node, ast.Call) and id(node.func) not in allowed
        if attribute or call or not isinstance(node, _PARTS):
            raise FitError(
                f"{what} would run code ({ast.unparse(node)[:40]}); use columns, arithmetic and "
                f"{', '.join(sorted(_FUNCTIONS))}"
            )


def _known(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in _FUNCTIONS
    return _is_contrast(function) or _belongs(function, "np", _NUMPY)


def _is_contrast(node: ast.AST) -> bool:
    return _belongs(node, "contr", _CONTRASTS)


def _belongs(node: ast.AST, owner: str, names: set[str]) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in names
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
    )


def _is_method(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in _METHODS and isinstance(node.value, ast.Name)
