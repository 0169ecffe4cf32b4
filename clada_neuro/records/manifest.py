"""The content of ``manifest.json``: the trace, and what a run adds of its responses and its analysis."""

from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Self

from clada_neuro.artifacts import read_json
from clada_neuro.errors import DataError
from clada_neuro.records.record import VERSION, Document, Part


class ModelFacts(Part, frozen=True, kw_only=True):
    """How a language model describes itself."""

    model: str = ""
    checkpoint: str | None = None
    architecture: str | None = None
    quantization: str | None = None
    revision: str | None = None
    source: str | None = None
    scoring: str | None = None
    dtype: str | None = None
    device: str | None = None
    weights_hash: str | None = None
    start_token: str | None = None
    start_token_id: int | None = None

    @property
    def name(self) -> str:
        """The checkpoint's name, else that by which it was asked for."""
        return self.checkpoint or self.model


class PolicyFacts(Part, frozen=True, kw_only=True):
    """The activation policy: its name, what its sparsity is a share of, a hash of all that decides its masks, dense first tokens."""

    name: str = "unnamed"
    scope: str = "ffn"
    hash: str | None = None
    dense_prefix: int | None = None


class NeuronSparsity(Part, frozen=True, kw_only=True):
    """At which thresholds a dense trace measured neuron_sparsity, or why it did not."""

    calibration: str | None = None
    hash: str | None = None
    ffn_sparsity: float | None = None
    linear_sparsity: float | None = None
    missing: str | None = None


class WordLayers(Part, frozen=True, kw_only=True):
    """Of which layers words were measured one by one, with which measures, and why others are missing."""

    layers: list[int] = []
    measures: list[str] = []
    translators: dict[str, str] | None = None
    missing: str | None = None


class FailedRows(Part, frozen=True, kw_only=True):
    """Stimuli that a worker did not finish: the first and the last row, from 1."""

    rows: tuple[int, int]
    stimulus_ids: list[str]
    reason: str


class CalibrationFile(Part, frozen=True, kw_only=True):
    """The calibration that decided the masks, and the hash of the policy's tables where these were added to it later."""

    file: str
    hash: str
    added: str | None = None


class DataFacts(Part, frozen=True, kw_only=True):
    """What is known of a data set that brought its responses; empty where it does not say.

    Attributes
    ----------
    language : str
        Code of its texts' word frequencies.
    window_ms : dict
        Component to start and end of its window, ms after word onset.
    unverified : list of str
        What of this was not checked against the paper or the data's own files.
    """

    name: str = ""
    title: str = ""
    language: str = ""
    citation: str = ""
    components: list[str] = []
    window_ms: dict[str, tuple[int | float, int | float]] = {}
    roi: list[str] = []
    reference: str = ""
    soa_ms: int | float | None = None
    unverified: list[str] = []
    notes: str = ""
    licence: str = ""


class Decided(Part, frozen=True, kw_only=True):
    """Who decided the analysis: a file, formulas, the data set's own, or the default."""

    kind: str
    name: str | None = None


class StepFacts(Part, frozen=True, kw_only=True):
    """Rows before and after one step of joining or leaving out."""

    step: str
    rows_before: int
    rows_removed: int
    rows_after: int
    reason: str = ""
    language_model: str | None = None


def removed_by(steps: Iterable[StepFacts]) -> int:
    """Return how many rows some steps removed together."""
    return sum(step.rows_removed for step in steps)


class Truth(Part, frozen=True, kw_only=True):
    """An effect that responses were simulated with."""

    component: str
    kind: str
    term: str
    value_uv: float


class SimulationFacts(Part, frozen=True, kw_only=True):
    """How responses were simulated."""

    description: str = ""
    truth: list[Truth] = []


class ErpNotes(Part, frozen=True, kw_only=True):
    """What was noted when amplitudes were measured in epochs."""

    notes: list[str] = []


class LanguageModelRun(Part, frozen=True, kw_only=True):
    """One of several language models, and the folder of its own report."""

    name: str
    folder: str
    model: ModelFacts
    counts: dict[str, int] = {}
    seconds: float | None = None
    peak_memory_mb: float | None = None


class Manifest(Document, frozen=True, kw_only=True):
    """What was run. A trace alone has the first fields, trials add theirs, and a run all of them.

    `departures` is None where a run has not compared itself with its analysis.
    """

    CURRENT: ClassVar[int] = 2

    model: ModelFacts | None = None
    language: str | None = None
    policy: PolicyFacts = PolicyFacts(name="dense")
    sparsity: float | None = None
    calibration: CalibrationFile | None = None
    neuron_sparsity: NeuronSparsity = NeuronSparsity()
    activity: str | None = None
    word_layers: WordLayers | None = None
    top_k: int | None = None
    threads: int | None = None
    linear_gflops: dict[str, dict[str, float]] = {}
    inputs: str | None = None
    counts: dict[str, int] = {}
    missing: list[FailedRows] = []
    text_notes: list[str] = []
    words_without_tokens: int | None = None
    words_sharing_a_token: int | None = None
    units: dict[str, str] = {}
    versions: dict[str, str] = {}
    joins: list[StepFacts] = []
    notes: list[str] = []
    target: str | None = None
    title: str | None = None
    command: str | None = None
    created: str | None = None
    simulated: bool = False
    simulation: SimulationFacts | None = None
    component: list[str] = []
    dataset: DataFacts | None = None
    exclusions: list[StepFacts] = []
    analysis: Decided | None = None
    departures: list[str] | None = None
    erp: ErpNotes | None = None
    language_models: list[LanguageModelRun] = []
    seed: int | None = None
    seconds: float | None = None
    peak_memory_mb: float | None = None

    @classmethod
    def older(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return a manifest of version 1, where a policy could be a bare name."""
        policy = found.get("policy")
        return {**found, "policy": {"name": policy}} if isinstance(policy, str) else dict(found)

    @classmethod
    def of(cls, found: Mapping[str, Any], where: str = "this manifest") -> Self:
        """Return a manifest as a record; one that another version of the package wrote is refused: columns may have changed."""
        manifest = super().of(found, where)
        wrote, here = manifest.versions.get("clada-neuro"), metadata.version("clada-neuro")
        if wrote is not None and wrote != here:
            raise DataError(
                f"{where} was written by clada-neuro {wrote}, this is {here}; run again with this version, or read it "
                "with that one"
            )
        return manifest

    @property
    def models(self) -> list[ModelFacts]:
        """Every language model of the run."""
        several = [one.model for one in self.language_models]
        return several or ([self.model] if self.model else [])


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read a manifest as a mapping in this version's form, once it is known to be one that can be read (see `Manifest.of`)."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"'{path}' is no manifest; delete it and run its step again")
    Manifest.of(found, f"'{path}'")
    return found if VERSION in found else Manifest.older(found)
