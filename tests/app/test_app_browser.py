"""The page in a real browser: typed sentences and a dropped table are measured, plotted and taken away by clicks."""

import base64

import pytest
from app_server import INSTALLED, serving
from headless_chromium import EXECUTABLE, Chromium
from tiny_models import tiny_checkpoint

from clada_neuro.app.settings import LARGEST_UPLOAD

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium on this computer"),
    pytest.mark.skipif(not INSTALLED, reason="the extra app is not installed"),
]
TABLE = (
    "item,condition,sentence,critical_word,mine\n1,a,w3 w4 w5,w5,x\n1,b,w3 w4 w6,w6,y\n2,a,w7 w8 w5,w5,z\n"
)
GO, PLOT = "document.querySelector('.go')", "document.querySelector('.plot img')"
TOLD = "(document.querySelector('.clada [role=alert]')?.textContent ?? '')"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving("--model", tiny_checkpoint(tmp_path_factory.mktemp("model"))) as started:
        yield started


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    chromium.open(server.address, 1280)
    chromium.wait(f"!!{GO} && !!document.querySelector('.drop input')", 120)
    yield chromium
    chromium.close()


def type_sentences(browser, text: str) -> None:
    browser.click("document.querySelector('textarea')")
    browser.evaluate("document.querySelector('textarea').select()")
    browser.send("Input.insertText", {"text": text})


def measure(browser) -> None:
    browser.click(GO)
    browser.wait(f"{GO}.disabled")
    browser.wait(f"!{GO}.disabled", 120)


def taken(browser, name: str) -> bytes:
    """What a link gives, after a click on it."""
    link = f"document.querySelector('a[download=\"{name}\"]')"
    browser.click(link)
    return base64.b64decode(browser.evaluate(f"{link}.href").split("base64,", 1)[1])


def visible(browser) -> bool:
    return browser.evaluate(f"!!{PLOT} && {PLOT}.offsetParent !== null")


def test_typed_sentences_are_measured_plotted_and_taken_away(browser, tmp_path):
    browser._send("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    type_sentences(browser, "w3 w4 *w5*\nw6 w7 <b>w8</b>")
    measure(browser)
    assert visible(browser)
    assert browser.evaluate("document.querySelectorAll('.clada .card select')[1].options.length") == 2
    csv = taken(browser, "words.csv").decode()
    assert len(csv.splitlines()) == 1 + 6
    assert b"<html" in taken(browser, "report.html")[:200]
    assert "<b>w8</b>" in browser.evaluate("document.querySelectorAll('.clada .card select')[1].textContent")
    assert browser.evaluate("[...document.querySelectorAll('.clada b')].every(b => b.textContent !== 'w8')")


def test_measures_and_texts_are_chosen_without_measuring_again(browser):
    before = browser.evaluate(f"{PLOT}.src")
    browser.click("document.querySelector('.measures input')")
    fewer = browser.wait(f"{PLOT}.src !== {before!r} && {PLOT}.src")
    browser.evaluate(
        "(s => { s.selectedIndex = 1; s.dispatchEvent(new Event('change', {bubbles: true})); })"
        "(document.querySelectorAll('.clada .card select')[1])"
    )
    browser.wait(f"{PLOT}.src !== {fewer!r}")


def test_a_dropped_table_is_measured_with_its_columns(browser, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(TABLE, encoding="utf-8")
    browser.choose_file("document.querySelector('.drop input')", file)
    browser.wait("document.querySelector('.drop').textContent.includes('mine.csv: 3 texts')")
    measure(browser)
    assert taken(browser, "words.csv").decode().splitlines()[0].startswith("stimulus_id,item,condition")
    assert "mine" in taken(browser, "words.csv").decode().splitlines()[0]


def test_what_is_no_table_or_too_large_is_one_line(browser, tmp_path):
    for name, content, line in (
        ("photo.csv", b"\x89PNG\r\n\x1a\n\xff", "photo.csv"),
        ("large.csv", bytes(LARGEST_UPLOAD + 1), "at most 5 MB"),
    ):
        (tmp_path / name).write_bytes(content)
        browser.choose_file("document.querySelector('.drop input')", tmp_path / name)
        told = browser.wait(f"{TOLD}.includes({line!r}) && {TOLD}")
        assert "\n" not in told


def test_nothing_was_asked_of_another_computer_and_nothing_failed(browser, server):
    asked = {request["request"]["url"] for request in browser.of("Network.requestWillBeSent")}
    own = (f"http://127.0.0.1:{server.port}/", "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert browser.of("Runtime.exceptionThrown") == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(browser, width):
    browser.send(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    assert browser.wait(f"document.documentElement.scrollWidth <= {width}")
