"""Who may import whom: each package reaches only downwards, no circle anywhere, and light parts never load heavy libraries."""

import ast
import subprocess
import sys
from collections.abc import Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "clada_neuro"
MODULES = sorted(ROOT.rglob("*.py"))

BASE = {
    "errors",
    "measures",
    "tables",
    "artifacts",
    "exports",
    "cache",
    "lineage",
    "losses",
    "stage",
    "records",
    "numerals",
    "progress",
    "parts",
}
# package or module: parts of clada_neuro it may import besides itself and BASE
ALLOWED = {
    "errors": set(),
    "measures": set(),
    "tables": {"errors", "measures"},
    "artifacts": {"errors"},
    "exports": {"artifacts", "tables"},
    "losses": set(),
    "numerals": set(),
    "cache": {"artifacts", "errors"},
    "records": {"artifacts", "cache", "errors", "numerals"},
    "lineage": {"artifacts", "errors", "records"},
    "progress": set(),
    "parts": set(),
    "stage": {"artifacts"},
    "models": BASE,
    "runtime": BASE | {"models"},
    "passes": BASE | {"models", "runtime"},
    "policies": BASE | {"models", "runtime", "passes"},
    "calibration": BASE | {"models", "runtime", "passes", "policies"},
    "stimuli": BASE,
    "instrument": BASE | {"models", "runtime", "stimuli"},
    "erp": BASE | {"stimuli", "stats"},
    "responses": BASE | {"stimuli"},
    "stats": BASE | {"responses"},
    "evaluation": BASE | {"models", "runtime", "passes", "policies", "calibration", "stimuli"},
    "bench": BASE | {"models", "runtime", "passes", "policies", "calibration", "evaluation", "instrument", "stats", "stimuli",
                     "study", "responses"},
    "scale": BASE | {"models", "runtime", "passes", "policies", "calibration", "instrument", "stimuli", "evaluation"},
    "overview": BASE | {"stats", "responses"},
    "reporting": BASE | {"overview", "responses"},
    "study": BASE | {"models", "runtime", "passes", "policies", "calibration", "stimuli", "instrument", "erp", "responses", "stats",
                     "evaluation", "scale", "reporting"},
    "questions": BASE | {"study", "models", "policies", "stimuli", "instrument", "responses", "stats", "reporting"},
    "by_name": BASE | {"models", "runtime", "policies"},
    "arguments": {"errors"},
    "app": BASE | {"models", "instrument", "reporting", "stimuli", "widgets"},
    "widgets": BASE | {"models", "runtime", "instrument", "reporting"},
    "cli": None,
    "__main__": None,
    "__init__": set(),
}  # fmt: skip
NEVER = {
    "errors": {"torch", "mne", "transformers"},
    "measures": {"torch", "mne", "transformers", "pandas"},
    "tables": {"torch", "mne", "transformers"},
    "artifacts": {"torch", "mne", "transformers"},
    "cache": {"torch", "mne", "transformers"},
    "exports": {"torch", "mne", "transformers"},
    "arguments": {"torch", "mne", "transformers"},
    "lineage": {"torch", "mne", "transformers"},
    "stage": {"torch", "mne", "transformers"},
    "parts": {"torch", "mne", "transformers"},
    "records": {"torch", "mne", "transformers", "pandas"},
    "stimuli": {"torch"},
    "erp": {"torch"},
    "responses": {"torch"},
    "stats": {"torch"},
    "reporting": {"torch"},
    "models": {"mne"},
    "runtime": {"mne"},
    "passes": {"mne"},
    "policies": {"mne"},
    "calibration": {"mne"},
    "instrument": {"mne"},
}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            if node.module == "clada_neuro":
                found.update(f"clada_neuro.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_place_allows(path):
    part = part_of(path)
    allowed = ALLOWED[part]
    for name in imports(path):
        top, _, rest = name.partition(".")
        assert top not in NEVER.get(part, set()), f"{path} imports {name}"
        if top == "clada_neuro" and rest:
            target = rest.split(".")[0]
            assert target != "cli" or part in ("cli", "__main__"), f"{path} imports the command line"
            assert allowed is None or target == part or target in allowed, f"{path} imports {name}"


def test_the_rules_name_every_part():
    assert {part_of(path) for path in MODULES} <= set(ALLOWED)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def _reached(path: Path, modules: Set[str]) -> set[str]:
    """Return the modules that a file imports anywhere: at its top, inside functions, and for annotations alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(inside & modules, {node.module} if inside - modules else ())
    return found & modules


def _circle(arrows: Mapping[str, Set[str]]) -> list[str]:
    """Return one circle as the modules passed on the way round, empty without one."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_imports_run_in_a_circle():
    modules = {_module(path) for path in MODULES}
    assert not _circle({_module(path): _reached(path, modules) for path in MODULES})


def test_a_circle_is_found_in_functions_and_annotations(tmp_path):
    sources = {
        "a": "def f():\n    from room import b",
        "room.b": "if TYPE_CHECKING:\n    from c import d",
        "c": "import a",
    }
    arrows = {}
    for name, source in sources.items():
        path = tmp_path / "module.py"
        path.write_text(source, encoding="utf-8")
        arrows[name] = _reached(path, sources.keys())
    assert sorted(_circle(arrows)) == ["a", "a", "c", "room.b"]
    assert not _circle(arrows | {"c": set()})


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, clada_neuro, clada_neuro.cli.main; print(sorted({'torch', 'mne', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_exist():
    import clada_neuro

    for name in clada_neuro.__all__:
        assert callable(getattr(clada_neuro, name))


def test_no_module_hides_a_public_function():
    import clada_neuro

    modules = {path.stem for path in ROOT.glob("*.py")} | {
        path.name for path in ROOT.iterdir() if path.is_dir()
    }
    assert not modules & set(clada_neuro.__all__)


def test_completion_and_help_show_the_public_names_alone():
    import pydoc

    import clada_neuro

    assert [name for name in dir(clada_neuro) if not name.startswith("_")] == clada_neuro.__all__
    shown = pydoc.plain(pydoc.render_doc(clada_neuro))
    assert all(f"    {name}(" in shown for name in clada_neuro.__all__)


def test_no_file_is_longer_than_a_reader_keeps_in_mind():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {str(path): length for path, length in lengths.items() if length > 400}


def test_no_two_classes_share_a_name():
    found: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(_module(path))
    assert not {name: places for name, places in found.items() if len(places) > 1}


def test_the_page_of_the_package_has_every_room_and_its_tests_are_there():
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms, counts = (
        page.split(f"## {title}\n")[1].split("\n## ")[0] for title in ("Rooms", "What a newcomer touches")
    )
    listed = {line.split("`")[1].rstrip("/") for line in rooms.splitlines() if line.startswith("| `")}
    assert listed == {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    tests = [line.split("`")[-2] for line in counts.splitlines() if "`tests/" in line]
    assert len(tests) == 7
    assert not [name for name in tests if not (ROOT.parent / name).is_file()]
