"""A key changes with all that can change a number, and with nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

from clada_neuro import cache
from clada_neuro.artifacts import content_hash
from clada_neuro.cache import ARRAYS, DOCUMENT, TABLE, Codec, Store, cache_key, kept_or_made, made_with
from clada_neuro.passes.pieces import PIECE


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
        ("erp.maps.stage", ("erp.maps.channel", "erp.maps.inference")),
        ("erp.overlap.stage", ("erp.overlap.solve", "erp.triggers")),
        ("questions.human", ("stats.bootstrap", "stats.steps", "responses.alignment")),
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


def _piece(number: int) -> tuple:
    return {"n": number, "listed": [1.5]}, {"values": torch.full((3,), number / 3)}


VALUES = {
    "table": (TABLE, lambda number: pd.DataFrame({"n": [number], "word": ["é"]})),
    "document": (DOCUMENT, lambda number: {"n": number, "missing": None}),
    "tensors": (PIECE, _piece),
    "arrays": (ARRAYS, lambda number: {"n": np.array(number), "text": np.array("é"), "wide": np.arange(9.0)}),
}


def _number(value: object) -> float:
    if isinstance(value, tuple):
        assert value[1]["values"].tolist() == torch.full((3,), value[0]["n"] / 3).tolist()
        return value[0]["n"]
    return float(value["n"].iloc[0]) if isinstance(value, pd.DataFrame) else float(value["n"])


@pytest.fixture(params=VALUES)
def kept(request) -> tuple[Codec, Callable]:
    return VALUES[request.param]


def test_a_result_holds_as_long_as_its_key(kept, tmp_path):
    codec, value = kept
    store = Store(tmp_path / "new folder", "one", codec)
    assert not store.has("a")
    assert store.read("a") is None
    assert _number(store.once("a", lambda: value(1))) == 1
    assert store.has("a")
    assert not store.has("a", "b")
    assert _number(store.once("a", lambda: value(2))) == 1
    other = Store(store.folder, "two", codec)
    assert other.read("a") is None
    assert _number(other.once("a", lambda: value(3))) == 3
    assert not store.has("a")
    other.clear()
    assert not store.folder.exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_result_is_computed_again(kept, share, tmp_path):
    codec, value = kept
    store = Store(tmp_path, "one", codec)
    store.write("a", value(1))
    content = store.path("a").read_bytes()
    store.path("a").write_bytes(content[: int(share * len(content))])
    assert _number(store.once("a", lambda: value(2))) == 2


def test_what_is_half_made_is_not_taken_for_whole(kept, tmp_path):
    codec, value = kept
    store = Store(tmp_path, "one", codec)
    store.write("last", value(1))
    assert store.whole("last")
    assert not Store(tmp_path, "two", codec).whole("last")
    assert not store.path("last").exists()
    store.write("last", value(1))
    assert not Store(tmp_path, "", codec).whole("last")  # of inputs that are not known


def test_parts_that_are_kept_are_not_made_again_and_a_stop_loses_none_that_are_done(tmp_path):
    asked: list[list[str]] = []
    kept = {name: (Store(tmp_path, "one", DOCUMENT), f"part-{name}") for name in "abc"}

    def make(names):
        asked.append(names)
        for name in reversed(names):
            if name == "a" and len(asked) == 1:
                raise KeyboardInterrupt
            yield name, {"is": name}

    with pytest.raises(KeyboardInterrupt):
        list(kept_or_made(kept, make))
    found = [(name, value["is"], before) for name, value, before in kept_or_made(kept, make)]
    assert found == [("b", "b", True), ("c", "c", True), ("a", "a", False)]
    assert asked == [["a", "b", "c"], ["a"]]


def test_what_is_computed_is_what_is_read_back(tmp_path):
    store = Store(tmp_path, "one", DOCUMENT)
    fresh = store.once("a", lambda: {"pair": (1, 2), "nan": np.nan})
    assert fresh == store.read("a") == {"pair": [1, 2], "nan": None, "inputs": "one"}


def test_a_store_is_bound_to_code_and_inputs(tmp_path):
    one = Store.of(tmp_path, "clada_neuro.cache", LONG, codec=TABLE)
    assert one.key == cache_key("clada_neuro.cache", LONG)
    assert one.key != Store.of(tmp_path, "clada_neuro.cache", LONG[::-1], codec=TABLE).key


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
