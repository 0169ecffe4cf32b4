"""Sets that are one table of sentences: where item, condition and critical word stand, declared per file.

Items are the frames that the conditions of a set share; conditions keep the names of the file, several factors
joined by ``_``. The critical word comes from the ``.stims`` file beside the table (``*marked*``) or from a column
of positions. What was checked against the words themselves:

- SAP's ``disambPosition_0idx`` counts from 0 in ClassicGP but from 1 in Agreement and AttachmentAmbiguity, where it
  repeats ``disambPosition``; ``targetPosition`` of RelativeClause counts from 1 and is one short in item 42, RC_Obj.
- In ``kutas_1993`` the mark is one word early wherever a full stop is attached; the critical word of every sentence
  is its last. SentenceFrame46 gives both words in both rows, "u (bc).": each condition takes its own. The BC row of
  SentenceFrame144 ends before its critical word, which is therefore missing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from clada_neuro.errors import DataError
from clada_neuro.stimuli.cells import typed
from clada_neuro.stimuli.files import RawTable, read_lines, read_table
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.stimuli.registry import data_set


@dataclass(frozen=True)
class FileSchema:
    """How one file is read.

    ``conditions`` are the columns that make the condition (none: the set's name); ``position`` is the column of the
    critical word's position, counted from ``base``; ``corrections`` are positions from 0 where the file is wrong, by
    (item, condition); ``last_word`` and ``truncated`` say that sentences end with their critical word, except those.
    """

    item: str
    conditions: tuple[str, ...]
    position: str = ""
    base: int = 0
    corrections: Mapping[tuple[str, str], int] = field(default_factory=dict)
    last_word: bool = False
    truncated: tuple[tuple[str, str], ...] = ()


_FRAME = FileSchema("SentenceFrame", ("Condition",))
_URBACH = FileSchema("SentenceFrame", ("Typicality", "QuantifierType"))
SCHEMAS = {
    "kim2005": FileSchema("Context", ("Condition",)),
    "ainsworth1998": _FRAME,
    "osterhout1995_controls": _FRAME,
    "osterhout1995_pronouns": _FRAME,
    "ito2016": _FRAME,
    "kutas1993": FileSchema(
        "Context", ("Condition",), last_word=True, truncated=(("SentenceFrame144", "BC"),)
    ),
    "urbach2010_exp1": FileSchema("SentenceFrame", ("Typicality",)),
    "urbach2010_exp2": _URBACH,
    "urbach2010_exp3": _URBACH,
    "sap_agreement": FileSchema("item", ("condition",), "disambPosition", 1),
    "sap_attachment": FileSchema("item", ("condition",), "disambPosition", 1),
    "sap_classicgp": FileSchema("item", ("condition",), "disambPosition_0idx", 0),
    "sap_relative": FileSchema("item", ("condition",), "targetPosition", 1, {("42", "RC_Obj"): 6}),
    "sap_fillers": FileSchema("item", ()),
}


def load_stimuli(folder: Path, name: str) -> pd.DataFrame:
    """Return a set's sentences in the columns of `read_stimuli`, spaces before punctuation closed."""
    schema, files = SCHEMAS[name], [file.name for file in data_set(name).files]
    table = read_table(folder / files[0])
    frame = table.frame.drop(columns="Sentence")
    frame["condition"] = _condition(frame, schema, name)
    frame["sentence"] = table.frame["Sentence"].map(close_up)
    if len(files) == 2:
        frame["sentence"] = _marked(table, read_lines(folder / files[1]))
        frame["source_sentence"] = table.frame["Sentence"]
    keys = list(zip(frame[schema.item], frame["condition"], strict=True))
    if schema.last_word:
        frame["sentence"] = [
            _last_word(key, sentence, schema) for key, sentence in zip(keys, frame["sentence"], strict=True)
        ]
    if schema.position:
        counted = frame[schema.position].astype(int) - schema.base
        frame["critical_index"] = [
            schema.corrections.get(key, index) for key, index in zip(keys, counted, strict=True)
        ]
    made = read_stimuli(typed(replace(table, frame=frame)), columns={"item": schema.item}, index_base=0)
    return made.drop(columns="sentence_original", errors="ignore")


def close_up(text: str) -> str:
    """Close the spaces that a tokenizer put before punctuation and clitics: "Joe 's foot ." to "Joe's foot."."""
    text = re.sub(r"\s+([.,;:!?])(?=\s|$)", r"\1", text.strip())
    return re.sub(r"\s+'(s|t|re|m|ve|ll|d)\b", r"'\1", text)


def _condition(frame: pd.DataFrame, schema: FileSchema, name: str) -> pd.Series:
    if not schema.conditions:
        return pd.Series(name.rpartition("_")[2], index=frame.index)
    return frame[list(schema.conditions)].agg("_".join, axis=1)


def _marked(table: RawTable, lines: RawTable) -> list[str]:
    """Return the marked sentences, after checking that they are the table's, row by row."""
    marked = list(lines.frame["sentence"])
    if len(marked) != len(table.frame):
        raise DataError(f"{lines.origin} has {len(marked)} sentences, {table.origin} has {len(table.frame)}")
    for position, (line, plain) in enumerate(zip(marked, table.frame["Sentence"], strict=True)):
        if _letters(line) != _letters(plain):
            raise lines.error(position, f"'{line}' is not the sentence of {table.origin}, '{plain}'")
    return [close_up(line) for line in marked]


def _letters(text: str) -> str:
    return re.sub(r"\W", "", text)


def _last_word(key: tuple[str, str], sentence: str, schema: FileSchema) -> str:
    """Return the sentence with its mark moved to the last word."""
    sentence = sentence.replace("*", "")
    both = re.search(r"(\w+) \((\w+)\)\.$", sentence)
    if both:
        sentence = sentence[: both.start()] + (both[2] if key[1] == "BC" else both[1]) + "."
    if key in schema.truncated:
        return sentence
    return re.sub(r"([\w'-]+)(\W*)$", r"*\1*\2", sentence)
