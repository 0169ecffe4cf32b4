"""What a policy left uncomputed, on the page: budget, load, reanalysis, cost, and where the masks came from."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_folder import write_folder

from clada_neuro.artifacts import read_json, read_table, write_json, write_table
from clada_neuro.overview.stage import OverviewStage, overview
from clada_neuro.records.overview import OverviewRecord
from clada_neuro.reporting.build import report
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections import policy

PREFIX = 2


@pytest.fixture(scope="module")
def sparse_folder(tmp_path_factory) -> Path:
    """A run under a policy: two dense tokens a text, then 30 % skipped, less at high load."""
    folder = write_folder(tmp_path_factory.mktemp("sparse"))
    tokens = read_table(folder / "tokens.parquet")
    random = np.random.default_rng(1)
    decided = (tokens["token_index"] >= PREFIX).to_numpy()
    load = np.where(decided, random.normal(0, 1, len(tokens)), np.nan)
    event = pd.Series(pd.NA, index=tokens.index, dtype="boolean").mask(decided, load > 1.2)
    tokens = tokens.assign(
        load=load,
        ffn_sparsity=np.where(decided, 0.3 - 0.05 * np.nan_to_num(load), 0.0),
        reanalysis_event=event,
        reanalysis_action=event.mask(decided, False),
        kl_dense_bits=np.where(decided, 0.05 + 0.02 * np.abs(np.nan_to_num(load)), 0.0),
    )
    write_table(tokens, folder / "tokens.parquet")
    words = read_table(folder / "words.parquet").assign(load=0.1, ffn_sparsity=0.3)
    write_table(words, folder / "words.parquet")
    manifest = read_json(folder / "manifest.json")
    manifest |= {
        "policy": {"name": "clada", "hash": "fedcba9876543210", "dense_prefix": PREFIX},
        "sparsity": 0.3,
    }
    manifest |= {"calibration": {"file": "mine.safetensors", "hash": "0011223344556677"}}
    write_json(folder / "manifest.json", manifest)
    OverviewStage().into(folder)
    return folder


def test_the_page_has_a_section_with_the_hash_of_the_calibration(sparse_folder):
    page = report(sparse_folder).read_text(encoding="utf-8")
    assert '<section id="policy"' in page
    assert "0011223344556677" in page
    assert "fedcba9876543210" in page
    for name in (
        "policy_text",
        "policy_budget",
        "policy_load",
        "policy_ffn_sparsity",
        "policy_kl_dense_bits",
    ):
        assert f'id="figure-{name}"' in page
        assert (sparse_folder / "figures" / f"{name}.png").is_file()
    assert "FFN sparsity (share of bytes not read)" in page  # sentences shaded by the budget


def test_the_page_names_the_tables_that_were_added_for_the_policy(sparse_folder, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(sparse_folder, copied)
    manifest = read_json(copied / "manifest.json")
    manifest["policy"]["name"] = "scap"
    manifest["calibration"]["added"] = "8899aabbccddeeff"
    write_json(copied / "manifest.json", manifest)
    assert "hash: 0011223344556677; added tables of scap: 8899aabbccddeeff" in report(copied).read_text(
        "utf-8"
    )


def test_facts_count_tokens_events_and_the_dense_beginnings(sparse_folder):
    results = read_results(sparse_folder)
    tokens = results.tables["tokens"]
    later = tokens[tokens["token_index"] >= PREFIX]
    facts = dict(policy.facts(results))
    assert facts["FFN sparsity asked for"] == ".300"
    assert facts["FFN sparsity realized"] == (
        f"{later['ffn_sparsity'].mean():.3f}, mean of {len(later)} tokens".removeprefix("0")
    )
    assert facts["Dense beginnings"].startswith(f"{len(tokens) - len(later)} tokens")
    assert facts["Reanalysis"].startswith(f"{int((later['load'] > 1.2).sum())} events")
    assert "0 actions" in facts["Reanalysis"]
    assert facts["Change of predictions"].startswith(f"{later['kl_dense_bits'].mean():.3f} bits a token")


def test_the_one_text_shown_has_an_event(sparse_folder):
    results = read_results(sparse_folder)
    first = policy.figures(results)[0]
    tokens = results.tables["tokens"]
    shown = tokens[[f"({name})" in first.caption for name in tokens["stimulus_id"]]]
    assert shown["reanalysis_event"].fillna(False).any()


def test_a_dense_run_has_no_such_section(page_file):
    assert '<section id="policy"' not in page_file.read_text(encoding="utf-8")


def test_a_policy_without_load_shows_its_budget_alone(sparse_folder):
    results = read_results(sparse_folder)
    tokens = results.tables["tokens"].assign(load=np.nan)
    bare = replace(
        results, overview=OverviewRecord.of(OverviewRecord.checked(overview({"tokens": tokens}, [])))
    )
    assert [figure.name for figure in policy.figures(bare)] == ["policy_text", "policy_budget"]
