"""Sentences with words shaded by a measure: darker is more, and the value stands below the word."""

from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import Colormap, to_hex

from clada_neuro.reporting.blocks import Absent, Block, Headed, Paragraph, Sentence, Shading, ShownWord
from clada_neuro.reporting.labels import axis
from clada_neuro.reporting.prose import policy_name
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results

# Sequential maps whose lightness falls steadily, so that the order survives gray print and colour blindness.
_MEASURES = {"surprisal_bits": ("Blues", 1), "sparsity_energy99": ("YlOrBr", 2)}
_UNDER_POLICY = {
    **_MEASURES,
    "load": ("Purples", 1),
    "linear_sparsity": ("Greens", 2),
    "ffn_sparsity": ("Greens", 2),
}
_PER_CONDITION = 2
_MOST_SENTENCES = 12
_MOST_WORDS = 40


def blocks(results: Results) -> Iterator[Block]:
    """Yield a part a measure."""
    shaded = shadings(results)
    if shaded:
        yield Paragraph(
            "The first sentences of each condition. Darker words have higher values, which stand below the words; the "
            "color scale runs from the 2nd to the 98th percentile of all words. Critical words are underlined. NA: not "
            "defined, as the surprisal of a first word without context."
        )
    for shading in shaded:
        yield Headed(shading.label, [shading])
    yield from map(Absent, results.lacking("words"))


def shadings(results: Results) -> list[Shading]:
    """Return the same few sentences shaded by each measure that the word table holds."""
    words = results.tables.get("words", pd.DataFrame())
    if words.empty:
        return []
    chosen = _choose(results, words)
    measures = _MEASURES if policy_name(results.manifest) == "dense" else _UNDER_POLICY
    return [
        _shading(words, chosen, name, colors, digits, ends)
        for name, (colors, digits) in measures.items()
        if name in words and (ends := results.overview.ranges.get(name))
    ]


def _choose(results: Results, words: pd.DataFrame) -> dict[str, str]:
    """Return stimulus ids and labels: the first texts of each condition, or simply the first texts."""
    known = list(dict.fromkeys(words["stimulus_id"]))
    stimuli = results.tables.get("stimuli", pd.DataFrame())
    conditions = len(results.overview.conditions)
    if "condition" not in stimuli or not 1 < conditions <= _MOST_SENTENCES:
        return {name: name for name in known[: _MOST_SENTENCES // 2]}
    stimuli = stimuli[stimuli["stimulus_id"].isin(set(known))]
    per_condition = max(1, min(_PER_CONDITION, _MOST_SENTENCES // conditions))
    first = pd.concat(
        [rows[:per_condition] for _, rows in stimuli.groupby("condition", sort=False)]
    ).sort_index()
    first = first.sort_values("item", kind="stable", key=lambda items: items.map(_first_seen(first["item"])))
    return {row.stimulus_id: f"{row.item} · {row.condition}" for row in first.itertuples()}


def _first_seen(values: pd.Series) -> dict[str, int]:
    return {value: place for place, value in enumerate(dict.fromkeys(values))}


def _shading(
    words: pd.DataFrame,
    chosen: dict[str, str],
    name: str,
    colors: str,
    digits: int,
    ends: tuple[float, float],
) -> Shading:
    low, high = ends
    span = (high - low) or 1.0
    scale = matplotlib.colormaps[colors]
    sentences = []
    for stimulus, label in chosen.items():
        rows = words[words["stimulus_id"] == stimulus].sort_values("word_index")
        shown = [
            _word(
                str(row["word"]),
                row[name],
                (row[name] - low) / span,
                scale,
                digits,
                bool(row.get("is_critical")),
            )
            for row in rows.head(_MOST_WORDS).to_dict("records")
        ]
        sentences.append(Sentence(label, shown, max(0, len(rows) - _MOST_WORDS)))
    stops = ", ".join(to_hex(scale(_position(step))) for step in np.linspace(0, 1, 7))
    return Shading(
        name,
        axis(name),
        sentences,
        f"{low:.{digits}f}",
        f"{high:.{digits}f}",
        f"linear-gradient(to right, {stops})",
    )


def _word(text: str, value: float, height: float, scale: Colormap, digits: int, critical: bool) -> ShownWord:
    if pd.isna(value):
        return ShownWord(text, "NA", "#ffffff", "#000000", critical)
    color = scale(_position(height))
    return ShownWord(text, f"{value:.{digits}f}", to_hex(color), _ink(color), critical)


def _position(height: float) -> float:
    """Map 0–1 onto the part of the colour map that is neither blank nor black."""
    return 0.04 + 0.86 * float(np.clip(height, 0, 1))


def _ink(color: tuple[float, ...]) -> str:
    """Return black or white, whichever contrasts more (WCAG relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"


SECTION = Declared("sentences", "Sentences", 500, blocks)
