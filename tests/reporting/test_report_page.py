"""The page in a real browser: it opens without errors or requests, its images show, nothing overflows."""

import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from headless_chromium import EXECUTABLE, Chromium

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium on this computer")
PHONE, DESKTOP = 390, 1280
PAPER = 673  # A4 between its margins


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_opens_without_errors_or_requests(browser, page_file, width):
    browser.open(page_file, width)
    assert browser.of("Runtime.exceptionThrown") == []
    assert [entry["entry"]["text"] for entry in browser.of("Log.entryAdded")] == []
    requested = [request["request"]["url"] for request in browser.of("Network.requestWillBeSent")]
    assert [url for url in requested if not url.startswith("data:")] == [page_file.resolve().as_uri()]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_images_show_and_nothing_overflows(browser, page_file, width):
    browser.open(page_file, width)
    images = browser.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(images) >= 10
    assert all(images)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_headings_and_captions_are_there(browser, page_file):
    browser.open(page_file, DESKTOP)
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert browser.evaluate("[...document.querySelectorAll('table')].every(t => t.caption)")
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(browser, page_file, dark):
    browser.open(page_file, DESKTOP, dark=dark)
    contrast = browser.evaluate(_CONTRAST)
    assert contrast > 4.5


def test_prints_without_navigation(browser, page_file):
    browser.open(page_file, PAPER, media="print")
    for away in ("nav", "#all-figures", ".skip"):
        assert browser.evaluate(f"getComputedStyle(document.querySelector('{away}')).display") == "none"
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("document.documentElement.scrollWidth") <= PAPER


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_contents_stay_in_sight_and_hide_no_heading(browser, page_file, width):
    browser.open(page_file, width)
    for section in browser.evaluate("[...document.querySelectorAll('nav a')].map(a => a.hash)"):
        browser.evaluate(f"document.querySelector('nav a[href=\"{section}\"]').click()")
        nav, heading, right = browser.evaluate(
            "(h => { const n = document.querySelector('nav').getBoundingClientRect(),"
            " s = document.querySelector(h + ' h2').getBoundingClientRect(); return [[n.top, n.bottom], s.top, n.right <= s.left]; })"
            f"('{section}')"
        )
        assert -1 <= nav[0] < nav[1] <= 900
        assert right or heading >= nav[1]


def test_one_gallery_leads_to_every_figure(browser, page_file):
    browser.open(page_file, DESKTOP)
    leads = browser.evaluate("[...document.querySelectorAll('.gallery a')].map(a => a.hash)")
    assert leads == browser.evaluate("[...document.querySelectorAll('figure')].map(f => '#' + f.id)")
    assert len(leads) >= 10


def test_the_keyboard_reaches_the_content_first_and_everything_that_scrolls(browser, page_file):
    browser.open(page_file, PHONE)
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.className") == "skip"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Enter", 13)
    assert browser.evaluate("location.hash") == "#content"
    cut = browser.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1 &&"
        " getComputedStyle(e).overflowX === 'auto' && e.tabIndex < 0 && !e.querySelector('a')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert cut == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_a_screen_reader_finds_no_serious_fault(browser, page_file, axe, width, dark):
    browser.open(page_file, width, dark=dark)
    browser.evaluate(f"{axe}; 0")
    found = browser.evaluate(
        "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html.slice(0, 120))]))"
    )
    assert [fault for fault in found if fault[0] in ("serious", "critical")] == []


@pytest.fixture(scope="module")
def axe():
    """axe-core as text, installed by ``npm install --no-save axe-core``, or where AXE_CORE says."""
    npm = shutil.which("npm")
    everywhere = (
        subprocess.run([npm, "root", "-g"], capture_output=True, text=True).stdout.strip() if npm else ""
    )
    here = Path(__file__).parents[2] / "node_modules"
    folders = [here, *map(Path, filter(None, [everywhere]))]
    places = [Path(os.environ.get("AXE_CORE", "")), *(place / "axe-core" / "axe.min.js" for place in folders)]
    found = next((place for place in places if place.is_file()), None)
    return found.read_text(encoding="utf-8") if found else pytest.skip("no axe-core on this computer")


@pytest.mark.skipif("REPORT_SCREENSHOTS" not in os.environ, reason="REPORT_SCREENSHOTS names no folder")
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_photographs(browser, page_file, width, dark):
    browser.open(page_file, width, dark=dark)
    browser.screenshot(Path(os.environ["REPORT_SCREENSHOTS"], f"{width}_{'dark' if dark else 'light'}.png"))


# The lowest WCAG contrast of any text against the nearest opaque background.
_CONTRAST = """
(() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = s => s.match(/[\\d.]+/g).map(Number);
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const texts = [...document.querySelectorAll('main *, header *, nav *')].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  return Math.min(...texts.map(e => {
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
})()
"""
