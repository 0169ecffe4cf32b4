import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from clada_neuro.artifacts import package_data
from clada_neuro.errors import DataError
from clada_neuro.instrument.covariates import check_language
from clada_neuro.stimuli import datasets, registry
from clada_neuro.study.named import language_of

CONTENT = b"item,condition,sentence\n1,a,Hello there.\n"
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A registry whose one source is served from a folder by a local web server; returns that folder."""
    public = tmp_path / "public"
    public.mkdir()
    (public / "toy.csv").write_bytes(CONTENT)
    handler = functools.partial(QuietHandler, directory=str(public))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    document = f"""
[sources.toy]
kind = "stimuli"
url = "http://127.0.0.1:{server.server_port}/"
licence = "CC0"
citation = "Nobody 2020"
[sources.toy.files]
"toy.csv" = {{ path = "toy.csv", sha256 = "{SUM}" }}
"made.csv" = {{ path = "toy.csv.gz", sha256 = "{SUM}", derived = "unpacked" }}
[sets.greetings]
title = "Greetings"
source = "toy"
files = ["toy.csv"]
loader = "schemas"
language = "en"
citation = "Nobody 2020"
components = []
"""
    (tmp_path / "registry.toml").write_text(document)
    made = registry.read_registry(tmp_path / "registry.toml")
    for module in (registry, datasets):
        monkeypatch.setattr(module, "registry", lambda: made)
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CLADA_NEURO_DATA", raising=False)
    yield public
    server.shutdown()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_a_fetched_file_is_verified_and_found_again(served):
    with pytest.raises(DataError, match="not on this machine"):
        datasets.path("greetings")
    folder = datasets.fetch("greetings")
    assert (folder / "toy.csv").read_bytes() == CONTENT
    (served / "toy.csv").unlink()
    assert datasets.fetch("greetings") == datasets.path("greetings") == folder


def test_a_changed_file_at_the_origin_is_refused(served):
    (served / "toy.csv").write_bytes(CONTENT + b"2,a,More.\n")
    with pytest.raises(DataError, match="no longer has the sha256"):
        datasets.fetch("greetings")
    assert not list((Path(datasets._folder_of(*registry.find("greetings")))).glob("*"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://no-such-host.invalid/"])
def test_without_a_connection_the_address_and_the_place_are_named(served, monkeypatch, tmp_path, url):
    text = (tmp_path / "registry.toml").read_text()
    start, _, rest = text.partition('url = "')
    (tmp_path / "registry.toml").write_text(f'{start}url = "{url}"\n' + rest.partition('"\n')[2])
    made = registry.read_registry(tmp_path / "registry.toml")
    monkeypatch.setattr(registry, "registry", lambda: made)
    with pytest.raises(DataError) as raised:
        datasets.fetch("greetings")
    message = str(raised.value)
    assert f"{url}toy.csv" in message
    assert str(tmp_path / "cache" / "data" / "toy" / "toy.csv") in message
    assert "\n" not in message


def test_folders_of_the_environment_come_first_and_are_verified(served, monkeypatch, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    place = tmp_path / "two" / "toy"
    place.mkdir()
    (place / "toy.csv").write_bytes(CONTENT)
    monkeypatch.setenv("CLADA_NEURO_DATA", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    assert datasets.path("greetings") == place
    (place / "toy.csv").write_bytes(CONTENT.replace(b"Hello", b"Hullo"))
    with pytest.raises(
        DataError, match=f"is not the published file: sha256 .* {SUM[:12]}… expected; replace it by http"
    ):
        datasets.load("greetings")


def test_a_derived_file_says_how_it_is_made(served):
    with pytest.raises(DataError, match=r"toy\.csv\.gz \(unpacked\)"):
        datasets.fetch("toy")


def test_unknown_names_get_a_suggestion(served):
    with pytest.raises(DataError, match=r"no data set 'greting' \(did you mean 'greetings'\?\)"):
        datasets.path("greting")
    with pytest.raises(DataError, match=r"no stimulus set 'gretings' \(did you mean 'greetings'\?\)"):
        datasets.load("gretings")


def test_a_set_without_responses_says_so(monkeypatch):
    with pytest.raises(
        DataError, match="'kim2005' holds stimuli but no human responses; sets with responses are nieuw"
    ):
        datasets.load_trials("kim2005")


def test_the_registry_is_complete():
    sources, sets = registry.read_registry(package_data("registry.toml"))
    for source in sources.values():
        assert source.licence
        assert source.citation
        for file in source.files.values():
            assert file.url.startswith("https://raw.githubusercontent.com/")
            assert len(bytes.fromhex(file.sha256)) == 32
    for entry in sets.values():
        assert hasattr(datasets._loader(entry), "load_stimuli")
        assert set(entry.window_ms) <= set(entry.components)
        assert check_language(entry.language) == language_of(entry.name)
    assert sets["nieuwland2018"].window_ms["n400"] == [200, 500]
    assert sets["nieuwland2018"].soa_ms == 500
