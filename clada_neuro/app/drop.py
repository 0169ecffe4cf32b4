"""The place on the page where a file is dropped or chosen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
from traitlets import CBytes, Int, Unicode

from clada_neuro.app.settings import LARGEST_UPLOAD
from clada_neuro.app.work import KINDS, Upload, check_size
from clada_neuro.errors import CladaNeuroError

INVITATION = "Drop a table here, or choose a file"


class Drop(anywidget.AnyWidget):
    """Calls ``taken(upload)`` for each file of at most `LARGEST_UPLOAD` bytes, ``refused(error)`` for a larger one."""

    _esm = (Path(__file__).parent / "upload.js").read_text(encoding="utf-8")
    kinds = Unicode(",".join(KINDS)).tag(sync=True)
    largest = Int(LARGEST_UPLOAD).tag(sync=True)
    told = Unicode(INVITATION).tag(sync=True)
    name = Unicode("").tag(sync=True)
    size = Int(0).tag(sync=True)
    content = CBytes(b"").tag(sync=True)  # a view of memory arrives
    times = Int(0).tag(sync=True)  # the same file may be dropped again

    def __init__(
        self, taken: Callable[[Upload], None], refused: Callable[[CladaNeuroError], None], **traits: Any
    ) -> None:
        super().__init__(**traits)
        self._taken, self._refused = taken, refused
        self.observe(self._receive, "times")

    def _receive(self, _: Any) -> None:
        try:
            check_size(self.name, max(self.size, len(self.content)))
        except CladaNeuroError as error:
            self._refused(error)
        else:
            self._taken(Upload(self.name, bytes(self.content)))
