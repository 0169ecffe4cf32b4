"""A key changes with all that can change a number, and with nothing else."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from clada_neuro import cache
from clada_neuro.artifacts import content_hash
from clada_neuro.cache import cache_key, made_with


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: `fits` imports `designs` late, and names `engines.one` as text."""
    (tmp_path / "engines").mkdir()
    for name, source in {
        "fits.py": 'import scipy\nENGINES = {"one": "clada_neuro.engines.one"}\ndef fit():\n'
        "    from clada_neuro import designs\n    return designs\n",
        "designs.py": "import numpy as np\n",
        "engines/__init__.py": "",
        "engines/one.py": "import mixedlm\n",
        "pages.py": "import torch\n",
    }.items():
        (tmp_path / name).write_text(source)
    monkeypatch.setattr(cache, "_ROOT", tmp_path)
    cache._reached.cache_clear()
    yield tmp_path
    cache._reached.cache_clear()


def key(module: str = "clada_neuro.fits", *inputs: object) -> str:
    cache._reached.cache_clear()
    return cache_key(module, *inputs)


@pytest.mark.parametrize("file", ["fits.py", "designs.py", "engines/one.py"])
def test_code_that_computes_changes_the_key_however_it_is_imported(package, file):
    before = key()
    path = package / file
    path.write_text(path.read_text() + "more = 1\n")
    assert key() != before


def test_code_that_does_not_compute_leaves_the_key(package):
    before = key()
    (package / "pages.py").write_text("import numpy\n")
    (package / "designs.py").write_bytes(b"import numpy as np\r\n")  # line ends of another checkout
    assert key() == before


def test_versions_of_the_packages_that_compute_change_the_key_others_do_not(package, monkeypatch):
    before, real = key(), cache.versions()
    assert set(made_with("clada_neuro.fits")) == {
        "python", "clada-neuro", "scipy", "numpy", "mixedlm", "code",
    }  # fmt: skip
    for name, changes in {
        "mixedlm": True, "numpy": True, "clada-neuro": True, "python": True, "torch": False, "platform": False,
    }.items():  # fmt: skip
        monkeypatch.setattr(cache, "versions", lambda name=name: {**real, name: "9.9"})
        assert (key() != before) == changes, name


@pytest.mark.parametrize(
    ("module", "reached"),
    [
        ("stats.stage", ("stats.engines.mixedlm", "stats.r2", "stats.formula")),
        ("instrument.trace", ("models.loading", "instrument.activity_cpu", "runtime.policy")),
        ("evaluation.evaluate", ("policies.griffin", "runtime.clada", "policies.registry")),
        ("calibration.search", ("policies.wina", "calibration.certify", "runtime.scoring")),
        ("erp.stage", ("erp.rerp", "erp.components")),
        ("questions.human", ("stats.bootstrap", "questions.questions", "responses.alignment")),
    ],
)
def test_the_key_of_each_stage_covers_the_code_behind_it(module, reached, monkeypatch):
    before, real = key(f"clada_neuro.{module}"), cache._source
    another = cache._ROOT / "cache.py"
    for name in (f"clada_neuro.{part}" for part in reached):
        monkeypatch.setattr(cache, "_source", lambda one, name=name: another if one == name else real(one))
        assert key(f"clada_neuro.{module}") != before, name


def test_a_module_of_someone_else_counts_by_its_own_source(tmp_path, monkeypatch):
    path = tmp_path / "my_policy.py"
    path.write_text("KEEP = 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("my_policy")
    before = key("my_policy")
    path.write_text("KEEP = 0.6\n")
    assert key("my_policy") != before


@dataclass(frozen=True)
class Settings:
    name: str
    thresholds: np.ndarray


LONG = np.arange(10_000.0)
FRAME = pd.DataFrame({"x": [1e-17, 2.0], "word": ["nan", "b"]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FRAME, FRAME.assign(x=[2e-17, 2.0])),  # as text with 15 decimals both are 0
        (FRAME, FRAME.assign(word=[None, "b"])),
        (FRAME, FRAME.assign(word=[np.nan, "b"])),
        (FRAME, FRAME.rename(columns={"x": "z"})),
        (FRAME, FRAME.assign(x=[np.inf, 2.0])),
        (FRAME, FRAME.assign(x=[np.nan, 2.0])),
        (
            FRAME.assign(word=pd.Categorical(["a", "b"], ["a", "b"])),
            FRAME.assign(word=pd.Categorical(["a", "b"], ["b", "a"])),  # another reference level
        ),
        (LONG, np.where(LONG == 5000, -1.0, LONG)),  # printed, both are cut short
        (Settings("a", LONG), Settings("b", LONG)),
        (Settings("a", LONG), replace(Settings("a", LONG), thresholds=LONG[::-1])),
        ({"nested": [LONG]}, {"nested": [LONG[::-1]]}),
        (LONG.reshape(100, 100), LONG),
    ],
)
def test_hashes_differ_wherever_inputs_do(one, other):
    assert content_hash(one) == content_hash(one)
    assert content_hash(one) != content_hash(other)
