"""Run stimuli through a model and record surprisal, entropy and activity for every token, layer and word."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import pandas as pd

from clada_neuro import tables
from clada_neuro.artifacts import (
    content_hash,
    output_folder,
    read_manifest,
    read_table,
    sole_writer,
    versions,
    write_json,
)
from clada_neuro.cache import cache_key
from clada_neuro.errors import DataError
from clada_neuro.instrument.batching import Measures, Window
from clada_neuro.instrument.covariates import check_language, shared_tokens, unknown_words
from clada_neuro.instrument.depth import Depth
from clada_neuro.instrument.forward import Forward
from clada_neuro.instrument.frames import MeasuredText, layers_table, tokens_table, top_k_table, words_table
from clada_neuro.instrument.layer_choice import Choice, read_choice
from clada_neuro.instrument.masked import MaskedForward, forward_for
from clada_neuro.instrument.shards import (
    LAYERS,
    TOP_K,
    WORD_LAYERS,
    Disk,
    Frames,
    Memory,
    Shards,
    cut,
    names_of,
    refuse_failed,
    rows_of,
)
from clada_neuro.instrument.texts import read_texts
from clada_neuro.instrument.under_policy import PolicyForward, describe
from clada_neuro.lineage import marked, refuse_mixture
from clada_neuro.measures.tokens import MAIN
from clada_neuro.models import linear
from clada_neuro.models.limits import check_vocabulary
from clada_neuro.models.loading import EMBEDDED, LanguageModel, load_model
from clada_neuro.models.places import Failure
from clada_neuro.models.registry import measured_layers
from clada_neuro.progress import ProgressBar
from clada_neuro.runtime.cutoffs import Cutoffs
from clada_neuro.runtime.policy import Policy
from clada_neuro.stimuli.formats import as_stimuli


class Trace:
    """What a model did with a set of stimuli.

    Attributes
    ----------
    tokens, layers, words, top_k : pandas.DataFrame
        As `clada_neuro.tables` describes them; read from disk on first use when the trace was written there.
    manifest : dict
        Model, tokenizer, start token, settings, versions, counts and units.
    """

    def __init__(self, manifest: dict[str, Any], source: Path | Frames) -> None:
        self.manifest = manifest
        self._source = source

    @classmethod
    def read(cls, folder: str | Path) -> "Trace":
        """Open a trace that was written to a folder.

        Raises
        ------
        DataError
            When a file is missing or damaged, was written by another version, or belongs to another trace.
        """
        folder = Path(folder)
        manifest = read_manifest(folder / "manifest.json")
        for name in names_of(manifest):
            refuse_mixture(folder / f"{name}.parquet", manifest)
        return cls(manifest, folder)

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """One row per token."""
        return self._table("tokens")

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per token and feed-forward layer, where the model has blocks that are known."""
        if reason := self.manifest.get("activity"):
            raise DataError(f"this trace holds no activity: {reason}")
        return self._table("layers")

    @cached_property
    def words(self) -> pd.DataFrame:
        """One row per word as the caller wrote it."""
        return marked(self._table("words"), self.manifest.get("inputs"))

    @cached_property
    def top_k(self) -> pd.DataFrame:
        """The most probable tokens before each token, when they were asked for."""
        if not self.manifest.get("top_k"):
            raise DataError("this trace holds no most probable tokens; trace again with top_k=N (--top-k N)")
        return self._table(TOP_K)

    @cached_property
    def word_layers(self) -> pd.DataFrame:
        """One row per word and layer of the model, where layers were asked for."""
        asked = self.manifest.get("word_layers", {"missing": "trace again with layers='all' (--layers all)"})
        if not asked.get("layers"):
            raise DataError(f"this trace holds no measures by layer: {asked['missing']}")
        return self._table(WORD_LAYERS)

    def columns(self, table: str, names: list[str]) -> pd.DataFrame:
        """Return some columns of a table without reading the others."""
        if isinstance(self._source, Path):
            return read_table(self._source / f"{table}.parquet", names)
        return self._source[table][names]

    def _table(self, name: str) -> pd.DataFrame:
        if isinstance(self._source, Path):
            return tables.validate(read_table(self._source / f"{name}.parquet"), name)
        return tables.validate(self._source[name], name)

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {name}" for name, number in self.manifest["counts"].items())
        return f"Trace({self.manifest['model']['model']}: {counts})"

    def _repr_html_(self) -> str:
        head = self.words.filter(["stimulus_id", "word", *MAIN]).head(8).round(3)
        return f"<p>{self!r}</p>{head.to_html(index=False, na_rep='NA')}"


def trace(
    stimuli: pd.DataFrame | str | Path,
    model: str | Path | LanguageModel = EMBEDDED,
    *,
    policy: Policy | None = None,
    out: str | Path | None = None,
    dtype: str = "float32",
    device: str = "auto",
    start_token: str | int | None = "auto",
    revision: str | None = None,
    language: str = "en",
    top_k: int = 0,
    cutoffs: Cutoffs | None = None,
    layers: str | Sequence[int] | None = None,
    progress: bool = True,
) -> Trace:
    """Record what a model does with every token and word of some stimuli.

    Parameters
    ----------
    stimuli : pandas.DataFrame, str or Path
        A stimulus table (see `clada_neuro.tables.STIMULI`) or a file for `clada_neuro.read_stimuli`.
    model : str, Path or LanguageModel
        A name for `clada_neuro.load_model`, or a loaded model, which brings its own dtype, device and start token.
    policy : Policy, optional
        Decides what is left uncomputed (`clada_neuro.policies.registry.make_policy`); None runs the dense model.
    out : str or Path, optional
        Folder for ``tokens``, ``layers``, ``words`` (parquet) and ``manifest.json``. An interrupted trace goes on
        from its last finished shard; a finished one is read back. Without it everything stays in memory.
    dtype, device, start_token, revision
        Passed to `clada_neuro.load_model`.
    language : str
        Of the word frequencies (wordfreq code).
    top_k : int
        How many of the most probable tokens are recorded before each token.
    cutoffs : Cutoffs, optional
        Fill `neuron_sparsity` of a dense trace (`clada_neuro.calibration.cutoffs.hidden_cutoffs`).
    layers : str or sequence of int, optional
        Of which layers words are measured one by one (`Trace.word_layers`): ``"all"``, ``"every:4"`` or numbers from 0.
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    Trace

    Raises
    ------
    CladaNeuroError
        If stimuli, model, language or output folder cannot be used.
    """
    stimuli = _stimuli(stimuli)
    check_language(language)
    if top_k < 0:
        raise DataError(f"top_k = {top_k} given, the number of most probable tokens expected (0 for none)")
    choice = None if layers is None else read_choice(layers, policy is not None)
    if not isinstance(model, LanguageModel):
        model = load_model(model, dtype=dtype, device=device, start_token=start_token, revision=revision)
    return collect(stimuli, ModelMeasurer(model, policy, language, progress, top_k, cutoffs, choice), out)


class Measurer(Protocol):
    """Measures shards of stimuli under one setting, here or on other machines."""

    @property
    def described(self) -> dict[str, Any]:
        """Everything that decides a value, as the manifest records it."""

    def measure(self, shards: Mapping[int, pd.DataFrame]) -> Iterator[tuple[int, Frames | Failure]]:
        """Yield the tables of each numbered shard, in any order."""


def collect(stimuli: pd.DataFrame, measurer: Measurer, out: str | Path | None = None) -> Trace:
    """Have the shards of a stimulus table measured that are not in `out` yet, and join them in order.

    Raises
    ------
    IncompleteError
        If shards failed; the tables then hold the rest, and the same call tries the failed ones again.
    """
    stimuli = _stimuli(stimuli)
    described = measurer.described
    inputs = cache_key(__name__, stimuli, {**described, linear.SPEEDS: None})
    notes = stimuli.attrs.get("notes", [])
    if out is None:
        source, failed = _measured(stimuli, measurer, Memory())
        refuse_failed(stimuli, failed)
        return _finished(source, described, inputs, notes)
    folder = output_folder(out)
    with sole_writer(folder):
        source, failed = _measured(stimuli, measurer, Disk(folder, inputs, names_of(described)))
        result = _finished(source, described, inputs, notes)
        result.manifest |= {"missing": rows_of(stimuli, failed)} if failed else {}
        write_json(folder / "manifest.json", result.manifest)
    refuse_failed(stimuli, failed)
    return result


def _measured(
    stimuli: pd.DataFrame, measurer: Measurer, store: Shards
) -> tuple[Path | Frames, dict[int, str]]:
    """Measure every shard that the store does not have yet; return the tables and why shards are missing."""
    shards = cut(stimuli)
    failed = {}
    wanted = {number: shard for number, shard in enumerate(shards) if not store.has(number)}
    for number, found in measurer.measure(wanted):
        if isinstance(found, Failure):
            failed[number] = found.reason
        else:
            store.put(number, found)
    if len(failed) == len(shards):
        refuse_failed(stimuli, failed)
    return store.finish(len(shards), failed), dict(sorted(failed.items()))


def _stimuli(stimuli: pd.DataFrame | str | Path) -> pd.DataFrame:
    return tables.validate(as_stimuli(stimuli), tables.STIMULI)


@dataclass(frozen=True)
class ModelMeasurer:
    """Measures stimuli in this process with a loaded model."""

    model: LanguageModel
    policy: Policy | None
    language: str
    progress: bool
    top_k: int = 0
    cutoffs: Cutoffs | None = None
    layers: Choice | None = None

    @property
    def described(self) -> dict[str, Any]:
        """Model, language, policy, the threads of a CPU, which move the last bits, and why activity is missing.

        The speeds of its linear maps decide nothing; they tell why these took the routes that they did.
        """
        _, reason = measured_layers(self.model.model)
        return ({"activity": reason} if reason else {}) | {
            "model": self.model.describe(),
            "language": self.language,
            "policy": describe(self.policy),
            "neuron_sparsity": self._neuron_sparsity(),
            "top_k": self.top_k,
            "threads": self.model.threads,
            linear.SPEEDS: linear.speeds(self.model.model),
            **({"word_layers": self.depth.described} if self.depth else {}),
        }

    @cached_property
    def depth(self) -> Depth | None:
        """What measures by layer, if that was asked for."""
        return Depth(self.model, self.layers) if self.layers else None

    @cached_property
    def _forward(self) -> Forward | MaskedForward:
        return forward_for(self.model, self.policy is None, self.top_k, self.cutoffs)

    def _neuron_sparsity(self) -> dict[str, Any]:
        """Return what decides which neurons count as left out, or why the column is missing."""
        if self.policy is not None:
            return {"of": "policy"}
        if self.cutoffs is None:
            return {"missing": "no calibration of this model was given"}
        return {**self.cutoffs.source, "values": content_hash(self.cutoffs.values.cpu().numpy())}

    def measure(self, shards: Mapping[int, pd.DataFrame]) -> Iterator[tuple[int, Frames | Failure]]:
        """Yield the tables of each shard, in order."""
        total = sum(map(len, shards.values()))
        with ProgressBar(
            total=total, desc="trace", unit="text", disable=not (self.progress and shards)
        ) as bar:
            for number, stimuli in shards.items():
                # A copy takes along what pandas keeps with a frame; the shards themselves stay to the end.
                yield number, _shard(self, stimuli.copy(deep=False), self._forward, bar)


def _shard(
    work: ModelMeasurer, stimuli: pd.DataFrame, forward: Forward | MaskedForward, bar: ProgressBar
) -> Frames:
    tokenizer = work.model.tokenizer
    texts = read_texts(stimuli, tokenizer)
    for text in texts:
        check_vocabulary(work.model.model, text.ids, f"stimulus '{text.stimulus_id}'")
    windows = [forward.windows(number, text) for number, text in enumerate(texts)]
    found: dict[int, list[tuple[Window, Measures]]] = defaultdict(list)
    for window, measures in _measures(work, stimuli, windows, forward):
        found[window.text].append((window, measures))
        bar.update(len(found[window.text]) == len(windows[window.text]))
    bar.update(sum(not pieces for pieces in windows))
    spaced = forward.vocabulary.spaced.cpu().numpy()
    measured = [
        MeasuredText.of(text, sorted(found[number], key=lambda pair: pair[0].first), spaced)
        for number, text in enumerate(texts)
        if windows[number]
    ]
    names = [tokenizer.convert_ids_to_tokens(list(one.text.ids)) for one in measured]
    tokens = tokens_table(measured, names)
    words = words_table(tokens, texts, stimuli, work.language, work.model.masked)
    frames = {"tokens": tokens, "words": words}
    frames |= {LAYERS: layers_table(measured)} if forward.layers else {}
    if work.depth and work.depth.layers:
        frames[WORD_LAYERS] = work.depth.table(texts, windows)
    return frames | ({TOP_K: top_k_table(measured, tokenizer, forward.top_k)} if forward.top_k else {})


def _measures(
    work: ModelMeasurer, stimuli: pd.DataFrame, windows: list[list[Window]], forward: Forward | MaskedForward
) -> Iterator[tuple[Window, Measures]]:
    """Yield the windows of every text with their measures, in any order."""
    every = [window for pieces in windows for window in pieces]
    if work.policy is not None and isinstance(forward, Forward):
        names = [f"{stimuli['stimulus_id'].iloc[window.text]}/{window.first}" for window in every]
        return PolicyForward(forward, work.policy).measure(every, [crc32(name.encode()) for name in names])
    groups = _groups(stimuli)
    keys = [
        groups[window.text] if len(windows[window.text]) == 1 else (window.text, window.first)
        for window in every
    ]
    return forward.measure(every, keys)


def _groups(stimuli: pd.DataFrame) -> list[Any]:
    """Return what may share a prefix: the conditions of one item after the same context."""
    contexts = stimuli["context"].fillna("") if "context" in stimuli else [""] * len(stimuli)
    return list(zip(stimuli["item"], contexts, strict=True))


def _finished(source: Path | Frames, described: dict[str, Any], inputs: str, notes: list[str]) -> Trace:
    """Open the result and complete its manifest."""
    trace = Trace({}, source)
    words = trace.columns(
        "words", ["stimulus_id", "word", "n_tokens", "shares_token", "zipf_frequency", "is_critical"]
    )
    trace.manifest = {
        **described,
        "inputs": inputs,
        "counts": {
            "stimuli": int(words["stimulus_id"].nunique()),
            "words": len(words),
            "tokens": len(trace.columns("tokens", ["token_index"])),
        },
        "text_notes": [*notes, *unknown_words(words, described["language"]), *shared_tokens(words)],
        "words_without_tokens": int((words["n_tokens"] == 0).sum()),
        "words_sharing_a_token": int(words["shares_token"].sum()),
        "units": {column.name: column.unit for column in tables.WORDS.columns if column.unit},
        "versions": versions(),
    }
    return trace
