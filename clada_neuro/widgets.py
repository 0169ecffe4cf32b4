"""Views for notebooks: controls that redraw a picture in place, and one sentence word by word.

A picture is always shown once for the controls' starting values, so that a notebook says as much on paper, on a
machine without widgets, or run by a script.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Canvas

from clada_neuro.errors import CladaNeuroError, DataError
from clada_neuro.instrument.activity import active_set
from clada_neuro.instrument.lens_of_text import lens_of_text
from clada_neuro.instrument.trace import Trace
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import ffn_layers
from clada_neuro.models.watching import watching
from clada_neuro.reporting.figures import COLORS, Figure, compose, wrapped
from clada_neuro.reporting.labels import axis
from clada_neuro.runtime.scoring import Score

WORD_MEASURES = ("surprisal_bits", "entropy_bits", "sparsity_energy99")
_HEIGHT = 1.4  # inches a measure
_INACTIVE, _STAYED, _NEW = "#ffffff", "#8a939e", COLORS[0]


@dataclass(frozen=True)
class Text:
    """A line of text to type; read when Enter is pressed."""

    value: str


@dataclass(frozen=True)
class Choice:
    """One of several options."""

    value: str
    options: Sequence[str]


@dataclass(frozen=True)
class Slider:
    """A number from `low` to `high`."""

    value: float
    low: float
    high: float
    step: float = 1


def explore(draw: Callable[..., Any], **controls: Text | Choice | Slider) -> None:
    """Show ``draw(name=value, …)`` below its controls, and show it again in place when one of them changes.

    Parameters
    ----------
    draw
        Returns a `Figure`, or anything that a notebook can show. A `CladaNeuroError` is shown as its line.
    controls
        Without ipywidgets the picture for their starting values stands alone.
    """
    widgets = _widgets(controls)
    handle = display(
        _shown(draw, {name: control.value for name, control in controls.items()}), display_id=True
    )

    def redraw(_: Any) -> None:
        handle.update(_shown(draw, {name: widget.value for name, widget in widgets.items()}))

    for widget in widgets.values():
        widget.observe(redraw, "value")


def _widgets(controls: dict[str, Text | Choice | Slider]) -> dict[str, Any]:
    """Show a widget for each control; none where ipywidgets is not installed."""
    try:
        import ipywidgets
    except ImportError:
        return {}
    made = {name: _widget(ipywidgets, name, control) for name, control in controls.items()}
    display(ipywidgets.VBox(list(made.values())))
    return made


def _widget(ipywidgets: Any, name: str, control: Text | Choice | Slider) -> Any:
    looks: dict[str, Any] = {
        "description": name.replace("_", " "),
        "style": {"description_width": "8em"},
        "layout": {"width": "95%" if isinstance(control, Text) else "32em"},
    }
    if isinstance(control, Choice):
        return ipywidgets.Dropdown(value=control.value, options=list(control.options), **looks)
    looks["continuous_update"] = False
    if isinstance(control, Text):
        return ipywidgets.Text(value=control.value, **looks)
    kind = ipywidgets.IntSlider if isinstance(control.step, int) else ipywidgets.FloatSlider
    return kind(value=control.value, min=control.low, max=control.high, step=control.step, **looks)


def _shown(draw: Callable[..., Any], values: dict[str, Any]) -> Any:
    try:
        return show(draw(**values))
    except CladaNeuroError as error:
        return HTML(f"<p><b>{escape(str(error))}</b></p>")


def show(*parts: Any) -> HTML:
    """Return figures, fits, tables and text as one piece of HTML, one below the other."""
    return HTML("\n".join(_html(part) for part in parts))


def _html(part: Any) -> str:
    if isinstance(part, HTML):
        return str(part.data)
    if hasattr(part, "_repr_html_"):
        return str(part._repr_html_())
    return f"<p>{escape(part)}</p>" if isinstance(part, str) else f"<pre>{escape(str(part))}</pre>"


def lens_map(model: LanguageModel, sentence: str, every: int = 3) -> Figure:
    """Draw what inner layers would say next: a cell a token and layer, coloured by the surprisal of what came.

    Parameters
    ----------
    every : int
        Show the last layer and every so-manieth below it.
    """
    found = lens_of_text(model, sentence)
    last = int(found["layer"].max())
    found = found[(last - found["layer"]) % every == 0]
    bits = found.pivot_table("lens_surprisal_bits", "layer", "token_index")
    top = found.pivot_table("top_token", "layer", "token_index", aggfunc="first")
    tokens = found.drop_duplicates("token_index")["token"].tolist()
    most = max(20.0, float(bits.loc[last].max()))
    right = (top.to_numpy() == np.array(tokens)[None, :]).sum(axis=1)

    def paint(canvas: Canvas) -> None:
        axes = canvas.add_subplot()
        image = axes.pcolormesh(bits.clip(upper=most), cmap="viridis", vmin=0, vmax=most)
        for row, layer in enumerate(bits.index):
            for column, token in enumerate(bits.columns):
                dark = bits.loc[layer, token] < 0.6 * most
                shown = str(top.loc[layer, token])[:9].replace("$", r"\$")
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    shown,
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="w" if dark else "k",
                )
        axes.set_xticks(np.arange(len(tokens)) + 0.5, tokens, rotation=45, ha="right")
        axes.set_yticks(np.arange(len(bits)) + 0.5, bits.index)
        axes.set(xlabel="token that came", ylabel="layer")
        axes.grid(False)
        canvas.colorbar(image, ax=axes, label="surprisal of it (bits)", pad=0.01, aspect=25, extend="max")

    caption = (
        f"In each cell the most probable next token by the layer. The last layer ({last}) has {right[-1]} of {len(tokens)} tokens "
        f"right, layer {bits.index[len(bits) // 2]} has {right[len(bits) // 2]}."
    )
    return compose(
        "lens", caption, caption, paint, (max(5.0, 1.8 + 0.72 * len(tokens)), 1.4 + 0.3 * len(bits))
    )


def word_by_word(
    traced: Trace,
    stimulus_id: str | None = None,
    measures: Sequence[str] = WORD_MEASURES,
    *,
    layers: bool = True,
) -> Figure:
    """Draw a text of a trace: measures of its words, and how many neurons each layer used.

    Parameters
    ----------
    stimulus_id : str, optional
        Which text; the first one by default.
    measures : sequence of str
        Columns of `Trace.words`, a panel each.
    layers : bool
        Also draw the share of neurons that are active by layer, where the trace holds activity.

    Raises
    ------
    DataError
        The trace holds no such text or measure, or nothing is left to draw.
    """
    words = _of_text(traced, stimulus_id)
    missing = [name for name in measures if name not in words]
    if missing:
        raise DataError(f"this trace has no measure '{missing[0]}'; {', '.join(WORD_MEASURES)} are usual")
    layers = layers and not traced.manifest.get("activity")
    if not (measures or layers):
        raise DataError("nothing to draw; choose a measure")
    active = _active_by_layer(traced, words) if layers else None
    heights = [_HEIGHT] * len(measures) + [2 * _HEIGHT] * layers
    places = range(len(words))

    def paint(canvas: Canvas) -> None:
        panels = canvas.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        for number, (axes, name) in enumerate(zip(panels, measures, strict=False)):
            _draw_measure(axes, words[name], COLORS[number % len(COLORS)])
            axes.set_ylabel("\n".join(wrapped([axis(name)], 14)))
        if active is not None:
            image = panels[-1].pcolormesh(places, active.index, active, cmap="viridis", shading="nearest")
            panels[-1].set(ylabel="layer")
            panels[-1].yaxis.get_major_locator().set_params(integer=True)
            panels[-1].grid(False)
            canvas.colorbar(image, ax=panels[-1], label="neurons active (%)", pad=0.01, aspect=12)
        panels[-1].set_xticks(places, words["word"].str.replace("$", r"\$"), rotation=45, ha="right")

    caption = f"{len(words)} words" + _extreme(words)
    size = (max(5.0, 1.6 + 0.5 * len(words)), 1.0 + sum(heights))
    return compose("word_by_word", caption, caption, paint, size)


def _of_text(traced: Trace, stimulus_id: str | None) -> pd.DataFrame:
    words = traced.words
    wanted = words["stimulus_id"].iloc[0] if stimulus_id is None else stimulus_id
    found = words[words["stimulus_id"] == wanted]
    if found.empty:
        raise DataError(
            f"this trace has no text '{wanted}'; its first one is '{words['stimulus_id'].iloc[0]}'"
        )
    return found


def _active_by_layer(traced: Trace, words: pd.DataFrame) -> pd.DataFrame:
    """Return the share of active neurons in per cent, a row a layer and a column a word."""
    keys = ["stimulus_id", "word_index"]
    tokens = traced.tokens.merge(words[keys], on=keys)
    found = traced.layers.merge(tokens[["stimulus_id", "token_index", "word_index"]])
    return 100 * (1 - found.pivot_table("sparsity_energy99", "layer", "word_index"))


def _draw_measure(axes: Axes, values: pd.Series, color: str) -> None:
    """Draw bits as bars, which start at zero, and what lies on a scale of its own as a line."""
    if str(values.name).endswith("_bits"):
        axes.bar(range(len(values)), values, color=color, width=0.7)
    else:
        axes.plot(range(len(values)), values, "o-", color=color)
        axes.margins(y=0.2)


def _extreme(words: pd.DataFrame) -> str:
    surprisal = words["surprisal_bits"]
    if surprisal.isna().all():
        return "."
    return f"; the most surprising one is “{words.loc[surprisal.idxmax(), 'word']}”."


@torch.inference_mode()
def active_neurons(model: LanguageModel, sentence: str) -> tuple[list[str], np.ndarray]:
    """Return a sentence's tokens and which neurons hold 99 % of each layer's output energy.

    Returns
    -------
    tokens : list of str
    active : numpy.ndarray of bool, shape (tokens, layers, intermediate)
        The sets whose sizes `sparsity_energy99` counts.
    """
    start = [] if model.start_token_id is None else [model.start_token_id]
    ids = model.tokenizer(sentence, add_special_tokens=False).input_ids
    layers = ffn_layers(model.model)
    seen: list[torch.Tensor] = []
    with watching(layers, a=lambda _, a: seen.append(a)):
        model.model(torch.tensor([start + ids], device=model.device))
    sets = [
        active_set(a.reshape(len(start + ids), -1).abs().float() * ffn.neuron_norms)[1]
        for a, ffn in zip(seen, layers, strict=True)
    ]
    tokens = [str(model.tokenizer.decode([number])) for number in ids]
    return tokens, torch.stack(sets, dim=1)[len(start) :].cpu().numpy()


def neurons_of_layer(tokens: list[str], active: np.ndarray, layer: int) -> Figure:
    """Draw which neurons of a layer are active at each token, the most used ones on the left.

    Parameters
    ----------
    tokens, active
        From `active_neurons`.
    """
    used = active[:, layer]
    used = used[:, np.argsort(-used.sum(axis=0), kind="stable")]
    before = np.vstack([np.zeros_like(used[:1]), used[:-1]])
    state = np.where(used, np.where(before, 1, 2), 0)
    labels = _counts(used)

    def paint(canvas: Canvas) -> None:
        axes = canvas.add_subplot()
        colors = ListedColormap([_INACTIVE, _STAYED, _NEW])
        axes.imshow(state, aspect="auto", cmap=colors, vmin=0, vmax=2, interpolation="nearest")
        axes.grid(False)
        axes.set_yticks(range(len(tokens)), tokens)
        axes.set(xlabel=f"neurons of layer {layer}, most used first")
        counts = axes.twinx()
        counts.grid(False)
        counts.set(ylim=axes.get_ylim(), yticks=range(len(tokens)), yticklabels=labels)

    caption = (
        f"Layer {layer}: neurons active at a token, gray when active at the token before too, blue when new."
    )
    return compose(f"neurons_{layer}", caption, caption, paint, (10.0, 0.9 + 0.26 * len(tokens)))


def _counts(used: np.ndarray) -> list[str]:
    """Say of each row of ``used (tokens, neurons)`` how many neurons are active, and how many of them stayed."""
    stayed = (used[1:] & used[:-1]).sum(axis=1)
    later = [
        f"{now} active, {old} of them before" for now, old in zip(used[1:].sum(axis=1), stayed, strict=True)
    ]
    return [f"{used[0].sum()} active", *later]


def budget(tokens: Sequence[str], dense: Score, sparse: Score) -> Figure:
    """Draw what a policy read at each token of a text, the load that decided it, and what it did to surprisal.

    Parameters
    ----------
    tokens
        Of the text, start token included.
    dense, sparse
        `clada_neuro.runtime.scoring.score` of the same tokens without and with the policy.
    """
    read = 100 * (1 - sparse.ffn_sparsity.mean(dim=-1).numpy())
    load = sparse.load.numpy()
    after = np.arange(len(tokens)) >= sparse.prefix
    places = np.arange(len(tokens))

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots(3, 1, sharex=True, height_ratios=(2, 1.3, 2))
        axes[0].bar(places - 0.2, dense.surprisal_bits, 0.4, color=_STAYED, label="dense")
        axes[0].bar(places + 0.2, sparse.surprisal_bits, 0.4, color=COLORS[0], label="under the policy")
        axes[0].set_ylabel("surprisal\n(bits)")
        axes[0].legend(ncols=2)
        axes[1].axhline(0, color="#6b7280", linewidth=1)
        axes[1].plot(places, load, "o-", color=COLORS[3])
        axes[1].set_ylabel("load\n(z)")
        axes[2].bar(places, read, color=[COLORS[0] if policy else _STAYED for policy in after])
        axes[2].set(ylim=(0, 104), ylabel="FFN weights\nread (%)")
        axes[2].set_xticks(places, tokens, rotation=45, ha="right")

    rise = float((sparse.surprisal_bits - dense.surprisal_bits)[sparse.prefix + 1 :].mean())
    caption = (
        f"After {sparse.prefix} dense tokens {100 - read[after].mean():.1f} % of the feed-forward weights were not read; "
        f"surprisal changed by {rise:+.2f} bits a token. Gray budgets are dense."
    )
    return compose("budget", caption, caption, paint, (max(6.0, 1.6 + 0.42 * len(tokens)), 5.6))


def side_by_side(prompt: str, continuations: Mapping[str, str]) -> HTML:
    """Show continuations of a prompt below each other, marked from where they leave the first one."""
    first = next(iter(continuations.values()))
    rows = []
    for name, text in continuations.items():
        shared = _shared(first, text)
        rest = f'<b style="color:{_NEW}">{escape(text[shared:])}</b>'
        line = f"{escape(prompt)}<u>{escape(text[:shared])}</u>{rest}"
        rows.append(
            f'<tr><th>{escape(name)}</th><td style="text-align:left; white-space:pre-wrap">{line}</td></tr>'
        )
    return HTML(f"<table>{''.join(rows)}</table>")


def _shared(first: str, second: str) -> int:
    """Return the length of the common beginning, to the last whole word."""
    if first == second:
        return len(first)
    same = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    return first[:same].rfind(" ") + 1
