"""The documentation site: ``make docs`` builds it with warnings as errors.

Sphinx, because the packages that our users know (MNE, pandas, statsmodels) are documented with it, numpydoc docstrings are
its own, and notebooks become pages (myst-nb). Its search needs no network.
"""

import importlib
import re
import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "clada-neuro"
author = "The clada-neuro developers"
release = importlib.import_module("clada_neuro").__version__
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx_click"]
exclude_patterns = ["_build", "make_*.py"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "clada-neuro"
html_theme_options = {
    "navbar_align": "left",
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars: dict[str, list[str]] = {"index": []}
html_show_sourcelink = False
html_static_path, html_css_files = ["_static"], ["site.css"]
copyright = author

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]
nb_execution_mode = "off"  # `run_notebooks` runs them, without widgets
numpydoc_show_class_members = False
autosummary_generate = True
autodoc_typehints = "none"  # types stand in the docstrings


autodoc_inherit_docstrings = False
autodoc_mock_imports = ["lm_eval", "triton"]  # extras, which the pages do not need

_RESULT = re.compile(r"\]\(\.\./(analyses/results/(\w+)/(\w+\.md))\)")
_FILE = re.compile(r"\]\(((?:\.{1,2}/)*[\w/]+\.\w+)\)")
_CODE = re.compile(r"(``.*?``)")


def setup(app: Sphinx) -> None:
    """Bring in what is made or lies elsewhere."""
    import make_grammar
    import make_tables
    import run_notebooks

    make_grammar.write()
    make_tables.write()
    shutil.rmtree(HERE / "reference" / "generated", ignore_errors=True)  # pages of modules that are no more
    run_notebooks.write(HERE / "tutorials")
    app.connect("autodoc-process-docstring", _bars_are_bars)
    app.connect("config-inited", _results_become_pages)
    app.connect("source-read", _point_to_results)


def _bars_are_bars(
    app: Sphinx, kind: str, name: str, found: object, options: object, lines: list[str]
) -> None:
    """Keep |x| from being read as a substitution."""
    for number, line in enumerate(lines):
        parts = _CODE.split(line)
        lines[number] = "".join(part if part.startswith("``") else part.replace("|", "\\|") for part in parts)


def _results_become_pages(app: Sphinx, config: object) -> None:
    """Copy the tables that pages point to."""
    made = HERE / "made"
    made.mkdir(exist_ok=True)
    for page in HERE.glob("*.md"):
        for path, _, name in _RESULT.findall(page.read_text(encoding="utf-8")):
            place = HERE.parent / path
            text = place.read_text(encoding="utf-8")
            for target in set(_FILE.findall(text)):
                shutil.copy(place.parent / target, made / Path(target).name)
                text = text.replace(f"]({target})", f"]({Path(target).name})")
            (made / name).write_text(f"---\norphan: true\n---\n\n{text}", encoding="utf-8")


def _point_to_results(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = _RESULT.sub(r"](made/\3)", source[0])
