"""Smooth terms as a formula names them: ``s(x, k = 10, bs = "tp", by = group)`` and ``te(a, b, k = 5)``, as in mgcv."""

import ast
from collections.abc import Callable
from dataclasses import dataclass

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats.notation import quoted, read

LEAST_K = 3
_BASES = {"s": ("tp", "cr"), "te": ("cr",)}
DEFAULT_K = {"s": 10, "te": 5}
_OPTIONS = {"s": ("k", "bs", "by"), "te": ("k", "bs")}
_USAGE = {"s": 's(x), s(x, k = 10, bs = "tp", by = group)', "te": "te(a, b), te(a, b, k = c(5, 5))"}


@dataclass(frozen=True)
class SmoothTerm:
    """What a formula says of one smooth.

    Attributes
    ----------
    kind : str
        ``s`` of one column, or ``te``, the tensor product of two.
    variables : tuple of str
        Its columns.
    k : tuple of int
        The number of basis functions of each column, the constant among them.
    basis : str
        ``tp`` (thin plate regression spline) or ``cr`` (cubic regression spline).
    by : str
        The factor that has a smooth for each of its levels; empty without one.
    """

    kind: str
    variables: tuple[str, ...]
    k: tuple[int, ...]
    basis: str
    by: str = ""

    @property
    def label(self) -> str:
        """Return the name that tables give it, as mgcv does: ``s(x)``, ``te(a, b)``."""
        return f"{self.kind}({', '.join(self.variables)})"

    def __str__(self) -> str:
        return self.written(quoted)

    def written(self, name: Callable[[str], str]) -> str:
        """Return the term as mgcv reads it, every option written out, columns as ``name`` writes them."""
        k = str(self.k[0]) if len(self.k) == 1 else f"c({', '.join(map(str, self.k))})"
        by = f", by = {name(self.by)}" if self.by else ""
        return f'{self.kind}({", ".join(map(name, self.variables))}, k = {k}, bs = "{self.basis}"{by})'


def is_smooth(expression: str) -> bool:
    """Return whether a factor of a term, as formulaic writes it, is a smooth."""
    return expression.startswith(("s(", "te("))


def smooth_term(expression: str, text: str) -> SmoothTerm:
    """Read one smooth of the formula ``text``.

    Raises
    ------
    FitError
        For an option that is not offered, something other than columns, and a number of functions below three.
    """
    tree, odd_names = read(expression)
    call = tree.body
    assert isinstance(call, ast.Call)
    kind = ast.unparse(call.func)
    if kind not in _OPTIONS:
        raise FitError(f"'{expression}' in '{text}' is no smooth; write {_USAGE['s']} or {_USAGE['te']}")
    variables = tuple(_column(node, kind, odd_names, text) for node in call.args)
    if len(variables) != (1 if kind == "s" else 2):
        what = "one column, and te(a, b) two" if kind == "s" else "two columns"
        raise FitError(
            f"{kind}({', '.join(variables)}) in '{text}' has {len(variables)} columns; {kind}() takes {what}"
        )
    options = {str(given.arg): given.value for given in call.keywords}
    label = f"{kind}({', '.join(variables)})"
    for name in options:
        if name not in _OPTIONS[kind]:
            raise FitError(
                f"option '{name}' of {label} in '{text}' is not offered{did_you_mean(name, list(_OPTIONS[kind]))}; write {_USAGE[kind]}"
            )
    basis = _text(options["bs"]) if "bs" in options else _BASES[kind][0]
    if basis not in _BASES[kind]:
        raise FitError(
            f"bs = '{basis}' of {label} in '{text}' is not offered; {kind}() has {' and '.join(_BASES[kind])}"
        )
    by = _column(options["by"], kind, odd_names, text) if "by" in options else ""
    return SmoothTerm(kind, variables, _sizes(options.get("k"), kind, label, text), basis, by)


def _column(node: ast.expr, kind: str, odd_names: dict[str, str], text: str) -> str:
    if not isinstance(node, ast.Name):
        raise FitError(f"{kind}({ast.unparse(node)}) in '{text}' is not of a column; make it a column first")
    return odd_names.get(node.id, node.id)


def _text(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _sizes(node: ast.expr | None, kind: str, label: str, text: str) -> tuple[int, ...]:
    n = 1 if kind == "s" else 2
    if node is None:
        return (DEFAULT_K[kind],) * n
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = None
    given = tuple(value) if isinstance(value, list | tuple) else (value,) * n
    if len(given) != n or not all(type(k) is int and k >= LEAST_K for k in given):
        raise FitError(
            f"k = {ast.unparse(node)} of {label} in '{text}'; {'a whole number' if n == 1 else 'one or two whole numbers'} from {LEAST_K} on expected"
        )
    return given
