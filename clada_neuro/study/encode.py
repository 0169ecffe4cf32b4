"""Encoding: how well a model's vectors of words predict the responses of a run, beside the controls that decide what it means."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clada_neuro import artifacts
from clada_neuro.cache import Store
from clada_neuro.errors import DataError, FitError
from clada_neuro.exports import write_csv
from clada_neuro.instrument.layer_choice import read_choice
from clada_neuro.lineage import refuse_mixed_trials
from clada_neuro.records.encoding import EncodingRecord
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.manifest import read_manifest
from clada_neuro.scale.setting import Setting
from clada_neuro.stage import Stage
from clada_neuro.stats.ceiling import noise_ceiling
from clada_neuro.stats.encoding.scores import FAMILY, Key, encoding_scores
from clada_neuro.stats.formula import parse
from clada_neuro.study.encode_course import over_time, scored
from clada_neuro.study.how import Progress

if TYPE_CHECKING:
    from clada_neuro.instrument.vectors import Vectors

FILE, TABLE, OVER_TIME = "encoding.json", "tables/encoding.csv", "tables/encoding_over_time.csv"
WORD = ["stimulus_id", "word_index"]
COVARIATES = ("position", "length", "zipf_frequency", "surprisal_bits")
STEP_MS = 20.0
KNOWN = 0.9  # of the words must have vectors of a kind, or it would take too many from all others


@dataclass(frozen=True)
class EncodeSettings:
    """How responses are predicted.

    Attributes
    ----------
    layers : str
        As of a trace.
    folds : int
        Of items.
    shuffles : int
        Exchanges of items under the null.
    seed : int
        Of folds, exchanges and the weights that were never trained.
    step_ms : float
        Of time, where epochs are predicted at every moment; None where none are.
    """

    layers: str = "all"
    folds: int = 5
    shuffles: int = 200
    seed: int = 0
    step_ms: float | None = None

    def __post_init__(self) -> None:
        read_choice(self.layers)
        for what, value, least in (("folds", self.folds, 3), ("shuffles", self.shuffles, 19)):
            if value < least:
                raise FitError(f"{what} = {value} given, at least {least} expected")


def encode(
    run: str | Path,
    *,
    layers: str | Sequence[int] = "all",
    folds: int = 5,
    shuffles: int = 200,
    seed: int = 0,
    epochs: str | Path | None = None,
    step_ms: float = STEP_MS,
    progress: Progress = lambda line: None,
) -> pd.DataFrame:
    """Predict the mean responses to a run's words from its model's states, by layer, on items left out.

    Beside them stand feed-forward activity, and the controls: the same model untrained, the static input embedding, position,
    length, frequency and surprisal, the states of the next word, and a noise ceiling from halves of the subjects. Dimension and
    penalty of the ridge regression are chosen inside folds, and so is the best layer; p is by exchange of items.

    Parameters
    ----------
    run : path
        A folder that `clada_neuro.run` wrote.
    layers : str or sequence of int
        Which layers: ``"all"``, ``"every:4"`` or numbers from 0.
    folds : int
        Of items.
    shuffles : int
        Exchanges of items under the null.
    seed : int
        Of folds, exchanges and untrained weights.
    epochs : path, optional
        Those of a run of epochs, a file or a folder: predicted at every moment, too (``tables/encoding_over_time.csv``).
    step_ms : float
        Of time there; samples within a step are averaged.
    progress : callable
        Receives one line a step.

    Returns
    -------
    pandas.DataFrame
        One row a response, kind of vectors and layer, also in ``tables/encoding.csv``: ``r``, ``se``, ``p``, ``p_family``,
        ``ceiling``. Notes and choices are in ``encoding.json``; notes in ``attrs``, too.

    Raises
    ------
    CladaNeuroError
        If the folder is no run, its model gives no states, or the epochs are not those of the run.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder; give one that `clada-neuro run` wrote to")
    asked = layers if isinstance(layers, str) else ",".join(map(str, layers))
    if epochs is not None and not Path(epochs).exists():
        raise DataError(f"epochs '{epochs}' do not exist")
    settings = EncodeSettings(asked, folds, shuffles, seed, step_ms if epochs is not None else None)
    return EncodeStage(settings, Path(epochs) if epochs is not None else None, progress).into(folder)


@dataclass(frozen=True)
class EncodeStage(Stage[pd.DataFrame]):
    """Do the work of `encode` on the stimuli, model and trials that a folder holds, unless it stands there."""

    name = "encode"
    files = (FILE, TABLE, OVER_TIME)

    settings: EncodeSettings
    epochs: Path | None = None
    progress: Progress = lambda line: None

    def make(self, folder: Path) -> pd.DataFrame:
        """Take the vectors, predict, and write what was found."""
        for name in ("manifest.json", "stimuli.parquet", "words.parquet", "trials.parquet", "fits.json"):
            if not (folder / name).is_file():
                raise DataError(f"'{folder}' has no {name}; give a folder that `clada-neuro run` wrote to")
        manifest = read_manifest(folder / "manifest.json")
        fits = FitRecord.read_all(folder / "fits.json")
        refuse_mixed_trials(folder, {"fits.json": fits})
        facts = manifest["model"]
        made_from = (fits, facts["weights_hash"], asdict(self.settings), *self._files())
        store = Store.of(folder, __name__, *made_from, codec=EncodingRecord.codec())
        stored = store.once(Path(FILE).stem, lambda: self._computed(folder, facts, fits))
        table = _table(stored)
        artifacts.output_folder(folder / "tables")
        write_csv(table, folder / TABLE)
        if stored.get("courses"):
            write_csv(_over_time(stored["courses"]), folder / OVER_TIME)
        else:
            (folder / OVER_TIME).unlink(missing_ok=True)
        return table

    def _files(self) -> list[Path]:
        """Return the files of the epochs."""
        if self.epochs is None:
            return []
        from clada_neuro.erp.sources import files_of, parts_of  # loads MNE

        return [part for first in files_of(self.epochs) for part in parts_of(first)]

    def _computed(self, folder: Path, facts: dict[str, Any], fits: Sequence[FitRecord]) -> dict[str, Any]:
        trials = artifacts.read_table(folder / "trials.parquet")
        responses, notes = _responses(fits, trials)
        taken = []
        if self.epochs is not None:
            taken = over_time(folder, self.epochs, trials, self.settings.step_ms or STEP_MS)
        words = trials[WORD].drop_duplicates().reset_index(drop=True)
        vectors, left_out = self._vectors(folder, facts, words)
        settings, entries = self.settings, []
        for response in responses:
            self.progress(f"{response}: {len(vectors)} regressions of {len(words):,} words")
            entries.append(_entry(trials, words, vectors, response, settings))
        courses = []
        for course in taken:
            self.progress(
                f"{' and '.join(course.components)} over time: {len(vectors)} regressions at every moment"
            )
            numbers = {"folds": settings.folds, "shuffles": settings.shuffles, "seed": settings.seed}
            courses.append(scored(course, trials, words, vectors, **numbers))
        return {
            "settings": asdict(settings),
            "courses": courses,
            "model": facts["model"],
            "entries": entries,
            "notes": notes + left_out,
            "trials": fits[0].trials,
        }

    def _vectors(
        self, folder: Path, facts: dict[str, Any], words: pd.DataFrame
    ) -> tuple[dict[Key, np.ndarray], list[str]]:
        """Return all vectors of the words, (n_words, features), and which were left out."""
        from clada_neuro.instrument.vectors import untrained, vectors_of  # loads PyTorch

        model = Setting(
            facts["model"],
            dtype=facts["dtype"],
            device=str(facts["device"]),
            start_token="none" if facts["start_token_id"] is None else str(facts["start_token_id"]),
            revision=facts.get("revision"),
        ).load()
        if model.weights_hash != facts["weights_hash"]:
            raise DataError(f"model '{facts['model']}' is not the one that the run used: its weights differ")
        stimuli = artifacts.read_table(folder / "stimuli.parquet")
        choice = read_choice(self.settings.layers)
        assert choice is not None
        self.progress(f"vectors of {len(words):,} words by {facts['model']}, trained and untrained")
        names = list(zip(words["stimulus_id"].astype(str), words["word_index"].astype(int), strict=True))
        own = vectors_of(model, stimuli, names, choice)
        after = vectors_of(model, stimuli, [(name, word + 1) for name, word in names], choice)
        drawn = vectors_of(untrained(model, self.settings.seed), stimuli, names, choice)
        table = artifacts.read_table(folder / "words.parquet").set_index(WORD)
        known = [name for name in COVARIATES if name in table]
        covariates = table.loc[pd.MultiIndex.from_frame(words), known].to_numpy(float, na_value=np.nan)
        return _usable(_named(own, after, drawn, covariates), own.missing)


def _named(
    own: "Vectors", after: "Vectors", drawn: "Vectors", covariates: np.ndarray
) -> dict[Key, np.ndarray]:
    return {
        **{("states", layer): x for layer, x in own.states.items()},
        **{("activity", layer): x for layer, x in own.activity.items()},
        **{("next word", layer): x for layer, x in after.states.items()},
        **{("untrained", layer): x for layer, x in drawn.states.items()},
        ("embedding", None): own.embedding,
        ("covariates", None): covariates,
    }


def _usable(vectors: dict[Key, np.ndarray], missing: str) -> tuple[dict[Key, np.ndarray], list[str]]:
    """Return the kinds of vectors that most words have, and why others are left out."""
    notes = [f"activity is left out: {missing}"] if missing else []
    for kind in dict.fromkeys(kind for kind, _ in vectors):
        keys = [key for key in vectors if key[0] == kind]
        known = min(np.isfinite(vectors[key]).all(axis=1).mean() for key in keys)
        if known < KNOWN and kind == FAMILY:
            raise DataError(
                f"{known:.0%} of the words have states of the model, {KNOWN:.0%} needed; the others lie beyond what the trace read"
            )
        if known < KNOWN:
            notes.append(f"{kind} is left out: {known:.0%} of the words have it, {KNOWN:.0%} needed")
            vectors = {key: x for key, x in vectors.items() if key not in keys}
    return vectors, notes


def _responses(fits: Sequence[FitRecord], trials: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the responses of a run's linear models that stand in its trials, and which do not."""
    found, notes = [], []
    for fit in fits:
        response = parse(fit.formula).response
        if fit.response_family == "gaussian" and response in trials:
            found.append(response)
        else:
            notes.append(f"{fit.name} is left out: '{response}' is no measured number of the trials")
    if not found:
        raise DataError(f"this run has no response that vectors could predict: {'; '.join(notes)}")
    return list(dict.fromkeys(found)), notes


def _entry(
    trials: pd.DataFrame,
    words: pd.DataFrame,
    vectors: dict[Key, np.ndarray],
    response: str,
    settings: EncodeSettings,
) -> dict[str, Any]:
    """Return the scores of all vectors for one response: the mean over subjects of what is left of their own means."""
    used = trials.dropna(subset=[response]).copy()
    notes = [f"{len(trials) - len(used):,} trials lack {response}"] if len(used) < len(trials) else []
    used["_own"] = used[response] - used.groupby("subject")[response].transform("mean")
    places = pd.MultiIndex.from_frame(words)
    means = used.groupby(WORD)["_own"].mean().reindex(places).to_numpy()
    complete = np.all([np.isfinite(x).all(axis=1) for x in vectors.values()], axis=0)
    kept = np.isfinite(means) & complete
    if lost := int((~kept).sum()):
        notes.append(f"{lost:,} of {len(words):,} words lack a response or a vector of some kind")
    items = used.drop_duplicates(WORD).set_index(WORD)["item"].reindex(places[kept])
    codes, _ = pd.factorize(items)
    chosen = {key: x[kept] for key, x in vectors.items()}
    found = encoding_scores(
        chosen, means[kept], codes, folds=settings.folds, shuffles=settings.shuffles, seed=settings.seed
    )
    ceiling: dict[str, float | None] = dict.fromkeys(("ceiling", "ceiling_low", "ceiling_high"))
    at = pd.MultiIndex.from_frame(used[WORD])
    rows = used.assign(_word=places.get_indexer(at))[kept[places.get_indexer(at)]]
    try:
        bound = noise_ceiling(rows, response, stimulus="_word", seed=settings.seed)
        pairs = zip(ceiling, (bound.reliability, bound.low, bound.high), strict=True)
        ceiling = {name: float(np.sqrt(max(value, 0.0))) for name, value in pairs}
    except FitError as error:
        notes.append(f"no noise ceiling: {error}")
    return {
        "response": response,
        "n_trials": len(rows),
        "n_subjects": int(rows["subject"].nunique()),
        **ceiling,
        **found,
        "notes": notes,
    }


def _over_time(found: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a group of electrodes, kind of vectors, layer and moment; layer 'chosen' is that of each fold."""
    frames = []
    for course in found:
        for row in [*course["layers"], *({"layer": "chosen", **kind} for kind in course["kinds"])]:
            columns = {name: row.get(name) for name in ("vectors", "layer", "r", "se", "p_family")}
            frames.append(
                pd.DataFrame(
                    {"electrodes": " ".join(course["channels"]), "time_ms": course["times_ms"], **columns}
                ).assign(ceiling=course["ceiling"])
            )
    return pd.concat(frames, ignore_index=True)


def _table(stored: dict[str, Any]) -> pd.DataFrame:
    rows = [
        {"response": entry["response"], **score, "ceiling": entry["ceiling"], "n_words": entry["n_words"]}
        for entry in stored["entries"]
        for score in entry["scores"]
    ]
    table = pd.DataFrame(rows).astype({"layer": "Int64", "p_family": float, "ceiling": float})
    told = [f"{entry['response']}: {note}" for entry in stored["entries"] for note in entry["notes"]]
    told += [
        f"{' '.join(course['components'])} over time: {note}"
        for course in stored["courses"]
        for note in course["notes"]
    ]
    table.attrs["notes"] = [*stored["notes"], *told]
    return table
