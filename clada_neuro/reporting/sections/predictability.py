"""Which function of probability speaks to a response: each form in place of surprisal, on items left out."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import decimals, fixed
from clada_neuro.records.predictability import Form, ModelForms
from clada_neuro.reporting.blocks import Block, Headed, Paragraph, Points, Typed
from clada_neuro.reporting.figures import COLORS, Figure, draw
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.layers import NATS
from clada_neuro.reporting.page_tables import Table, slug
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results

_FORMS = {
    "surprisal_power_3_4": "surprisal^(3/4)",
    "surprisal_power_1_2": "surprisal^(1/2)",
    "minus_root_probability": "−√probability",
    "minus_probability": "−probability",
}


def blocks(results: Results) -> Iterator[Block]:
    """Yield each model's forms."""
    if results.predictability is None:
        return
    found = results.predictability
    for entry in found.entries:
        yield Headed(entry.name, [Paragraph(_methods(entry)), figure(entry), _table(entry)])
    yield Paragraph(("In full: ", Typed("tables/predictability.csv"), "."))
    if notes := [*found.notes, *(note for entry in found.entries for note in entry.notes)]:
        yield Points(notes)


def _methods(entry: ModelForms) -> str:
    return (
        f"Each form stood in place of surprisal in {entry.formula}, on the same {entry.n_obs:,} rows and with the same random part. Gains "
        f"in log-likelihood are on held-out {entry.fold}s, {entry.folds} folds of {entry.n_items}; estimates by REML, a standard "
        "deviation of the form. All forms grow as a word becomes less probable, but cloze and similarity, which fall. What is compared "
        "is no test: a gain within two standard errors of zero shows no difference."
    )


def _name(form: Form) -> str:
    return _FORMS.get(form.form) or words(form.form)


def figure(entry: ModelForms) -> Figure:
    """Draw each form's gain on items left out, over none and over surprisal, with one standard error."""

    def paint(axes: Axes) -> None:
        places = range(len(entry.forms))
        for shift, color, label, name in (
            (-0.12, COLORS[0], "over none", "heldout_none"),
            (0.12, COLORS[1], "over surprisal", "heldout_surprisal"),
        ):
            gains = [NATS * getattr(form, name) for form in entry.forms]
            errors = [NATS * getattr(form, f"{name}_se") for form in entry.forms]
            axes.errorbar(
                gains,
                [place + shift for place in places],
                xerr=errors,
                fmt="o",
                color=color,
                label=label,
                markersize=4,
            )
        axes.axvline(0, color="0.4", linewidth=1)
        axes.set_yticks(places, [_name(form) for form in entry.forms])
        axes.invert_yaxis()
        axes.set(xlabel="gain on items left out, 0.001 nats a trial")
        axes.legend(fontsize=8)

    best = max(entry.forms, key=lambda form: form.heldout_none)
    caption = f"{entry.name}: forms of predictability in place of surprisal, with one standard error over {entry.fold}s."
    alt = f"{caption} The largest gain over none is that of {_name(best)}, {NATS * best.heldout_none:+.2f} (SE {NATS * best.heldout_none_se:.2f})."
    return draw(
        f"predictability_{slug(entry.name)}", caption, alt, paint, (6.8, 0.42 * len(entry.forms) + 1.2)
    )


def _table(entry: ModelForms) -> Table:
    rows = [
        {
            "form": _name(form),
            "r_with_surprisal": form.r_surprisal,
            "b": form.estimate,
            "se": form.se,
            "gain_over_none": NATS * form.heldout_none,
            "gain_over_none_se": NATS * form.heldout_none_se,
            "gain_over_surprisal": NATS * form.heldout_surprisal,
            "gain_over_surprisal_se": NATS * form.heldout_surprisal_se,
        }
        for form in entry.forms
    ]
    frame = pd.DataFrame(rows)
    digits = [2 if form.se is None else decimals(form.se) for form in entry.forms]
    told = frame.assign(
        r_with_surprisal=["" if r is None else fixed(r, 2) for r in frame["r_with_surprisal"]],
        **{name: [fixed(x, n) for x, n in zip(frame[name], digits, strict=True)] for name in ("b", "se")},
        **{name: [fixed(x, 2) for x in frame[name]] for name in frame if name.startswith("gain")},
    )
    caption = "b a standard deviation of the form; gains in 0.001 nats a trial."
    return Table(f"predictability_{slug(entry.name)}", caption, frame, told)


SECTION = Declared(
    "predictability",
    "Forms of predictability",
    1065,
    blocks,
    shown=lambda results: results.predictability is not None,
)
