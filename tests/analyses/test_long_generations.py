"""`analyses/32_long_generations.py`: tables and page, on figures by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from analysis_scripts import load

script = load("32_long_generations")
from _shared.long_page import figure, page  # noqa: E402
from _shared.long_tables import of_greedy, of_items, of_sampled, repetition  # noqa: E402


def answers() -> list[dict]:
    """Ten sums and ten hand-overs: dense is right on 8 and 6; CLADA loses two of the sums and wins one hand-over."""
    right = {
        ("sum", "dense"): [1] * 8 + [0] * 2,
        ("sum", "clada 0.4"): [1] * 6 + [0] * 4,
        ("hands", "dense"): [1] * 6 + [0] * 4,
        ("hands", "clada 0.4"): [1] * 7 + [0] * 3,
    }
    return [
        {"item": f"{kind} {place}", "kind": kind, "policy": policy, "right": bool(one), "text": f" {one}", "tokens": 11,
         "ffn_sparsity": 0.0 if policy == "dense" else 0.4}
        for (kind, policy), values in right.items()
        for place, one in enumerate(values)
    ]  # fmt: skip


def departures() -> list[dict]:
    places = {"clada 0.4": [3, 5, 7, None], "dense bfloat16": [40, None, None, None]}
    return [
        {"prompt": prompt, "policy": policy, "departs": place}
        for policy, own in places.items()
        for prompt, place in enumerate(own)
    ]


def continuations() -> list[dict]:
    """CLADA's text is 0.2 nats more surprising, and its distance doubles from the first quarter to the last."""
    rows = []
    for prompt in range(3):
        for policy, nats, quarters in (("dense", 2.0, [0.0] * 4), ("clada 0.4", 2.2, [0.1, 0.1, 0.1, 0.2])):
            rows.append(
                {
                    "prompt": prompt,
                    "policy": policy,
                    "tokens": list(range(512)) if policy == "dense" else [1, 2, 3, 4] * 128,
                    "nats": [nats + prompt / 10] * 512,
                    "divergence": np.repeat(quarters, 128).tolist(),
                    "ffn_sparsity": [0.0 if policy == "dense" else 0.4] * 511,
                }
            )
    return rows


def test_answers_are_compared_item_by_item():
    table = of_items(answers()).set_index(["items", "policy"])
    whole = table.loc[("all", "clada 0.4")]
    assert (whole["n"], whole["right"]) == (20, pytest.approx(0.65))
    assert whole["minus_dense"] == pytest.approx(-1 / 20)
    # Two items lost, one won, and half an item in each cell: 2.5 and 1.5 of 22.
    error = math.sqrt(4 - 1 / 22) / 22
    assert whole["minus_dense_visible"] == pytest.approx(2.8 * error)
    assert whole["minus_dense_low"] == pytest.approx(-1 / 22 - 1.96 * error, abs=1e-4)
    assert whole["minus_dense_high"] == pytest.approx(-1 / 22 + 1.96 * error, abs=1e-4)
    assert whole["same_text"] == pytest.approx(17 / 20)
    assert table.loc[("arithmetic", "clada 0.4"), "minus_dense"] == pytest.approx(-0.2)
    assert table.loc[("tracking", "clada 0.4"), "minus_dense"] == pytest.approx(0.1)
    assert pd.isna(table.loc[("all", "dense"), "minus_dense"])
    assert ("product", "dense") not in table.index
    part = of_items([row for row in answers() if row["item"] != "sum 9" or row["policy"] == "dense"])
    never = of_items([row for row in answers() if row["policy"] == "dense"] + [{**row, "policy": "same"} for row in answers() if row["policy"] == "dense"])  # fmt: skip
    same = never.set_index(["items", "policy"]).loc[("all", "same")]
    assert same["minus_dense"] == 0
    assert same["minus_dense_high"] == pytest.approx(
        1.96 / 22, abs=1e-4
    )  # where nothing differs, something still could
    assert set(part.loc[part["items"] == "all", "n"]) == {19}


def test_one_that_never_departs_is_no_missing_value():
    table = of_greedy(departures()).set_index("policy")
    assert list(table.index) == ["dense bfloat16", "clada 0.4"]
    assert table.loc["clada 0.4", "median"] == 6
    assert table.loc["clada 0.4", ["median_low", "median_high"]].tolist() == [3, math.inf]
    assert table.loc["clada 0.4", ["together_4", "together_8", "together_64"]].tolist() == [0.75, 0.25, 0.25]
    assert math.isinf(table.loc["dense bfloat16", "median"])


def test_runs_of_four_tokens_that_stood_before():
    assert repetition(list(range(100))) == 0
    assert repetition([1, 2, 3, 4] * 2) == pytest.approx(1 / 5)
    assert repetition([7] * 10) == pytest.approx(6 / 7)
    assert repetition([1, 2]) == 0


def test_growth_is_the_last_quarter_minus_the_first():
    table = of_sampled(continuations()).set_index(["part", "policy"])
    whole = table.loc[("whole", "clada 0.4")]
    assert whole["growth"] == pytest.approx(0.1)
    assert whole["nats_minus_dense"] == pytest.approx(0.2)
    assert whole["nats_minus_dense_visible"] == pytest.approx(0, abs=1e-9)
    assert whole["perplexity"] == pytest.approx(math.exp(2.3))
    assert whole["repetition_minus_dense"] == pytest.approx(505 / 509)
    assert table.loc[("385-512", "clada 0.4"), "divergence"] == pytest.approx(0.2)
    assert table.loc[("1-128", "dense"), "perplexity"] == pytest.approx(math.exp(2.1))
    assert set(table.index.get_level_values(0)) == {"whole", "1-128", "129-256", "257-384", "385-512"}


def test_the_page_shows_the_parts_that_are_there():
    tables = {
        "items": of_items(answers()),
        "greedy": of_greedy(departures()),
        "sampled": of_sampled(continuations()),
    }
    text = page(tables)
    assert "### all: 20 items" in text
    assert "| clada 0.4 | 0.400 | 65.0 | -5.0 [-22.3, +13.2] | 25.3 | 85 | 11.0 |" in text
    assert "| clada 0.4 | 4 | 6 [3, inf] | 100 | 75 | 25 | 25 | 25 | 25 |" in text
    assert "Divergence by place" in text
    alone = page({"items": tables["items"]})
    assert "Where greedy" not in alone
    assert figure(tables).png[:4] == b"\x89PNG"
    assert figure({"greedy": tables["greedy"]}).png != figure(tables).png


def test_cells_are_named_and_leave_out_the_same_bytes():
    assert [str(cell) for cell in script.CELLS][:4] == [
        "dense",
        "clada 0.4",
        "teal 0.4",
        "clada 0.4 refresh 16",
    ]
    refreshed = next(cell for cell in script.CELLS if cell.refresh)
    assert script.between(refreshed.sparsity, refreshed.refresh) * 15 / 16 == pytest.approx(0.4)
