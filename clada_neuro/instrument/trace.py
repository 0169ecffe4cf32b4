"""Run stimuli through a model and record surprisal, entropy and activity for every token, layer and word."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro import tables
from clada_neuro.artifacts import (
    read_table,
    versions,
)
from clada_neuro.cache import cache_key
from clada_neuro.errors import DataError
from clada_neuro.instrument.covariates import check_language, shared_tokens, unknown_words
from clada_neuro.instrument.layer_choice import read_choice
from clada_neuro.instrument.measurer import Measurer, ModelMeasurer
from clada_neuro.instrument.shards import (
    TABLES,
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
from clada_neuro.lineage import marked, refuse_mixture, said_of
from clada_neuro.measures.tokens import MAIN
from clada_neuro.models import linear
from clada_neuro.models.loading import EMBEDDED, LanguageModel, load_model
from clada_neuro.models.places import Failure
from clada_neuro.records.manifest import Manifest, read_manifest
from clada_neuro.runtime.cutoffs import Cutoffs
from clada_neuro.runtime.policy import Policy
from clada_neuro.stage import Stage
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

    def by_layer(self, measure: str) -> pd.DataFrame:
        """Return one measure by layer, a row a word and a column a layer: `word_layers` made wide.

        Parameters
        ----------
        measure : str
            A measure of `word_layers`, such as ``"lens_surprisal_bits"``; its unit is kept.

        Returns
        -------
        pandas.DataFrame
            ``stimulus_id``, ``word_index`` and ``MEASURE_0``, ``MEASURE_1``, ... by number of the layer; words in the order of
            `word_layers`.

        Raises
        ------
        DataError
            When the trace holds no measures by layer, or not this one.
        """
        keys = ["stimulus_id", "word_index"]
        long = self.word_layers
        names = [name for name in long if name not in (*keys, "layer")]
        if measure not in names:
            raise DataError(f"'{measure}' is not measured by layer; give one of {', '.join(names)}")
        words = pd.MultiIndex.from_frame(long[keys].drop_duplicates())
        wide = long.set_index([*keys, "layer"])[measure].unstack("layer").reindex(words)
        return wide.add_prefix(f"{measure}_").rename_axis(columns=None).reset_index()

    def remarks(self, stimuli: pd.DataFrame) -> list[str]:
        """Return what a user should be told of the trace of some stimuli, beside the notes that these brought."""
        found = self.manifest["text_notes"][len(stimuli.attrs.get("notes", [])) :]
        if reason := self.manifest.get("activity"):
            found = [*found, f"activity is not measured, predictions are: {reason}"]
        if missing := self.manifest.get("word_layers", {}).get("missing"):
            found = [*found, f"not everything is measured by layer: {missing}"]
        return found

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
    attention: bool = False,
    translators: str | Path | None = None,
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
    attention : bool
        Measure the entropy of these layers' attention, too.
    translators : path, optional
        A safetensors file with a tuned lens of this model, through which inner layers predict in place of the logit lens.
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
    choice = read_choice(layers, policy is not None, attention, translators)
    if not isinstance(model, LanguageModel):
        model = load_model(model, dtype=dtype, device=device, start_token=start_token, revision=revision)
    return collect(stimuli, ModelMeasurer(model, policy, language, progress, top_k, cutoffs, choice), out)


def collect(stimuli: pd.DataFrame, measurer: Measurer, out: str | Path | None = None) -> Trace:
    """Have the shards of a stimulus table measured that are not in `out` yet, and join them in order.

    Raises
    ------
    IncompleteError
        If shards failed; the tables then hold the rest, and the same call tries the failed ones again.
    """
    stage = TraceStage(_stimuli(stimuli), measurer)
    return stage.in_memory() if out is None else stage.into(out)


@dataclass(frozen=True)
class TraceStage(Stage[Trace]):
    """Measure every token and word of some stimuli, a shard at a time, and join the shards.

    Attributes
    ----------
    stimuli : pandas.DataFrame
    measurer : Measurer
        In this process, or one that sends the shards to workers.
    """

    name = "trace"
    files = (*(f"{name}.parquet" for name in (*TABLES, TOP_K, WORD_LAYERS)), "words.csv", "manifest.json")
    parts = ("shards/*.parquet",)

    stimuli: pd.DataFrame
    measurer: Measurer

    @cached_property
    def described(self) -> dict[str, Any]:
        """What the measurer says of itself."""
        return self.measurer.described

    @cached_property
    def key(self) -> str:
        """The id of the trace, over texts, model and all that decides a value; how fast it computes decides none."""
        return cache_key(__name__, self.stimuli, {**self.described, linear.SPEEDS: None})

    def in_memory(self) -> Trace:
        """Return a trace that is not written."""
        source, failed = _measured(self.stimuli, self.measurer, Memory())
        refuse_failed(self.stimuli, failed)
        return self._finished(source)

    def make(self, folder: Path) -> Trace:
        """Measure the shards that the folder does not hold, and join all."""
        store = Disk(folder, self.key, names_of(self.described))
        source, failed = _measured(self.stimuli, self.measurer, store)
        result = self._finished(source)
        result.manifest |= {"missing": rows_of(self.stimuli, failed)} if failed else {}
        Manifest.write(folder / "manifest.json", said_of(folder, self.key) | result.manifest)
        refuse_failed(self.stimuli, failed)
        return result

    def _finished(self, source: Path | Frames) -> Trace:
        return _finished(source, self.described, self.key, self.stimuli.attrs.get("notes", []))


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
