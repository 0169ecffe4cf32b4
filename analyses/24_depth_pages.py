"""Which layer speaks to a response: a page for each data set from a run that `clada-neuro depth` has analysed.

    clada-neuro run nieuwland2018 --layers all --out DIR
    clada-neuro depth DIR
    python analyses/24_depth_pages.py nieuwland2018=DIR [NAME=DIR ...]

Writes results/depth_pages/: for every NAME a page (NAME.md), its figure (NAME.png) and its tables (NAME_profile.csv, NAME_choice.csv).
Nothing is fitted here.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from _shared.results import results_folder
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clada_neuro.errors import DataError
from clada_neuro.exports import write_csv

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's: told apart by colour-blind readers
NATS = 1e3  # held-out gains are shown in thousandths of a nat


def read(folder: Path) -> dict[str, Any]:
    """Return the one analysed model of a run."""
    path = folder / "depth.json"
    if not path.is_file():
        raise DataError(f"'{folder}' has no depth.json; give a folder that `clada-neuro depth` has analysed")
    entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
    if len(entries) != 1:
        raise DataError(f"'{path}' has {len(entries)} models; a page shows a run with one")
    model = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["model"]
    return {**entries[0], "language_model": model["checkpoint"]}


def figure(entry: Mapping[str, Any]) -> Figure:
    """Return profiles over layers: above b with simultaneous intervals, below held-out gains with standard errors."""
    profile = pd.DataFrame(entry["profile"])
    groups = list(profile.groupby("measure", sort=False))
    made = Figure(figsize=(3 * len(groups), 6), layout="constrained")
    axes = made.subplots(2, len(groups), sharex=True, sharey="row", squeeze=False)
    for column, (name, rows) in enumerate(groups):
        colour = COLOURS[column % len(COLOURS)]
        above, below = axes[:, column]
        above.fill_between(rows["layer"], rows["ci_low"], rows["ci_high"], color=colour, alpha=0.2, lw=0)
        above.plot(rows["layer"], rows["estimate"], color=colour, lw=2)
        _gain(below, rows, "heldout_baseline", colour, "-", "over none")
        _gain(below, rows, "heldout_final", "#444444", "--", f"over {entry['replaces']}")
        above.set_title(name, fontsize=12)
        below.set_xlabel("layer", fontsize=12)
        for one in (above, below):
            one.axhline(0, color="black", lw=0.8)
            one.spines[["top", "right"]].set_visible(False)
            one.tick_params(labelsize=11)
    axes[0, 0].set_ylabel(f"{entry['response']}\na standard deviation (b)", fontsize=12)
    axes[1, 0].set_ylabel("held-out gain,\n0.001 nats a trial", fontsize=12)
    axes[1, 0].legend(frameon=False, fontsize=10)
    return made


def _gain(axes: Axes, rows: pd.DataFrame, name: str, colour: str, style: str, label: str) -> None:
    mean, se = NATS * rows[name], NATS * rows[f"{name}_se"]
    axes.fill_between(rows["layer"], mean - se, mean + se, color=colour, alpha=0.15, lw=0)
    axes.plot(rows["layer"], mean, color=colour, ls=style, lw=2, label=label)


def page(name: str, entry: Mapping[str, Any]) -> str:
    """Return the page of a data set, Markdown."""
    profile, choice = pd.DataFrame(entry["profile"]), pd.DataFrame(entry["choice"])
    level = f"{100 * entry['confidence']:g} %"
    passed = profile[profile["p_family"] <= 1 - entry["confidence"]]
    lines = [
        f"# {name}: {entry['response']} by layer",
        "",
        f"Does a layer's measure in place of `{entry['replaces']}` speak to `{entry['response']}`? {entry['n_obs']:,} trials of "
        f"{entry['n_words']} words in {entry['n_items']} items; layers of {entry['language_model']}. The model is `{entry['formula']}`; without the replaced predictor, "
        f"`{entry['baseline']}`. Predictors of the latter are the only controls. Measures, directions, folds and draws were fixed "
        "in [depth.toml](../../../data/analyses/depth.toml) before the first fit.",
        "",
        f"![Profiles over layers]({name}.png)",
        "",
        f"Above: b with simultaneous {level} intervals over {entry['n_family']} models (critical |t| {entry['critical_t']:.2f}, "
        f"{entry['replicates']:,} parametric bootstrap draws under the null, seed {entry['seed']}, {entry['n_failed']} failed). Below: held-out "
        f"log-likelihood by {entry['fold']} in {entry['folds']} folds, bands of one standard error.",
        "",
        f"**Beyond the critical |t|: {len(passed)} of {entry['n_family']}.**",
        "",
        "| measure | layer | b | simultaneous interval | p in the family | expected sign |",
        "|---|---|---|---|---|---|",
        *(_passed(row) for row in passed.to_dict("records")),
        "",
        "The layer chosen anew in every fold from the other folds alone (the layer of the largest |t| is no evidence for itself):",
        "",
        f"| measure | layers chosen | gain over none, 0.001 nats a trial (SE) | over {entry['replaces']} (SE) |",
        "|---|---|---|---|",
        *(_chosen(row) for row in choice.to_dict("records")),
        "",
        f"Tables: [all layers]({name}_profile.csv), [choice]({name}_choice.csv). Written by `analyses/24_depth_pages.py`.",
        "",
        "What this does not show: where a layer is not beyond the critical |t|, that it has no effect (see its interval); and of a "
        "layer that is, that the brain computes what it does.",
    ]
    return "\n".join(lines) + "\n"


def _passed(row: Mapping[Any, Any]) -> str:
    expected = row["expected"] if isinstance(row["expected"], str) else "none registered"
    interval = f"[{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
    return f"| {row['measure']} | {row['layer']} | {row['estimate']:.3f} | {interval} | {row['p_family']:.3f} | {expected} |"


def _chosen(row: Mapping[Any, Any]) -> str:
    gains = (
        f"{round(NATS * row[name], 2) + 0.0:+.2f} ({NATS * row[name + '_se']:.2f})"
        for name in ("heldout_baseline", "heldout_final")
    )
    return f"| {row['measure']} | {row['layers']} | {' | '.join(gains)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=DIR")
    parser.add_argument("--out", type=Path, default=results_folder(__file__))
    options = parser.parse_args()
    for given in options.runs:
        name, _, folder = given.partition("=")
        entry = read(Path(folder))
        for part in ("profile", "choice"):
            write_csv(pd.DataFrame(entry[part]), options.out / f"{name}_{part}.csv")
        figure(entry).savefig(options.out / f"{name}.png", dpi=110)
        (options.out / f"{name}.md").write_text(page(name, entry), encoding="utf-8")


if __name__ == "__main__":
    main()
