"""A report formats what stages computed: no module of the room computes a statistic, loads a library of them, or asks for one."""

import ast
from pathlib import Path

import pytest

import clada_neuro.reporting

ROOM = Path(clada_neuro.reporting.__file__).parent
MODULES = sorted(ROOM.rglob("*.py"))
LIBRARIES = {"scipy", "statsmodels", "sklearn", "statistics", "mixedlm"}
ROOMS = ("clada_neuro.stats", "clada_neuro.erp")
# Methods and functions of pandas, numpy and seaborn that make a number of several.
STATISTICS = {
    "agg", "aggregate", "average", "bincount", "boxplot", "corr", "corrcoef", "count", "cov", "cut", "describe", "diff", "displot",
    "expanding", "ewm", "hist", "hist2d", "histogram", "histplot", "interp", "kdeplot", "lineplot", "lmplot", "lstsq", "mad", "mean",
    "median", "mode", "nanmean", "nanmedian", "nanpercentile", "nanquantile", "nanstd", "nansum", "nanvar", "nunique", "pct_change",
    "percentile", "pivot_table", "pointplot", "polyfit", "prod", "qcut", "quantile", "rank", "regplot", "resample", "rolling", "sem",
    "skew", "std", "sum", "transform", "value_counts", "var", "violinplot",
}  # fmt: skip


def computed(source: str) -> list[str]:
    """Return what a module computes, with its line; groups that are only walked through compute nothing."""
    tree = ast.parse(source)
    walked = [node.iter for node in ast.walk(tree) if isinstance(node, ast.For | ast.comprehension)]
    walked += [
        argument
        for iterated in walked
        if isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Name) and iterated.func.id in ("enumerate", "zip")
        for argument in iterated.args
    ]  # fmt: skip
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            text = isinstance(node.func.value, ast.Constant | ast.JoinedStr) or _counts_letters(node)
            if node.func.attr in STATISTICS and not text:
                found.append(f"{node.lineno}: {node.func.attr}")
            if node.func.attr == "groupby" and node not in walked:
                found.append(f"{node.lineno}: groupby")
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [
            f"{node.lineno}: {name}"
            for name in names
            if name.partition(".")[0] in LIBRARIES or name.startswith(ROOMS)
        ]
    return found


def _counts_letters(node: ast.Call) -> bool:
    """Return whether this is ``text.count("…")``, as for the lines of a label."""
    given = node.args[0] if node.args else None
    return node.func.attr == "count" and isinstance(given, ast.Constant) and isinstance(given.value, str)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOM)))
def test_no_module_of_the_report_computes_a_statistic(path):
    assert computed(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "a = frame.groupby('x')['y'].mean()", "a = frame.groupby('x')", "a = np.quantile(x, 0.5)", "from scipy import stats",
        "import statsmodels.api as sm", "sns.lineplot(frame, x='a')", "from clada_neuro.stats.conditions import means",
        "pd.qcut(x, 10)", "frame['n'].sum()",
    ],
)  # fmt: skip
def test_statistics_are_found(line):
    assert computed(line)


@pytest.mark.parametrize(
    "line",
    [
        "for name, rows in frame.groupby('x'): pass", "a = [rows for _, rows in frame.groupby('x')]", "n = text.count('x')",
        "for k, (a, b) in enumerate(frame.groupby('x')): pass", "a = max(values)", "axes.bar(edges, counts)",
    ],
)  # fmt: skip
def test_formatting_is_not(line):
    assert computed(line) == []
