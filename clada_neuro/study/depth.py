"""Which layer speaks to the responses of a run: its models with each layer's measures in place of one predictor."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro import artifacts
from clada_neuro.cache import Store
from clada_neuro.errors import CladaNeuroError, DataError
from clada_neuro.exports import write_csv
from clada_neuro.lineage import refuse_mixed_trials, refuse_mixture
from clada_neuro.numerals import p_text
from clada_neuro.parts import Jobs
from clada_neuro.records.depth import DepthRecord
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.manifest import read_manifest
from clada_neuro.scale.parts import placed
from clada_neuro.stage import Stage
from clada_neuro.stats.layers.models import Given, replaceable
from clada_neuro.stats.layers.profile import profile_of
from clada_neuro.stats.layers.settings import LayerSettings, read_settings
from clada_neuro.stats.specification import ModelSpecification
from clada_neuro.study.how import How, Progress

FILE = "depth.json"
TABLES = ("profile", "choice", "chosen")


@dataclass(frozen=True, eq=False, repr=False)
class Depth:
    """What `depth` found: an entry a model of the run, as `clada_neuro.stats.layers.profile.profile_of` describes it.

    Attributes
    ----------
    entries : list of dict
    notes : list of str
        Which models of the run were left out, and why.
    """

    entries: list[dict[str, Any]]
    notes: list[str]

    @property
    def profile(self) -> pd.DataFrame:
        """One row a model, measure and layer: estimates with simultaneous intervals, gains on items held out, p of the family."""
        return _table(self.entries, "profile")

    @property
    def choice(self) -> pd.DataFrame:
        """One row a model and measure: the gain of the layer that was chosen without the items on which it is scored."""
        return _table(self.entries, "choice")

    @property
    def chosen(self) -> pd.DataFrame:
        """One row a model, measure and fold: the layer chosen there."""
        return _table(self.entries, "chosen")

    def __repr__(self) -> str:
        return "\n".join(line for entry in self.entries for line in lines_of(entry))

    def _repr_html_(self) -> str:
        return "".join(
            f"<p>{line}</p>" for entry in self.entries for line in lines_of(entry)
        ) + self.choice.to_html(index=False, border=0)


def depth(
    run: str | Path,
    *,
    settings: str | Path | None = None,
    measures: Sequence[str] | None = None,
    replicates: int | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress = lambda line: None,
) -> Depth:
    """Put each layer's measures in place of the last layer's in the models of a run, and test all of them together.

    Rows and random part of a model are the same whatever stands in it. Estimates are by REML, likelihoods compared by ML, on
    items held out; p and intervals hold for all layers and measures of a model together.

    Parameters
    ----------
    run : path
        A folder that `clada_neuro.run` wrote with ``layers``.
    settings : path, optional
        Measures, directions and numbers decided in advance (TOML); ``data/analyses/depth.toml`` by default.
    measures : sequence of str, optional
        In place of the settings' measures; columns of ``word_layers.parquet``.
    replicates : int, optional
        Responses drawn under the null, in place of the settings' number.
    jobs : int
        Processes; no value depends on them.
    scheduler : str, optional
        Workers in their place: see `clada_neuro.scale.schedulers.connected`.
    progress : callable
        Receives one line a step.

    Returns
    -------
    Depth
        Also written into the folder: ``depth.json`` and ``tables/depth_*.csv``.

    Raises
    ------
    CladaNeuroError
        If the folder is no run with layers, or no model of it has the predictor to be replaced.
    """
    chosen = read_settings(settings)
    if measures is not None:
        chosen = replace(chosen, measures=tuple(measures))
    if replicates is not None:
        chosen = replace(chosen, replicates=replicates)
    folder = Path(run)
    _check_there(folder)  # before it is made
    with placed(scheduler, jobs) as place:
        return DepthStage(chosen, place, progress).into(folder)


@dataclass(frozen=True)
class DepthStage(Stage[Depth]):
    """Do the work of `depth` on the models, words by layer and trials that a folder holds, unless it stands there."""

    name = "depth"
    files = (FILE, *(f"tables/depth_{table}.csv" for table in TABLES))
    parts = ("depth_null_*.parquet",)

    settings: LayerSettings
    jobs: Jobs = 1
    progress: Progress = lambda line: None

    def make(self, folder: Path) -> Depth:
        """Fit the family of each model, and write what was found."""
        fits, words, trials, dataset = _read(folder)
        settings = self.settings.on(dataset)
        models, notes = models_of(fits, settings.replaces)
        layers = artifacts.read_provenance(folder / "word_layers.parquet")
        made_from = (layers, fits, asdict(settings))
        store = Store.of(folder, __name__, *made_from, codec=DepthRecord.codec())

        def compute() -> dict[str, Any]:
            entries = [
                profile_of(trials, words, model, settings, jobs=self.jobs, folder=folder, progress=self._tell)
                for model in models
            ]
            return {
                "settings": asdict(settings),
                "entries": entries,
                "notes": notes,
                "trials": fits[0].trials,
            }

        stored = store.once(Path(FILE).stem, compute)
        for draws in (draws for pattern in self.parts for draws in folder.glob(pattern)):
            draws.unlink()
        found = Depth(stored["entries"], stored["notes"])
        tables = artifacts.output_folder(folder / "tables")
        for name in TABLES:
            write_csv(getattr(found, name), tables / f"depth_{name}.csv")
        for line in [*found.notes, *(line for entry in found.entries for line in lines_of(entry))]:
            self._tell(line)
        return found

    def _tell(self, line: str) -> None:
        self.progress(f"      {line}")


def depth_study(folder: Path, how: How) -> None:
    """Do the work of `depth` on a study that is done but for its report; where its data do not allow it, say why.

    The study stands without: its own models are fitted. The reason takes the place of what an earlier call left.
    """
    how.progress("      layers in place of the last one")
    try:
        DepthStage(read_settings(), how.jobs, how.progress).into(folder)
    except CladaNeuroError as error:
        note = f"no models by layer: {error}"
        how.progress(f"      note: {note}")
        for name in TABLES:
            (folder / "tables" / f"depth_{name}.csv").unlink(missing_ok=True)
        trials = FitRecord.read_all(folder / "fits.json")[0].trials
        DepthRecord.write(folder / FILE, {"settings": {}, "entries": [], "notes": [note], "trials": trials})


def check_depth(models: Sequence[ModelSpecification]) -> None:
    """Refuse models of an analysis of which none has a predictor that layers could replace.

    Raises
    ------
    DataError
        With what keeps each model out.
    """
    predictor = read_settings().replaces
    reasons = [_kept_out(model.formula, model.family, predictor) for model in models]
    if all(reasons):
        told = "; ".join(f"{model.name}: {reason}" for model, reason in zip(models, reasons, strict=True))
        raise DataError(
            f"no model of this analysis has '{predictor}' for a layer's measure to replace: {told}"
        )


def lines_of(entry: Mapping[str, Any]) -> list[str]:
    """Return what an entry says, in a few lines."""
    strong = [row for row in entry["profile"] if row["p_family"] <= 1 - entry["confidence"]]
    peak = max(entry["profile"], key=lambda row: abs(row["t"]))
    lines = [
        f"{entry['name']}: {entry['n_obs']:,} trials, {entry['n_words']} words, {entry['n_family']} models in place of "
        f"{entry['replaces']}; |t| beyond {entry['critical_t']:.2f} in {len(strong)} of them",
        f"largest |t|: {peak['measure']} of layer {peak['layer']}, b = {peak['estimate']:.3f} a standard deviation, "
        f"{100 * entry['confidence']:g} % [{peak['ci_low']:.3f}, {peak['ci_high']:.3f}], {p_text(peak['p_family'])} in the family",
    ]
    lines += [
        f"best layer of {row['measure']} chosen in {entry['folds']} folds: {row['heldout_baseline']:+.2e} nats a trial held out "
        f"(SE {row['heldout_baseline_se']:.1e}) over none, {_over_final(row, entry['replaces'])}; layers {row['layers']}"
        for row in entry["choice"]
    ]
    return lines + [f"note: {note}" for note in entry["notes"]]


def _over_final(row: Mapping[str, Any], replaced: str) -> str:
    gain = row["heldout_final"]
    if gain is None:
        return f"and is {replaced} itself"
    return f"{gain:+.2e} (SE {row['heldout_final_se']:.1e}) over {replaced}"


def _read(folder: Path) -> tuple[list[FitRecord], pd.DataFrame, pd.DataFrame, str | None]:
    """Return fits, words by layer and trials of a run, and the name of its data set, if it is of one."""
    layers, manifest = read_layers(folder, "manifest.json", "trials.parquet", "fits.json")
    fits = FitRecord.read_all(folder / "fits.json")
    refuse_mixed_trials(folder, {"fits.json": fits})
    trials = artifacts.read_table(folder / "trials.parquet")
    return fits, layers, trials, (manifest.get("dataset") or {}).get("name")


def read_layers(folder: Path, *needed: str) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    """Return the words by layer of a run and its manifest.

    Parameters
    ----------
    needed : str
        Files that must be there.

    Raises
    ------
    DataError
        If the folder is no run of one language model with layers, or lacks a file.
    """
    _check_there(folder)
    if (folder / "models").is_dir():
        names = sorted(place.name for place in (folder / "models").iterdir())
        raise DataError(
            f"'{folder}' compares language models; give the folder of one, such as '{folder / 'models' / names[0]}'"
        )
    for name in needed:
        if not (folder / name).is_file():
            raise DataError(
                f"'{folder}' has no {name}; give a folder that `clada-neuro run --layers all` wrote to"
            )
    manifest = read_manifest(folder / "manifest.json")
    asked = manifest.get("word_layers")
    if asked is None:
        raise DataError(f"'{folder}' has no measures by layer; give its run command again with --layers all")
    path = folder / "word_layers.parquet"
    if not path.is_file():
        raise DataError(
            f"'{folder}' has no measures by layer: {asked.get('missing', 'the trace is not finished')}"
        )
    refuse_mixture(path, manifest)
    return artifacts.read_table(path), manifest


def _check_there(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder; give one that `clada-neuro run --layers all` wrote to")


def models_of(fits: Sequence[FitRecord], predictor: str) -> tuple[list[Given], list[str]]:
    """Return the models in which a predictor can be replaced, and why others are left out.

    Raises
    ------
    DataError
        If there are none.
    """
    models, notes = [], []
    for fit in fits:
        if reason := _kept_out(fit.formula, fit.response_family, predictor):
            notes.append(f"{fit.name} is left out: {reason}")
        else:
            scaled, contrasts = tuple(fit.standardized or ()), fit.specified_contrasts or None
            models.append(Given(fit.name, fit.formula, scaled, contrasts, fit.weights))
    if not models:
        raise DataError(
            f"no model of this run has the predictor '{predictor}' that another could replace: {'; '.join(notes)}"
        )
    return models, notes


def _kept_out(formula: str, family: str, predictor: str) -> str:
    """Return why a layer's measure cannot stand in place of a model's predictor, empty where it can."""
    if family != "gaussian":
        return f"its response is {family}, and only linear models are compared so"
    return replaceable(formula, predictor)


def _table(entries: Sequence[Mapping[str, Any]], name: str) -> pd.DataFrame:
    """Return a table of all entries, each row with the model it belongs to."""
    return pd.DataFrame(
        [
            {"model": entry["name"], "response": entry["response"], **row}
            for entry in entries
            for row in entry[name]
        ]
    )
