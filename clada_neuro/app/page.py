"""The page itself: widgets, and what happens when one of them is used."""

import atexit
import base64
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import lru_cache
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from clada_neuro.app import work
from clada_neuro.app.drop import INVITATION, Drop
from clada_neuro.app.settings import Settings
from clada_neuro.errors import CladaNeuroError
from clada_neuro.measures.tokens import MAIN
from clada_neuro.reporting.labels import axis

if TYPE_CHECKING:
    from clada_neuro.instrument.trace import Trace
    from clada_neuro.models.loading import LanguageModel

EXAMPLE = (
    "The chef tasted the soup and added a pinch of *salt* to the pot.\n"
    "The chef tasted the soup and added a pinch of *trombone* to the pot."
)
_MEASURES = (*MAIN, "zipf_frequency")
_SHOWN = ("surprisal_bits", "entropy_bits", "sparsity_energy99", "")
_LAYERS = "Neurons active in each layer"
_TITLE = """<h1>clada-neuro</h1>
<p class="soft">What a language model makes of each word of your texts. Everything happens on this computer: nothing that you
type or drop leaves it, and it is gone when you close the page.</p>"""


def show() -> None:
    """Show the page for the settings that the command handed on."""
    display(App(Settings.handed_on()).view)


class App:
    """Texts, a model and measures on top; below, once measured, the plot of a text, CSV and report."""

    def __init__(self, settings: Settings) -> None:
        self._stimuli: pd.DataFrame | None = None  # of a file; else what is typed counts
        self._traced: Trace | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="page-", dir=settings.folder))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        whole = {"layout": {"width": "100%"}, "style": {"description_width": "initial"}}
        self.texts = widgets.Textarea(
            value=EXAMPLE,
            rows=5,
            description="Sentences, one a line; the critical word between *asterisks*",
            **whole,
        )
        self.drop = Drop(self._take, self._refuse)
        self.forget = widgets.Button(description="Leave the file out", layout={"display": "none"})
        self.model = widgets.Dropdown(options=settings.models, description="Language model", **whole)
        chosen = {name: axis(name) for name in _MEASURES} | {"": _LAYERS}
        self.measures = {
            name: widgets.Checkbox(value=name in _SHOWN, description=label, indent=False)
            for name, label in chosen.items()
        }
        self.go = widgets.Button(description="Measure")
        self.go.add_class("go")
        self.told = widgets.HTML()
        self.text = widgets.Dropdown(description="Text", **whole)
        self.plot, self.caption, self.files = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.plot.add_class("plot")
        self.files.add_class("get")
        self.found = _card(
            widgets.HTML("<h2>Word by word</h2>"), self.text, self.plot, self.caption, self.files
        )
        self.found.layout.display = "none"
        self.view = widgets.VBox([widgets.HTML(_TITLE), self._asked(), self.told, self.found])
        self.view.add_class("clada")
        self._listen()

    def _asked(self) -> widgets.Widget:
        boxes = widgets.Box(list(self.measures.values()))
        boxes.add_class("measures")
        return _card(
            self.texts, self.drop, self.forget, self.model, widgets.HTML("<b>Measures</b>"), boxes, self.go
        )

    def _listen(self) -> None:
        self.go.on_click(self._measure)
        self.forget.on_click(lambda _: self._leave_out())
        for control in (self.text, *self.measures.values()):
            control.observe(lambda _: self._draw(), "value")

    def _take(self, upload: work.Upload) -> None:
        """Read a file that was dropped; what is wrong with it is told at once."""
        self._leave_out()
        with self._answering():
            self._stimuli = work.uploaded(upload, self._folder)
            notes = "".join(f"<br>{escape(note)}" for note in self._stimuli.attrs.get("notes", []))
            self.drop.told = f"{upload.name}: {len(self._stimuli):,} texts"
            self.told.value = (
                f"<p>{escape(self.drop.told)} are measured in place of the sentences above.{notes}</p>"
            )
            self.forget.layout.display = ""

    def _refuse(self, error: CladaNeuroError) -> None:
        self._leave_out()
        self.told.value = _wrong(str(error))

    def _leave_out(self) -> None:
        self._stimuli, self.drop.told, self.told.value = None, INVITATION, ""
        self.forget.layout.display = "none"

    def _measure(self, _: object) -> None:
        self.go.disabled = True
        self.found.layout.display = "none"
        with self._answering():
            stimuli = self._stimuli if self._stimuli is not None else work.typed(self.texts.value)
            name = self.model.value
            self._say(f"Loading {name} …")
            model = _loaded(name)
            self._say(f"Measuring {len(stimuli):,} texts with {name} …")
            shutil.rmtree(self._folder)
            self._traced = None  # what is on the page belongs to no text any more
            with redirect_stderr(_Told(self._say)):
                traced = work.measured(stimuli, model, self._folder, progress=True)
            self._show(stimuli, traced)
        self.go.disabled = False

    def _show(self, stimuli: pd.DataFrame, traced: "Trace") -> None:
        self._say("Writing the report …")
        csv, page = work.csv_of(traced, self._folder), work.report_of(self._folder)
        self.files.value = _link("words.csv", "text/csv", csv, "CSV, a row a word") + _link(
            "report.html", "text/html", page, "Report"
        )
        words = traced.words
        ids = words["stimulus_id"].drop_duplicates()
        shown = stimuli.drop_duplicates("stimulus_id").set_index("stimulus_id")["sentence"]
        self.text.options = [(f"{number}. {shown[key]}", key) for number, key in enumerate(ids, start=1)]
        self.text.value = ids.iloc[0]
        self._traced = traced  # from here on a choice draws: other texts may have the ids of those before
        self._draw()
        notes = "".join(f"<br>{escape(note)}" for note in traced.remarks(stimuli))
        self.told.value = f"<p>{len(words):,} words of {len(ids):,} texts measured.{notes}</p>"
        self.found.layout.display = ""

    def _draw(self) -> None:
        """Draw the text that is chosen, with the measures that are."""
        if self._traced is None or self.text.value is None:
            return
        from clada_neuro.widgets import word_by_word  # loads PyTorch

        names = [name for name, box in self.measures.items() if box.value and name]
        try:
            figure = word_by_word(self._traced, self.text.value, names, layers=self.measures[""].value)
        except CladaNeuroError as error:
            self.plot.value, self.caption.value = "", _wrong(str(error))
        else:
            self.plot.value, self.caption.value = figure._repr_html_(), f"<p>{escape(figure.caption)}</p>"

    def _say(self, line: str) -> None:
        self.told.value = f'<p role="status">{escape(line)}</p>'

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Answer wrong input with its line, and a defect with what it is: a page has no other place for either."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except CladaNeuroError as error:
            self.told.value = _wrong(str(error))
        except Exception as error:
            self.told.value = _wrong(f"a defect of the program: {type(error).__name__}: {error}")


class _Told(StringIO):
    """Stands for the terminal: each line of progress is told on the page, and what else libraries print is not."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def write(self, text: str) -> int:
        if "%" in text:
            self._say(text.strip())
        return len(text)


@lru_cache(maxsize=1)  # one model at a time in memory
def _loaded(name: str) -> "LanguageModel":
    from clada_neuro.models.loading import load_model  # loads PyTorch

    return load_model(name)


def _card(*parts: widgets.Widget) -> widgets.VBox:
    box = widgets.VBox(list(parts))
    box.add_class("card")
    return box


def _wrong(line: str) -> str:
    return f'<p class="wrong" role="alert">{escape(line)}</p>'


def _link(name: str, kind: str, content: bytes, label: str) -> str:
    data = base64.b64encode(content).decode()
    size = f"{max(len(content) / 1024, 1):,.0f} KB"
    return f'<a download="{name}" href="data:{kind};base64,{data}">{label} ({size})</a>'
