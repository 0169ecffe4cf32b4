"""Simulated studies of several kinds and a table of rates, for the scripts that validate by simulation."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from clada_neuro.artifacts import output_folder


def judge(
    about: str | None,
    place: Path,
    table: str,
    kinds: Iterable[str],
    outcomes: Callable[[str, int, int], dict[str, float]],
    summarize: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    """Run ``--runs`` studies a kind, write and print their rates, and end with an error where one is not ok."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=place)
    options = parser.parse_args()
    rows = [
        {"kind": kind, **outcomes(kind, number, options.seed)}
        for kind in kinds
        for number in range(options.runs)
    ]
    found = summarize(pd.DataFrame(rows))
    found.to_csv(output_folder(options.out) / table, index=False, float_format="%.6g")
    print(found.to_string(index=False, float_format="{:.4f}".format))
    if not found["ok"].all():
        raise SystemExit("a rate is not what it should be; see the rows with ok = False")
