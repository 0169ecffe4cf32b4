"""What a text should hardly hold: markup, percent codes, characters that nobody sees. Named, and scored as given."""

import re
import unicodedata
from collections.abc import Sequence

from clada_neuro.stimuli.files import RawTable

_PATTERNS = {
    "HTML": re.compile(
        r"</?[A-Za-z]\w*(?:\s[^<>=]+=[^<>]*)?\s*/?>|&(?:[A-Za-z]{2,8}|#\d{1,6}|#x[0-9A-Fa-f]{1,6});"
    ),
    # As in the address of a web page ("After%2C"), not as in "50 %".
    "percent codes": re.compile(r"(?<![\d%\s])%[0-9A-F]{2}|%[0-9A-F]{2}(?=[A-Za-z%])"),
    "*marks*, which count only without a critical word or index": re.compile(r"\*[^*\s]+\*"),
}
_SPACE = re.compile(r"[^\S \t\r\n]")
# Without the joiners U+200C and U+200D, which the spelling of a word or an emoji may ask for.
_INVISIBLE = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


def oddities(table: RawTable, texts: Sequence[str]) -> list[str]:
    """Say in one line for each kind of oddity how many texts hold it, and where the first one is."""
    kinds = dict(_PATTERNS)
    for pattern, what in ((_SPACE, ", which separates words"), (_INVISIBLE, "")):
        for character in sorted({found for text in texts for found in pattern.findall(text)}):
            kinds[_named(character) + what] = re.compile(character)
    lines = []
    for kind, pattern in kinds.items():
        found = [(position, match) for position, text in enumerate(texts) if (match := pattern.search(text))]
        if found:
            position, match = found[0]
            count = "1 text holds" if len(found) == 1 else f"{len(found)} texts hold"
            where = f"first in row {table.rows[position]}, '{_with_neighbours(match)}'"
            lines.append(f"{count} {kind} (scored as given; {where})")
    return lines + _near_duplicates(table, texts)


def _near_duplicates(table: RawTable, texts: Sequence[str]) -> list[str]:
    """Say which texts are another one but for spacing or case: to the model, and as stimuli, they are two."""
    first: dict[str, int] = {}
    pairs = []
    for position, text in enumerate(texts):
        twin = first.setdefault(" ".join(text.split()).casefold(), position)
        if text != texts[twin]:
            pairs.append((position, twin))
    if not pairs:
        return []
    position, twin = pairs[0]
    count = "1 text differs" if len(pairs) == 1 else f"{len(pairs)} texts differ"
    return [
        f"{count} from another only in spacing or case (row {table.rows[position]} from row {table.rows[twin]}); the model "
        "reads different texts, and they count as different stimuli"
    ]


def _with_neighbours(match: re.Match[str]) -> str:
    """Return what was found with the letters that touch it."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    return re.split(r"\s", before)[-1] + match[0] + re.split(r"\s", after)[0]


def _named(character: str) -> str:
    name = unicodedata.name(character, "control character").lower()
    return f"U+{ord(character):04X} {name}"
