"""What ``clada-neuro run TARGET`` can mean: the demonstration, a public data set, or the user's own files."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import package_data
from clada_neuro.erp.measurement import Measurement
from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.responses.response import response_of, unknown_unit
from clada_neuro.responses.trials import read_trials
from clada_neuro.responses.unmatched import MAX_LOST
from clada_neuro.stats.specification import Analysis, EpochsSpecification
from clada_neuro.stimuli import datasets
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.stimuli.keys import as_key, respelled
from clada_neuro.study.decide import SPILLOVER, Asked, others, shipped_analysis
from clada_neuro.study.suited import suited

DEMO = "demo"
_OPTIONS = {"columns": "column"}  # keywords whose option is called otherwise
DEFAULT = {"kind": "default", "name": "default"}
# n400_uv and n400_baseline_uv both name the n400.
_AMPLITUDE = re.compile(r"\b(\w+?)(?:_baseline)?_uv\b")
_BASELINE = re.compile(r"\b\w+_baseline_uv\b")
# Of the default analysis, which knows nothing of the stimuli: left out where they do not vary.
_CONTROLS = ("entropy_bits", "length", "zipf_frequency", "position", SPILLOVER)
_DEMO_FILES = ("n400_demo.csv", "p600_demo.csv")


@dataclass(frozen=True)
class Target:
    """Stimuli, responses and the analysis decided for them.

    Responses are `trials`, or are read from `epochs`, or are simulated from the trace when both are missing.
    `analysis` is what is run; `decided`, where it differs, is what was specified in advance. `measured` says how
    amplitudes are taken from epochs; `controls` names terms that may be left out. `decided_by` says whose the analysis
    is: of a ``file``, of ``formula``s, of the ``data set``, or the built-in ``default``. Of the trials, only those `where`
    these conditions are true are used. `index_base` and `max_lost` are for `align`.
    """

    name: str
    stimuli: pd.DataFrame
    trials: pd.DataFrame | None
    analysis: Analysis
    exclusions: list[dict[str, Any]] = field(default_factory=list)
    dataset: Mapping[str, Any] | None = None
    epochs: Path | None = None
    measured: EpochsSpecification | None = None
    decided: Analysis | None = None
    controls: tuple[str, ...] = ()
    index_base: int | None = None
    max_lost: float = MAX_LOST
    decided_by: Mapping[str, str] = field(default_factory=lambda: DEFAULT)
    notes: tuple[str, ...] = ()
    where: tuple[str, ...] = ()

    def suited_to(self, trials: pd.DataFrame) -> tuple["Target", list[str]]:
        """Leave out of an analysis that knows nothing of the stimuli what these trials cannot carry; say what."""
        if not self.controls:
            return self, []
        analysis, lines = suited(self.analysis, self.controls, trials)
        return replace(self, analysis=analysis, decided=self.specified), lines

    @property
    def specified(self) -> Analysis:
        """The analysis as it was decided in advance, before anything narrowed it."""
        return self.decided or self.analysis

    @property
    def measurement(self) -> Measurement:
        """How amplitudes are taken from `epochs`: every component that a formula names."""
        named = [_AMPLITUDE.findall(model.formula) for model in self.analysis.models]
        names = dict.fromkeys(name for found in named for name in found)
        return Measurement.specified(names, **vars(self.measured or EpochsSpecification()))

    @property
    def components(self) -> list[str]:
        """What the analysis explains, by name: ``n400`` for n400_uv."""
        return sorted({model.response.removesuffix("_uv") for model in self.analysis.models})

    @property
    def simulated(self) -> bool:
        """Whether responses come from the simulator."""
        return self.trials is None and self.epochs is None


def resolve_target(
    target: str | Path,
    *,
    trials: str | Path | None = None,
    epochs: str | Path | None = None,
    analysis: str | Path | None = None,
    measured: EpochsSpecification | None = None,
    component: str | None = None,
    response: str | Sequence[str] | None = None,
    formula: str | Sequence[str] | None = None,
    where: str | Sequence[str] | None = None,
    limit: int | None = None,
    trial_columns: Mapping[str, str] | None = None,
    trial_index_base: int | None = None,
    trial_encoding: str | None = None,
    trial_sheet: str | None = None,
    max_lost: float = MAX_LOST,
    **reading: Any,
) -> Target:
    """Find out what `target` names and read it; arguments as in `clada_neuro.run`.

    `measured` is how amplitudes are to be taken from epochs, where it differs from the analysis; `reading` how stimuli
    are read, as in `resolve_stimuli`.

    Raises
    ------
    DataError
        For a name that is neither a file, a data set nor ``"demo"``, a stimulus file without trials, options of
        stimulus files given to a name, or responses that the analysis does not find.
    """
    stimuli = resolve_stimuli(target, **reading)
    asked = Asked.of(analysis, formula, response, component)
    if _is_name(target):
        _refuse_file_options(
            target, trials=trials, epochs=epochs, trial_column=trial_columns, trial_index_base=trial_index_base,
            trial_encoding=trial_encoding, trial_sheet=trial_sheet,
        )  # fmt: skip
        found = _demo(stimuli) if target == DEMO else _data_set(str(target), stimuli)
    elif trials is not None and epochs is None:
        responses = read_trials(
            trials,
            columns=trial_columns,
            numbers=asked.columns,
            encoding=trial_encoding,
            sheet=trial_sheet or 0,
        )
        found = Target(Path(target).stem, stimuli, responses, shipped_analysis("default"), controls=_CONTROLS)
    else:
        found = _epochs_file(Path(target), stimuli, trials, epochs, measured)
        _refuse_trial_columns(trial_columns)
    conditions = (where,) if isinstance(where, str) else tuple(where or ())
    found = replace(found, index_base=trial_index_base, max_lost=max_lost, where=conditions)
    found = _decided(found, asked, f"'{trials or target}'")
    if found.epochs is not None:
        _check_epochs(found := replace(found, measured=_measured(found.analysis, measured)))
    elif measured is not None:
        raise DataError(
            f"amplitudes of '{target}' are there already; windows, electrodes, baseline and SOA are for --epochs only"
        )
    return _first_items(found, limit) if limit else found


def _decided(target: Target, asked: Asked, origin: str) -> Target:
    """Settle the analysis: as it was asked for, else the target's own, else the default for the responses there are."""
    ships = target.dataset is not None and package_data("analyses", f"{target.name}.toml").is_file()
    own = {"kind": "data set", "name": target.name} if ships or target.name == DEMO else DEFAULT
    if target.trials is None:  # what is measured or simulated follows the analysis
        decided, chosen = asked.decided or target.analysis, asked.chosen(target.analysis)
        by, controls = asked.by or own, () if asked.by else target.controls
        return replace(target, analysis=chosen, decided=decided, controls=controls, decided_by=by)
    chosen, decided, default = asked.on(target.trials, origin, target.analysis if ships else None)
    by, controls = (DEFAULT, _CONTROLS) if default else (asked.by or own, ())
    notes = _explained(target.trials, chosen) if default and not asked.responses else ()
    notes += _units(chosen)
    return replace(target, analysis=chosen, decided=decided, controls=controls, decided_by=by, notes=notes)


def _explained(trials: pd.DataFrame, analysis: Analysis) -> tuple[str, ...]:
    """Say which responses the default analysis explains where nobody named them, and which others there are."""
    known = [response_of(model.response) for model in analysis.models]
    named = [
        f"{response.column} ({', '.join(filter(None, (response.plural, response.unit)))})"
        for response in known
    ]
    more = others(trials, analysis)
    rest = f"; {', '.join(more)} with --response" if more else ""
    return (f"no response, formula or analysis was given: the default explains {', '.join(named)}{rest}",)


def _units(analysis: Analysis) -> tuple[str, ...]:
    """Say which responses are in a unit that is not known here, so that their numbers go without one."""
    columns = dict.fromkeys(name for model in analysis.models for name in model.response_columns)
    return tuple(
        f"{name}: the unit '{unit}' is not known, so its numbers stand without one; amplitudes are in µV (…_uv), times in ms "
        "(…_ms), pupils in mm (…_mm)"
        for name in columns
        if (unit := unknown_unit(name))
    )


def _refuse_trial_columns(declared: Mapping[str, str] | None) -> None:
    if declared:
        raise DataError("--trial-column is for --trials; rename the columns of the epochs' metadata")


def resolve_stimuli(name: str | Path, **reading: Any) -> pd.DataFrame:
    """Read the stimuli of the demonstration, of a data set, or of a file as `clada_neuro.read_stimuli` does.

    `reading` are the keywords of `clada_neuro.read_stimuli`, None where nothing was said.

    Raises
    ------
    DataError
        For a name that is neither a file, a data set nor ``"demo"``, or options of stimulus files given to a name.
    """
    if _is_name(name):
        _refuse_file_options(
            name, **{_OPTIONS.get(option, option): given for option, given in reading.items()}
        )
        if name != DEMO:
            return datasets.load(str(name))
        parts = [read_stimuli(package_data("stimuli", part)) for part in _DEMO_FILES]
        return pd.concat(parts, ignore_index=True)
    if not os.path.isfile(name) and not os.path.isdir(name):  # False, too, for what cannot be the name of one
        raise DataError(
            f"'{name}' is neither a stimulus file here nor a data set{did_you_mean(str(name), _names())}; "
            "list them with: clada-neuro data list"
        )
    return read_stimuli(name, **{option: given for option, given in reading.items() if given is not None})


def language_of(name: str | Path) -> str:
    """Return the language of a data set's texts; English for the demonstration and for files."""
    return datasets.info(str(name)).language if str(name) in datasets.names() else "en"


def _names() -> list[str]:
    return [DEMO, *datasets.names()]


def _is_name(target: str | Path) -> bool:
    return str(target) in _names()


def _refuse_file_options(name: str | Path, **options: object) -> None:
    given = [f"--{option.replace('_', '-')}" for option, value in options.items() if value not in (None, {})]
    if given:
        raise DataError(
            f"'{name}' is read as it was published: {', '.join(given)} is for stimulus files only"
        )


def _demo(stimuli: pd.DataFrame) -> Target:
    return Target(DEMO, stimuli, None, shipped_analysis(DEMO))


def _data_set(name: str, stimuli: pd.DataFrame) -> Target:
    trials = datasets.load_trials(name)
    facts = {
        key: value
        for key, value in asdict(datasets.info(name)).items()
        if key not in ("files", "source", "loader")
    }
    source = datasets.info(name).source
    facts |= {"licence": source.licence, "citation": facts["citation"] or source.citation}
    return Target(
        name, stimuli, trials.frame, shipped_analysis(name), trials.exclusions.to_dict("records"), facts
    )


def _epochs_file(
    stimuli: Path,
    table: pd.DataFrame,
    trials: str | Path | None,
    epochs: str | Path | None,
    measured: EpochsSpecification | None,
) -> Target:
    if epochs is None or trials is not None:
        raise DataError(
            f"'{stimuli}' needs responses: add either --trials FILE (a row per subject and stimulus) or "
            "--epochs FILE (MNE epochs), or use clada-neuro trace for the stimuli alone"
        )
    covariate = measured is None or measured.baseline in (None, "covariate")
    chosen = _epochs_analysis(Path(epochs)) if covariate else shipped_analysis("default")
    # A baseline that other software subtracted is 0 in every trial.
    baselines = {column for model in chosen.models for column in _BASELINE.findall(model.formula)}
    controls = (*_CONTROLS, *sorted(baselines))
    return Target(stimuli.stem, table, None, chosen, epochs=Path(epochs), controls=controls)


def _epochs_analysis(epochs: Path) -> Analysis:
    """Return the analysis with the baseline as covariate, or without where it was subtracted before."""
    from clada_neuro.erp.sources import baseline_subtracted

    return shipped_analysis("default" if baseline_subtracted(epochs) else "epochs")


def _measured(analysis: Analysis, given: EpochsSpecification | None) -> EpochsSpecification:
    """Return how the analysis measures, changed where something else was asked for."""
    chosen, names = analysis.epochs, sorted({model.response.removesuffix("_uv") for model in analysis.models})
    if analysis.window_ms and not chosen.window_ms:
        if len(names) > 1:
            raise DataError(
                f"window_ms = {list(analysis.window_ms)} is one window, but {', '.join(names)} are analyzed; write "
                "[epochs] with window_ms = { n400 = [300, 500], … }"
            )
        chosen = replace(chosen, window_ms={names[0]: analysis.window_ms})
    if given is None:
        return chosen
    window_ms, roi = _named(given.window_ms, names, "window"), _named(given.roi, names, "roi")
    return chosen.updated(replace(given, window_ms=window_ms, roi=roi))


def _named(given: Mapping[str, Any], names: list[str], option: str) -> dict[str, Any]:
    """Give a value without a component's name, under the key "", to the only component there is."""
    if "" in given and len(names) > 1:
        raise DataError(
            f"--{option} does not say which of {', '.join(names)} it is for; write --{option} {names[0]}=… or choose "
            "one with --component"
        )
    return {name or names[0]: value for name, value in given.items()}


def _check_epochs(target: Target) -> None:
    """Refuse, before any long work, what cannot be measured and a baseline column that will not be made."""
    from clada_neuro.erp.checks import check_recordings
    from clada_neuro.erp.sources import baseline_subtracted, read_epochs

    assert target.epochs is not None
    recordings = read_epochs(target.epochs).epochs
    check_recordings(recordings, target.measurement)
    named = {column for model in target.analysis.models for column in _BASELINE.findall(model.formula)}
    if not named:
        return
    if target.measurement.baseline != "covariate":
        why = f"the baseline is asked for as '{target.measurement.baseline}'"
    elif baseline_subtracted(recordings):
        why = "the baseline was subtracted before the epochs were saved"
    else:
        return
    raise DataError(
        f"a formula names {min(named)}, but {why}, so there is no such column; take it out of the formula"
    )


def _first_items(target: Target, limit: int) -> Target:
    """Keep the first `limit` items and their trials; exclusions count trials, or stimuli where those come later."""
    kept = target.stimuli["item"].drop_duplicates().head(limit)
    stimuli = target.stimuli.loc[target.stimuli["item"].isin(kept)]
    if target.trials is None:
        step = _limited("limit, stimuli", limit, len(target.stimuli), len(stimuli))
        return replace(target, stimuli=stimuli, exclusions=[*target.exclusions, step])
    key = "stimulus_id" if "stimulus_id" in target.trials else "item"
    if key not in target.trials:
        return replace(target, stimuli=stimuli)  # `align` says which key is missing
    given = as_key(target.trials[key])
    known = set(as_key(target.stimuli[key]))
    trials = target.trials.loc[given.replace(respelled(given, known)).isin(stimuli[key])]
    step = _limited("limit", limit, len(target.trials), len(trials))
    return replace(target, stimuli=stimuli, trials=trials, exclusions=[*target.exclusions, step])


def _limited(step: str, limit: int, before: int, after: int) -> dict[str, Any]:
    return {
        "step": step,
        "reason": f"only the first {limit} items were asked for",
        "rows_before": before,
        "rows_removed": before - after,
        "rows_after": after,
    }
