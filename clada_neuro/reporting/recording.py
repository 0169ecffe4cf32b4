"""What reviewers ask of the recording and its processing, as it stands in ``erp/recording.json``."""

from clada_neuro.artifacts import read_json
from clada_neuro.reporting.results import Results

_MISSING = "not in the files"


def parts(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return headings and their facts, and last the gaps, which the authors have to fill; empty without epochs."""
    place = results.folder / "erp" / "recording.json"
    if not results.erp or not place.is_file():
        return []
    found = read_json(place)
    gaps = found.pop("gaps")
    named = [
        (
            f"Recording and processing: {name}",
            [(field, _MISSING if value is None else str(value)) for field, value in fields.items()],
        )
        for name, fields in found.items()
    ]
    filled = "; ".join(gaps) if gaps else "none: the files say everything"
    return [*named, ("For ARTEM-IS, to be filled in by hand", [("Fields that no file fills", filled)])]
