"""Links between the files that people read lead somewhere: to a file, and to a heading in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "data").rglob("*.md"),
        *(ROOT / "analyses").rglob("*.md"),
        *(ROOT / "r").rglob("*.md"),
    }
)
PAGES = [page for page in PAGES if not {"made", "generated"} & set(page.parts)]
MADE = {
    f"docs/reference/{name}.md" for name in ("tables", "tasks", "data_sets", "analysis_file")
}  # written when the site is built


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What headings are called in addresses, as forges and the site write them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        if there.is_relative_to(ROOT) and str(there.relative_to(ROOT)) in MADE:
            continue
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken
