"""Does the model show the effects the field knows? Surprisal and activity at the critical word, by condition.

    python analyses/04_known_effects.py [--set NAME]… [--limit ITEMS] [--out out/known_effects]

Every published stimulus set with conditions, and our own two. Means by condition and the contrasts registered in
_shared/contrasts.toml (differences within items), with 95 % intervals from 2,000 resamples of the items. Writes
results/known_effects/: tables, a page and two figures; a run on part of the sets or items leaves these alone and writes to
the traces' folder. Interrupted, the same command goes on where it stopped.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from _shared.contrasts import Contrast, differences, registered, stimuli
from _shared.results import results_folder
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator
from PIL import Image

from clada_neuro import load_model, trace
from clada_neuro.artifacts import output_folder, write_atomic, write_text
from clada_neuro.reporting.figures import COLORS, compose
from clada_neuro.stats.resample import percentile_interval

MEASURES = {
    "surprisal_bits": "surprisal (bits)",
    "adjustment_prev": "adjustment (1 − cosine)",
    "entropy_bits": "entropy before (bits)",
    "sparsity_energy99": "sparsity (share)",
    "zipf_frequency": "Zipf frequency",
    "n_tokens": "tokens",
}
DRAWN = ["surprisal_bits", "adjustment_prev"]
RESAMPLES = 2_000
VERDICTS = ("larger", "not shown", "smaller", "no items")


def item_interval(values: Iterable[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean over items, from resamples of the items."""
    known = np.asarray(list(values), dtype=float)
    if not len(known):
        return np.nan, np.nan
    rows = np.random.default_rng(seed).integers(len(known), size=(RESAMPLES, len(known)))
    low, _, high = percentile_interval(known[rows].mean(axis=1))
    return low, high


def summarize(name: str, words: pd.DataFrame, contrasts: list[Contrast]) -> Iterator[dict[str, object]]:
    """Give one row a condition or contrast and measure."""
    for measure in MEASURES:
        for condition, values in words.groupby("condition", sort=False)[measure]:
            yield _row(name, "condition", str(condition), "", measure, values)
        for contrast in contrasts:
            values = differences(words, contrast, measure)
            yield _row(name, "contrast", contrast.name, contrast.human, measure, values)


def _row(name: str, kind: str, what: str, human: str, measure: str, values: pd.Series) -> dict[str, object]:
    known = values.dropna()
    low, high = item_interval(known)
    return {
        "set": name,
        "kind": kind,
        "name": what,
        "human": human,
        "measure": measure,
        "n_items": len(known),
        "n_incomplete": len(values) - len(known),
        "mean": known.mean(),
        "ci_low": low,
        "ci_high": high,
    }


def verdict(row: pd.Series) -> str:
    """Say where the interval of a difference lies."""
    if not row["n_items"]:
        return "no items"
    if row["ci_low"] > 0:
        return "larger"
    return "smaller" if row["ci_high"] < 0 else "not shown"


def page(found: pd.DataFrame, contrasts: list[Contrast], model: dict[str, object]) -> str:
    """Write what was found, without a sentence of the stimuli."""
    rows = found.loc[found["kind"] == "contrast"].set_index(["set", "name"])
    rows["verdict"] = rows.apply(verdict, axis=1)
    by_measure = dict(list(rows.groupby("measure")))
    surprisal, adjustment = by_measure["surprisal_bits"], by_measure["adjustment_prev"]
    larger = surprisal.index[surprisal["verdict"] == "larger"]
    n400_absent = [(one.set, one.name) for one in contrasts if one.without == "N400"]
    same = by_measure["entropy_bits"][["ci_low", "ci_high"]].abs().max(axis=1) < 1e-3
    return f"""# Effects the field knows, at the critical word

Model {model["model"]}, {model["dtype"]}, start token `{model["start_token"]}`, every neuron computed. Written by
`analyses/04_known_effects.py` from the contrasts registered in `analyses/_shared/contrasts.toml`.

Each row is a difference within items, first condition minus second, with a 95 % interval from {RESAMPLES:,} resamples
of the items. People's response is larger in the first condition, so larger surprisal is the published direction.
*Larger* and *smaller*: the whole interval lies above or below 0; *not shown*: it holds 0, which is no evidence of
absence. Intervals are not adjusted for their number. Only directions are compared with people, not sizes.

**Surprisal**

{_counts(surprisal)}

Not larger: {_names(surprisal.index[surprisal["verdict"] != "larger"])}

Larger although people's N400 is not: {_names(larger.intersection(n400_absent))}

**Adjustment** (1 − cosine of the activity with that of the token before)

Where the words before are the same in both conditions (entropy before the word does not differ in any item):

{_counts(adjustment.loc[same])}

Where they differ, and with them the token that the word is compared with:

{_counts(adjustment.loc[~same])}

Larger: {_names(adjustment.index[adjustment["verdict"] == "larger"])}

![Contrasts](known_effects.png)

{_table(by_measure)}

{_notes(contrasts, surprisal)}

Items with some but not all conditions of a contrast are left out: {_incomplete(surprisal)}

Entropy is that of the prediction before the word, equal by construction where the words before it are. Adjustment
compares the word with the token before, so it also moves when that token differs, and words of several tokens compare
their pieces; differences of Zipf frequency and of the number of tokens therefore stand beside. The intervals of the
means by condition below hold the spread over items, which a difference within items does not.

![Conditions](known_effects_conditions.png)
"""


def _counts(rows: pd.DataFrame) -> str:
    counts = pd.crosstab(rows["human"], rows["verdict"]).reindex(rows["human"].unique())
    lines = []
    for human, row in counts.iterrows():
        found = ", ".join(f"{row[name]} {name}" for name in VERDICTS if row.get(name))
        lines.append(f"- {human}: {found}")
    return "\n".join(lines)


def _names(index: Iterable[tuple[str, str]]) -> str:
    return ("; ".join(f"{name}, {what}" for name, what in index) or "none") + "."


def _incomplete(rows: pd.DataFrame) -> str:
    lost = rows.loc[rows["n_incomplete"] > 0, "n_incomplete"]
    return ("; ".join(f"{name}, {what}: {count}" for (name, what), count in lost.items()) or "none") + "."


def _notes(contrasts: list[Contrast], rows: pd.DataFrame) -> str:
    noted = [one for one in contrasts if one.note and (one.set, one.name) in rows.index]
    return "\n".join(f"- {one.set}, {one.name}: {one.note}" for one in noted)


def _table(by_measure: dict[str, pd.DataFrame]) -> str:
    first = by_measure["surprisal_bits"]
    cells = {
        "set": [name for name, _ in first.index],
        "contrast": [what for _, what in first.index],
        "larger in people": first["human"],
        "items": first["n_items"].astype(str),
    }
    for measure, label in MEASURES.items():
        cells[label] = by_measure[measure].apply(_cell, axis=1)
        if measure in DRAWN:
            cells[f"{label.split()[0]} is"] = by_measure[measure]["verdict"]
    lines = [
        " | ".join(cells),
        " | ".join(["---"] * len(cells)),
        *map(" | ".join, zip(*cells.values(), strict=True)),
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(row: pd.Series) -> str:
    digits = 4 if row["measure"] in ("adjustment_prev", "sparsity_energy99") else 2
    # Adding 0 turns a rounded −0 into 0.
    rounded = (round(row[name], digits) + 0.0 for name in ("mean", "ci_low", "ci_high"))
    mean, low, high = (f"{value:.{digits}f}".replace("-", "−") for value in rounded)
    return f"{mean} [{low}, {high}]"


def draw_contrasts(found: pd.DataFrame, path: Path) -> None:
    """Draw every contrast's difference of surprisal and of adjustment, one line a contrast."""
    rows = found.loc[found["kind"] == "contrast"]
    kinds = list(dict.fromkeys(rows["human"]))
    size = (9.5, 1.1 + 0.19 * rows.groupby("measure").size().max())

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 2, sharey=True)
        for axis, measure in zip(axes, DRAWN, strict=True):
            part = rows.loc[rows["measure"] == measure].reset_index(drop=True)
            for color, kind in zip(COLORS, kinds, strict=False):
                _points(axis, part.loc[part["human"] == kind], color, label=kind)
            axis.axvline(0, color="black", linewidth=0.8)
            axis.set_xlabel(f"difference of {MEASURES[measure]}")
        axes[0].set_yticks(range(len(part)), (part["set"] + ": " + part["name"]).tolist())
        axes[0].set_ylim(len(part) - 0.4, -0.6)
        marks = axes[0].get_legend_handles_labels()
        label = {"title": "larger in people", "fontsize": 7, "title_fontsize": 7}
        canvas.legend(*marks, loc="outside lower center", ncols=len(kinds), **label)

    _save("known_effects", paint, size, path)


def draw_conditions(found: pd.DataFrame, path: Path) -> None:
    """Draw the means by condition: two panels a set, surprisal and adjustment."""
    rows = found.loc[found["kind"] == "condition"]
    names = list(dict.fromkeys(rows["set"]))
    heights = [rows.loc[rows["set"] == name, "name"].nunique() for name in names]
    half = (len(names) + 1) // 2
    tallest = [max(heights[line::half]) + 1.6 for line in range(half)]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(half, 4, height_ratios=tallest, squeeze=False)
        for number, name in enumerate(names):
            for offset, (measure, color) in enumerate(zip(DRAWN, COLORS, strict=False)):
                axis = axes[number % half, 2 * (number // half) + offset]
                part = rows.loc[(rows["set"] == name) & (rows["measure"] == measure)].reset_index(drop=True)
                _points(axis, part, color)
                axis.set_yticks(range(len(part)), part["name"].tolist() if offset == 0 else [])
                axis.set_ylim(len(part) - 0.5, -0.5)
                axis.set_title(name if offset == 0 else "", fontsize=7, loc="left", fontweight="bold")
        for axis, measure in zip(axes[-1], DRAWN * 2, strict=True):
            axis.set_xlabel(MEASURES[measure])
        for axis in axes.flat[2 * len(names) :] if len(names) % 2 else []:
            axis.axis("off")

    _save("known_effects_conditions", paint, (9.5, 0.21 * sum(tallest)), path)


def _points(axis: Axes, part: pd.DataFrame, color: str, label: str | None = None) -> None:
    reach = [part["mean"] - part["ci_low"], part["ci_high"] - part["mean"]]
    axis.errorbar(part["mean"], part.index, xerr=reach, fmt="o", ms=3, lw=1, color=color, label=label)
    axis.tick_params(labelsize=6.5)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.label.set_fontsize(7)


def _save(name: str, paint: Callable[[Canvas], None], size: tuple[float, float], path: Path) -> None:
    drawn = Image.open(BytesIO(compose(name, "", "", paint, size).png)).convert("RGB")
    # A palette makes the file a third of its size; this method keeps rare colors apart.
    palette = drawn.quantize(128, method=Image.Quantize.MAXCOVERAGE)
    write_atomic(path, lambda part: palette.save(part, "PNG", optimize=True))


def main() -> None:
    contrasts = registered()
    names = list(dict.fromkeys(contrast.set for contrast in contrasts))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", dest="sets", action="append", choices=names, help="may be repeated")
    parser.add_argument("--limit", type=int, help="only the first items of each set")
    parser.add_argument(
        "--out", type=Path, default=Path("out") / "known_effects", help="folder of the traces"
    )
    options = parser.parse_args()
    model = load_model("smollm2")
    rows: list[dict[str, object]] = []
    for name in options.sets or names:
        words = trace(stimuli(name, options.limit), model, out=options.out / name).words
        chosen = [contrast for contrast in contrasts if contrast.set == name]
        rows += summarize(name, words.loc[words["is_critical"]], chosen)
        print(name, flush=True)
    found = pd.DataFrame(rows)
    part = options.sets or options.limit
    folder = output_folder(options.out if part else results_folder(__file__))
    found.round(6).to_csv(folder / "known_effects.csv", index=False)
    write_text(folder / "known_effects.md", page(found, contrasts, model.describe()))
    draw_contrasts(found, folder / "known_effects.png")
    draw_conditions(found, folder / "known_effects_conditions.png")


if __name__ == "__main__":
    main()
