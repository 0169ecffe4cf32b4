"""The texts that natural sequences come from: news articles (XSum) and web pages (C4)."""

import json

from clada_neuro.artifacts import text_lines
from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.stimuli import datasets

_FILES = {"xsum": ("xsum_0shot.jsonl", "article"), "c4_sample": ("c4_sample.jsonl", "text")}
_ARTICLE, _REQUEST = "Article: ", "\n\nSummarize the above article"


def read_corpus(name: str) -> list[str]:
    """Return the documents of ``"xsum"`` or ``"c4_sample"``, without the summarization task around the articles.

    Raises
    ------
    DataError
        For another name, or a corpus that is not there.
    """
    if name not in _FILES:
        raise DataError(
            f"no corpus '{name}'{did_you_mean(name, list(_FILES))}; there are {', '.join(_FILES)}"
        )
    file, field = _FILES[name]
    lines = text_lines((datasets.path(name) / file).read_text(encoding="utf-8"))
    return [_plain(json.loads(line)[field]) for line in lines]


def _plain(text: str) -> str:
    return text.split(_ARTICLE, 1)[-1].split(_REQUEST, 1)[0].strip()
