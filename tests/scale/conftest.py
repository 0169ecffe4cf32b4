"""A tiny checkpoint on disk, a stimulus table of several shards, and a scheduler with two worker processes."""

from pathlib import Path

import pandas as pd
import pytest
from tiny_language import tiny_language
from workers import ANIMALS, two_workers

from clada_neuro.instrument import shards
from clada_neuro.scale.setting import Setting


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    model = tiny_language()
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def setting(checkpoint) -> Setting:
    return Setting(str(checkpoint), threads=1)


@pytest.fixture
def stimuli(monkeypatch) -> pd.DataFrame:
    """Twenty-four sentences in eight shards; one column is empty in most of them."""
    monkeypatch.setattr(shards, "CHARACTERS", 140)
    rows = [
        {
            "stimulus_id": f"s{number}",
            "item": str(number // 2),
            "condition": "ab"[number % 2],
            "sentence": f"The old {ANIMALS[number % 6]} told the {ANIMALS[number % 5]} a story.",
            "critical_word": ANIMALS[number % 6],
            "note": "x" if number == 20 else None,
        }
        for number in range(24)
    ]
    frame = pd.DataFrame(rows).assign(critical_index=pd.array([2] * 24, "Int64"))
    assert len(shards.cut(frame)) == 8
    return frame


@pytest.fixture(scope="session")
def cluster():
    with two_workers() as cluster:
        yield cluster
