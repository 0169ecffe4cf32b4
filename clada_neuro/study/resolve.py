"""What ``clada-neuro run TARGET`` means, found out in one direction: what is asked, material, analysis, measures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clada_neuro.losses import step
from clada_neuro.responses.unmatched import MAX_LOST
from clada_neuro.stats.specification import EpochsSpecification
from clada_neuro.stimuli.keys import as_key, respelled
from clada_neuro.study.asked import Asked
from clada_neuro.study.decide import decide
from clada_neuro.study.fitting import Fitting
from clada_neuro.study.material import of_name, with_epochs, with_trials
from clada_neuro.study.measured import with_measures
from clada_neuro.study.named import is_name, read_file, refuse_file_options
from clada_neuro.study.target import Target


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
    fitting: Fitting | None = None,
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
    are read, as in `clada_neuro.study.named.resolve_stimuli`.

    Raises
    ------
    DataError
        For a name that is neither a file, a data set nor ``"demo"``, a stimulus file without trials, options of
        stimulus files given to a name, or responses that the analysis does not find.
    """
    asked = Asked.of(analysis, formula, response, component, fitting)
    numbers = asked.columns
    if is_name(target):
        refuse_file_options(
            target, **reading, trials=trials, epochs=epochs, trial_columns=trial_columns, trial_index_base=trial_index_base,
            trial_encoding=trial_encoding, trial_sheet=trial_sheet,
        )  # fmt: skip
        found = of_name(str(target))
    else:
        stimuli, path = read_file(target, **reading), Path(target)
        if trials is not None and epochs is None:
            found = with_trials(
                stimuli, path, trials, columns=trial_columns, numbers=numbers, encoding=trial_encoding, sheet=trial_sheet
            )  # fmt: skip
        else:
            found = with_epochs(
                stimuli, path, epochs, trials=trials, columns=trial_columns, measured=measured
            )
    conditions = (where,) if isinstance(where, str) else tuple(where or ())
    found = replace(found, index_base=trial_index_base, max_lost=max_lost, where=conditions)
    found = with_measures(decide(found, asked, f"'{trials or target}'"), measured, str(target))
    return _first_items(found, limit) if limit else found


def _first_items(target: Target, limit: int) -> Target:
    """Keep the first `limit` items and their trials; exclusions count trials, or stimuli where those come later."""
    kept = target.stimuli["item"].drop_duplicates().head(limit)
    stimuli = target.stimuli.loc[target.stimuli["item"].isin(kept)]
    why = f"only the first {limit} items were asked for"
    if target.trials is None:
        lost = step("limit, stimuli", len(target.stimuli), len(target.stimuli) - len(stimuli), why)
        return replace(target, stimuli=stimuli, exclusions=[*target.exclusions, lost])
    key = "stimulus_id" if "stimulus_id" in target.trials else "item"
    if key not in target.trials:
        return replace(target, stimuli=stimuli)  # `align` says which key is missing
    given = as_key(target.trials[key])
    known = set(as_key(target.stimuli[key]))
    trials = target.trials.loc[given.replace(respelled(given, known)).isin(stimuli[key])]
    lost = step("limit", len(target.trials), len(target.trials) - len(trials), why)
    return replace(target, stimuli=stimuli, trials=trials, exclusions=[*target.exclusions, lost])
