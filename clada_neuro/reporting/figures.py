"""Drawing: figures as SVG and PNG without touching the caller's matplotlib state."""

import base64
import io
import logging
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import fontManager
from matplotlib.ticker import AutoLocator, MaxNLocator

from clada_neuro.artifacts import write_atomic
from clada_neuro.records.overview import Histogram

# blue, orange, green, vermilion, purple, brown, pink, gray, yellow, sky
COLORS = tuple(sns.color_palette("colorblind").as_hex())
POINTS = "#8a939e"
# For words in scripts that the first font lacks; those of them that are installed.
_FONTS = (
    "DejaVu Sans",
    "Arial Unicode MS",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "WenQuanYi Zen Hei",
)
_SMALL = 48  # dpi of thumbnails
_STYLE = {
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#6b7280",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.hashsalt": "clada-neuro",
    "text.parse_math": False,  # a word such as $5 is no formula
}


@dataclass(frozen=True)
class Figure:
    """A drawn figure: its files, what it shows (`caption`), and the same for one who cannot see it (`alt`)."""

    kind: ClassVar[str] = "figure"
    name: str
    caption: str
    alt: str
    svg: bytes
    png: bytes
    small: bytes

    @property
    def uri(self) -> str:
        """The SVG as a data URI: self-contained, and its ids cannot clash with another figure's."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()

    @property
    def small_uri(self) -> str:
        """A thumbnail as a data URI, for a page that shows all figures at once."""
        return "data:image/png;base64," + base64.b64encode(self.small).decode()

    def _repr_html_(self) -> str:
        return f'<img src="{self.uri}" alt="{escape(self.alt)}" style="max-width:100%">'

    def save(self, folder: Path) -> list[Path]:
        """Write ``NAME.svg`` and ``NAME.png`` (200 dpi)."""
        return [
            write_atomic(folder / f"{self.name}.svg", lambda part: part.write_bytes(self.svg)),
            write_atomic(folder / f"{self.name}.png", lambda part: part.write_bytes(self.png)),
        ]


def wrapped(labels: Iterable[str], width: int = 26) -> list[str]:
    """Return tick labels broken into lines, so that long names leave room to the axes."""
    return ["\n".join(textwrap.wrap(label, width)) or label for label in labels]


def draw(
    name: str,
    caption: str,
    alt: str,
    paint: Callable[[Axes], object],
    size: tuple[float, float] = (5.0, 3.5),
) -> Figure:
    """Let ``paint`` draw on fresh axes and return the figure (see `compose`)."""
    return compose(name, caption, alt, lambda canvas: paint(canvas.add_subplot()), size)


def bars(axes: Axes, found: Histogram, *, on: Histogram | None = None, **style: Any) -> None:
    """Draw a histogram whose counts are known, `on` top of another where there is one."""
    edges = found.edges
    widths = [right - left for left, right in pairwise(edges)]
    style = {"color": COLORS[0], "edgecolor": "white", **style}
    axes.bar(edges[:-1], found.counts, widths, bottom=on.counts if on else 0, align="edge", **style)


def compose(
    name: str,
    caption: str,
    alt: str,
    paint: Callable[[Canvas], object],
    size: tuple[float, float],
) -> Figure:
    """Let ``paint`` fill an empty canvas and return the figure.

    Neither pyplot nor the caller's rcParams take part, and the bytes depend on the data alone (no date, fixed
    ids), so that a rebuilt report equals the first.
    """
    with matplotlib.rc_context(), _no_talk_of_fonts():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]
        matplotlib.rcParams["font.family"] = _installed(_FONTS)
        canvas = Canvas(figsize=size, layout="constrained")
        FigureCanvasAgg(canvas)
        paint(canvas)
        canvas.draw_without_rendering()
        if _part_ticks(canvas):
            canvas.draw_without_rendering()
        canvas.set_layout_engine("none")  # it has placed everything; the files need not do it again
        files = (_bytes(canvas, "svg"), _bytes(canvas, "png"), _bytes(canvas, "png", _SMALL))
        return Figure(name, caption, alt, *files)


def _part_ticks(canvas: Canvas) -> bool:
    """Take fewer ticks where the labels of a numeric x axis touch; return whether any did."""
    changed = False
    for axes in canvas.axes:
        low, high = axes.get_xlim()
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        boxes = [label.get_window_extent() for label in labels if low <= label.get_position()[0] <= high]
        touch = any(left.x1 + 4 > right.x0 for left, right in pairwise(boxes))
        if touch and isinstance(axes.xaxis.get_major_locator(), AutoLocator | MaxNLocator):
            axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
            changed = True
    return changed


@contextmanager
def _no_talk_of_fonts() -> Iterator[None]:
    """Keep matplotlib from reporting, for every text, that a fallback font has no face of normal weight."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _installed(fonts: tuple[str, ...]) -> list[str]:
    there = {font.name for font in fontManager.ttflist}
    return [name for name in fonts if name in there]


def _bytes(canvas: Canvas, kind: str, dpi: int = 200) -> bytes:
    stream = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    canvas.savefig(stream, format=kind, dpi=dpi, facecolor="white", metadata=metadata)
    return stream.getvalue()
