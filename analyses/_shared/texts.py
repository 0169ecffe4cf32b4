"""The C4 sample and WikiText-2: which documents calibration may see, and which stay free for measuring loss."""

import json
import os
import re
from pathlib import Path

C4_CALIBRATION = 600  # the first documents of the C4 sample


def data_folder(name: str) -> Path:
    """Return the folder of a text collection in CLADA_NEURO_DATA."""
    folders = [Path(part) for part in os.environ["CLADA_NEURO_DATA"].split(os.pathsep)]
    return next(folder / name for folder in folders if (folder / name).is_dir())


def c4_for_calibration() -> list[str]:
    return _c4()[:C4_CALIBRATION]


def c4_for_measuring() -> list[str]:
    return _c4()[C4_CALIBRATION:]


def books() -> list[str]:
    """Return the Gutenberg texts, which serve calibration only."""
    return [path.read_text(encoding="utf-8") for path in sorted(data_folder("gutenberg").glob("*.body.txt"))]


def wikitext2() -> list[str]:
    """Return the articles of the test part."""
    text = (data_folder("wikitext2") / "wiki.test.raw.rebuilt").read_text(encoding="utf-8")
    return re.split(r"\n(?= = [^=])", text)


def _c4() -> list[str]:
    lines = (data_folder("c4_sample") / "c4_sample.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line)["text"] for line in lines if line]
