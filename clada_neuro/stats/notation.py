"""R's notation and formulaic's: what R users write becomes what formulaic reads, and back for a script.

Outside functions both mean the same but for ``%in%``. Inside, formulaic evaluates Python: ``FALSE``, ``x^2``,
dotted names, ``c(…)``, ``factor``, ``relevel`` and the names of contrasts are written as Python has them. Names that
are not Python's stand in backticks, which formulaic understands.
"""

import ast
import keyword
import re
from collections.abc import Callable, Iterator

from clada_neuro.errors import FitError

_TOKEN = re.compile(
    r"""
    "[^"]*" | '[^']*' | `[^`]*` | %[^%\s]*%         # texts, quoted names, R's own operators
    | (?:base|splines|stats|MASS):: | [=!<>]= | \*\* | \|\|
    | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?L?        # numbers
    | (?:[^\W\d]|\.(?=[^\W\d]))[\w.]*               # names
    | \s+ | .
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"(?:[^\W\d]|\.(?=[^\W\d]))[\w.]*")
_R_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._]*")
_WORDS = {"TRUE": "True", "FALSE": "False", "NULL": "None", "^": "**", "%%": "%", "%/%": "//"}
_R_RESERVED = {"if", "else", "repeat", "while", "function", "for", "next", "break", "in", "NA", "NaN", "Inf"}
_PYTHON_NAMES = {"True", "False", "None"}
OFFERED = "treatment, treatment('LEVEL'), sum, helmert, successive, polynomial"
_CALLED = {
    "as.factor": "factor", "as.character": "factor", "as.ordered": "ordered", "as.numeric": "numeric",
    "as.double": "numeric", "as.integer": "numeric",
}  # fmt: skip
CONTRASTS = {
    "treatment": "treatment", "sum": "sum", "helmert": "helmert", "poly": "poly", "sdif": "diff", "diff": "diff",
    "successive": "diff", "polynomial": "poly", "SAS": "SAS", "Treatment": "treatment", "Sum": "sum", "Helmert": "helmert", "Poly": "poly", "Diff": "diff",
}  # fmt: skip


def tokens(text: str) -> list[str]:
    """Split a formula into names, numbers, texts, operators, parentheses and blanks."""
    return _TOKEN.findall(text)


def quoted(name: str) -> str:
    """Return a column's name as it stands in a formula: in backticks unless it is a plain name."""
    return name if _NAME.fullmatch(name) and not keyword.iskeyword(name) else f"`{name}`"


def in_r(name: str) -> str:
    """Return a column's name as R code, in backticks where R would not read it."""
    plain = _R_NAME.fullmatch(name) and name not in _R_RESERVED and name not in _WORDS
    return name if plain else f"`{name}`"


def from_r(text: str, *, called: bool = False) -> str:
    """Return a formula, or with ``called`` an expression of columns, as formulaic reads it.

    Raises
    ------
    FitError
        When a function's argument is not an expression.
    """
    written = "".join(_lexical(tokens(text), called))
    return _canonical(written) if called else each_call(written, _canonical)


def each_call(text: str, change: Callable[[str], str], other: Callable[[str], str] = str) -> str:
    """Return ``text`` with every outermost function call, and every ``other`` token, replaced by what is made of it."""
    parts, out, at = tokens(text), [], 0
    while at < len(parts):
        end = _call_end(parts, at)
        out.append(change("".join(parts[at:end])) if end else other(parts[at]))
        at = end or at + 1
    return "".join(out)


def read(expression: str) -> tuple[ast.Expression, dict[str, str]]:
    """Parse an expression whose odd names stand in backticks; also return these names by the ones put for them.

    Raises
    ------
    FitError
        When it is not an expression.
    """
    names: dict[str, str] = {}
    parts = []
    for token in tokens(expression):
        if token.startswith("`"):
            names[f"_quoted_{len(names)}_"] = token.strip("`")
            token = next(reversed(names))
        parts.append(token)
    try:
        return ast.parse("".join(parts).strip(), mode="eval"), names
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error).split(" (<unknown>")[0].splitlines()[0] if str(error) else "too deep"
        raise FitError(f"'{expression.strip()}' cannot be read: {reason}") from error


def write(tree: ast.AST, names: dict[str, str]) -> str:
    """Return a tree that `read` made as an expression again."""
    return re.sub(r"_quoted_\d+_", lambda found: f"`{names[found[0]]}`", ast.unparse(tree))


def formulaic_name(expression: str) -> str:
    """Return an expression with its odd names as formulaic puts them for Python."""
    return re.sub(r"`([^`]*)`", lambda found: re.sub(r"\W", "_", found[1]), expression)


def _lexical(parts: list[str], called: bool) -> Iterator[str]:
    """Yield tokens with R's words put as Python's; what a word means depends on whether a function is open."""
    open_calls: list[bool] = []
    before = ""
    for at, token in enumerate(parts):
        if token.isspace():
            if not (_NAME.fullmatch(before) and "".join(parts[at:]).lstrip().startswith("(")):
                yield token
            continue
        inside = called or any(open_calls)
        after = next((part for part in parts[at + 1 :] if not part.isspace()), "")
        if token == "(":
            open_calls.append(bool(_NAME.fullmatch(before)))
        elif token == ")" and open_calls:
            open_calls.pop()
        before = token
        yield _word(token, after, inside)


def _word(token: str, after: str, inside: bool) -> str:
    if token.endswith("::"):
        return ""
    if token == "%in%":
        if inside:
            raise FitError("'%in%' inside a function is not offered; write I(x == 'a')")
        return ":"
    if token == "^" or (inside and token in _WORDS):
        return _WORDS[token]
    if token.startswith("`"):
        name = token.strip("`")
        return name if name.isidentifier() and not keyword.iskeyword(name) and name not in _WORDS else token
    if token.endswith("L") and token[:-1].isdigit():
        return token[:-1]
    if not _NAME.fullmatch(token) or token in _PYTHON_NAMES:
        return token
    if after == "(":
        return _CALLED.get(token, token)
    if not inside or token.startswith(("contr.", "np.")):
        return token
    if after == "=":
        return token.replace(".", "_")
    if keyword.iskeyword(token) and token not in ("and", "or", "not", "in"):
        raise FitError(f"a column named '{token}' cannot stand inside a function; rename it")
    return f"`{token}`" if "." in token else token


def _call_end(parts: list[str], at: int) -> int:
    """Return the end of the call that begins at a token, 0 where none begins."""
    if not _NAME.fullmatch(parts[at]) or parts[at + 1 : at + 2] != ["("]:
        return 0
    depth = 0
    for end in range(at + 1, len(parts)):
        depth += (parts[end] == "(") - (parts[end] == ")")
        if depth == 0:
            return end + 1
    return 0


def _canonical(expression: str) -> str:
    tree, names = read(expression)
    try:
        return write(ast.fix_missing_locations(_Canonical().visit(tree)), names)
    except RecursionError as error:
        raise FitError(f"'{expression[:40]}…' is too deep to be read; write it in fewer parts") from error


class _Canonical(ast.NodeTransformer):
    """Give R's factor(), relevel(), C() and c() the one form that formulaic evaluates."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.args[1:] = [_logical(argument) for argument in node.args[1:]]
        for argument in node.keywords:
            argument.value = _logical(argument.value)
        rewrite = _REWRITES.get(node.func.id) if isinstance(node.func, ast.Name) else None
        return rewrite(node) if rewrite else node


def _logical(node: ast.expr) -> ast.expr:
    """Read R's T and F, which stand for TRUE and FALSE where an argument is expected."""
    return ast.Constant(node.id == "T") if isinstance(node, ast.Name) and node.id in ("T", "F") else node


def _vector(node: ast.Call) -> ast.AST:
    return ast.List(node.args, ast.Load())


def _factor(node: ast.Call) -> ast.AST:
    given = _arguments(node, 'factor(x, levels = c("a", "b"))', ["x", "levels"], {"ordered"})
    flag = given.get("ordered")
    ordered = isinstance(flag, ast.Constant) and bool(flag.value)
    return _coded(given["x"], _contrast("poly") if ordered else None, given.get("levels"))


def _ordered(node: ast.Call) -> ast.AST:
    given = _arguments(node, 'ordered(x, levels = c("a", "b"))', ["x", "levels"])
    return _coded(given["x"], _contrast("poly"), given.get("levels"))


def _relevel(node: ast.Call) -> ast.AST:
    given = _arguments(node, 'relevel(x, ref = "a")', ["x", "ref"])
    if "ref" not in given:
        raise FitError('relevel() without a reference level; write relevel(x, ref = "a")')
    return _coded(given["x"], _treatment(given["ref"]), None)


def _c(node: ast.Call) -> ast.AST:
    usage = 'C(x, contr.sum) or C(x, contr.treatment(base = "a"))'
    given = _arguments(node, usage, ["x", "contrasts"], {"levels", "base"})
    if "base" in given:
        return _coded(given["x"], _treatment(given["base"]), given.get("levels"))
    return _coded(given["x"], _known_contrast(given.get("contrasts")), given.get("levels"))


_REWRITES = {
    "c": _vector,
    "cbind": _vector,
    "factor": _factor,
    "ordered": _ordered,
    "relevel": _relevel,
    "C": _c,
}


def _arguments(
    node: ast.Call,
    usage: str,
    order: list[str],
    more: set[str] = frozenset(),  # type: ignore[assignment]
) -> dict[str, ast.expr]:
    """Return a call's arguments by name."""
    given = dict(zip(order, node.args, strict=False))
    given |= {str(argument.arg): argument.value for argument in node.keywords}
    unknown = [name for name in given if name not in {*order, *more}]
    if unknown or len(node.args) > len(order) or "x" not in given:
        what = f"argument '{unknown[0]}' of " if unknown else ""
        raise FitError(f"{what}{ast.unparse(node)} is not offered; write {usage}")
    return given


def _coded(x: ast.expr, contrast: ast.expr | None, levels: ast.expr | None) -> ast.Call:
    """Return C(x, contrast, levels=…); a factor inside a factor passes on what the outer one leaves open."""
    if isinstance(x, ast.Call) and isinstance(x.func, ast.Name) and x.func.id == "C":
        contrast = contrast or next(iter(x.args[1:]), None)
        levels = levels or next((argument.value for argument in x.keywords), None)
        x = x.args[0]
    keywords = [ast.keyword("levels", levels)] if levels else []
    return ast.Call(ast.Name("C", ast.Load()), [x, *([contrast] if contrast else [])], keywords)


def _contrast(kind: str) -> ast.expr:
    return ast.Attribute(ast.Name("contr", ast.Load()), kind, ast.Load())


def _treatment(base: ast.expr) -> ast.expr:
    return ast.Call(_contrast("treatment"), [], [ast.keyword("base", base)])


def _known_contrast(node: ast.expr | None) -> ast.expr | None:
    """Read a contrast as R, formulaic or patsy name it; sizes such as contr.sum(3) say nothing new."""
    if node is None or isinstance(node, ast.List):
        return node
    called = node.func if isinstance(node, ast.Call) else node
    name = str(called.value) if isinstance(called, ast.Constant) else ast.unparse(called)
    kind = CONTRASTS.get(name.removeprefix("contr."))
    if kind is None:
        raise FitError(f"contrasts '{name}' are not offered; there are {OFFERED}, as in C(x, sum)")
    base = _base(node) if isinstance(node, ast.Call) else None
    return _treatment(base) if base is not None and kind == "treatment" else _contrast(kind)


def _base(node: ast.Call) -> ast.expr | None:
    """Return the reference level of a treatment contrast: by name, or as R's second argument, its position."""
    for argument in node.keywords:
        if argument.arg in ("base", "reference", "ref"):
            return _level(argument.value)
    first, second = (*node.args[:2], None, None)[:2]
    if second is not None or first is None:
        return second
    of_r = ast.unparse(node.func).startswith("contr.")
    if isinstance(first, ast.Constant) and isinstance(first.value, int):
        if of_r:  # the number of levels
            return None
        raise FitError(
            f"which level {ast.unparse(node)} means is not clear; write treatment('{first.value}') for the level of that name"
        )
    return None if isinstance(first, ast.Call | ast.List) else _level(first)


def _level(node: ast.expr) -> ast.expr:
    """Read a bare word as the name of a level."""
    return ast.Constant(node.id) if isinstance(node, ast.Name) else node
