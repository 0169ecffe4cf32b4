"""The words of each text, and the regions they stand in."""

from collections.abc import Sequence
from dataclasses import dataclass

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli import design
from clada_neuro.stimuli.columns import Recognised
from clada_neuro.stimuli.segments import words_at
from clada_neuro.stimuli.texts import Texts


@dataclass(frozen=True)
class Divided:
    """The words of each text and, where regions are given, the region of each of its words; what should be said of them."""

    words: list[list[str]]
    regions: list[list[str]] | None
    notes: list[str]


def divide(found: Recognised, texts: Texts) -> Divided:
    """Divide texts into words and regions.

    Raises
    ------
    StimulusError
        Words, spans or regions that do not add up to their sentence.
    """
    words = _words(found, texts)
    regions = _regions(found, words) if "regions" in found.columns else None
    return Divided(words, regions, _unspaced(texts.sentences, words))


def _words(found: Recognised, texts: Texts) -> list[list[str]]:
    given = next((name for name in ("words", "word_spans") if name in found.columns), "")
    if not given:
        return [found.cutter.words(sentence) for sentence in texts.marked]
    out = []
    for position, (value, sentence) in enumerate(zip(found.values(given), texts.marked, strict=True)):
        try:
            if given == "word_spans":
                words = words_at(value, sentence)
            else:
                words = value.split("|") if isinstance(value, str) else [str(word) for word in value]
            design.word_spans(sentence, words)
        except StimulusError as error:
            raise found.table.error(position, str(error)) from None
        out.append(words)
    return out


def _regions(found: Recognised, words: list[list[str]]) -> list[list[str]]:
    out, names = [], found.stripped("region_names")
    for position, (value, row) in enumerate(zip(found.values("regions"), words, strict=True)):
        spans = value if isinstance(value, str) else "|".join(map(str, value))
        try:
            out.append(design.region_labels(spans, row, names[position] or None))
        except StimulusError as error:
            raise found.table.error(position, str(error)) from None
    return out


def _unspaced(sentences: Sequence[str], words: Sequence[Sequence[str]]) -> list[str]:
    """Say, if so, in how many texts words follow each other without a space, and how the first of them reads."""
    joined = [
        place
        for place, (sentence, row) in enumerate(zip(sentences, words, strict=True))
        if len(row) > len(sentence.split())
    ]
    if not joined:
        return []
    first = joined[0]
    return [
        f"words without a space between them in {len(joined)} of {len(sentences)} texts; the model reads the first as "
        f"'{sentences[first]}' ({len(words[first])} words: {' | '.join(words[first])})"
    ]
