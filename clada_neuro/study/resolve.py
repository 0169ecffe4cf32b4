"""What ``clada-neuro run TARGET`` means, found out in one direction: what is asked, material, analysis, measures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from clada_neuro.losses import step
from clada_neuro.stimuli.keys import as_key, respelled
from clada_neuro.study.asked import Asked
from clada_neuro.study.decide import decide
from clada_neuro.study.material import of_name, with_responses
from clada_neuro.study.measured import with_measures
from clada_neuro.study.named import is_name, read_file, refuse_file_options
from clada_neuro.study.response_files import ResponseFiles
from clada_neuro.study.target import Target


def resolve_target(
    target: str | Path,
    files: ResponseFiles | None = None,
    asked: Asked | None = None,
    *,
    limit: int | None = None,
    **reading: Any,
) -> Target:
    """Find out what `target` names and read it.

    Parameters
    ----------
    target
        ``"demo"``, the name of a data set, or a stimulus file.
    files
        The responses to a stimulus file.
    asked
        What is said of the analysis; the target's own by default.
    limit
        Only the first items.
    **reading
        How stimuli are read, as in `clada_neuro.study.named.resolve_stimuli`.

    Raises
    ------
    DataError
        For a name that is neither a file, a data set nor ``"demo"``, a stimulus file without trials, options of
        stimulus files given to a name, or responses that the analysis does not find.
    """
    files, asked = files or ResponseFiles(), asked or Asked()
    if is_name(target):
        refuse_file_options(target, **reading, **files.given)
        found = of_name(str(target))
    else:
        stimuli, path = read_file(target, **reading), Path(target)
        found = with_responses(stimuli, path, files, asked.columns)
    found = replace(found, index_base=files.trial_index_base, max_lost=files.max_lost, where=files.conditions)
    found = with_measures(decide(found, asked, f"'{files.trials or target}'"), files.measured, str(target))
    return _first_items(found, limit) if limit else found


def _first_items(target: Target, limit: int) -> Target:
    """Keep the first `limit` items and their trials; exclusions count trials, or stimuli where those come later."""
    kept = target.stimuli["item"].drop_duplicates().head(limit)
    stimuli = target.stimuli.loc[target.stimuli["item"].isin(kept)]
    why = f"only the first {limit} items were asked for"
    if target.trials is None:
        lost = step("limit, stimuli", len(target.stimuli), len(target.stimuli) - len(stimuli), why)
        beyond = target.stimuli.drop(index=stimuli.index)
        return replace(target, stimuli=stimuli, exclusions=[*target.exclusions, lost], beyond=beyond)
    key = "stimulus_id" if "stimulus_id" in target.trials else "item"
    if key not in target.trials:
        return replace(target, stimuli=stimuli)  # `align` says which key is missing
    given = as_key(target.trials[key])
    known = set(as_key(target.stimuli[key]))
    trials = target.trials.loc[given.replace(respelled(given, known)).isin(stimuli[key])]
    lost = step("limit", len(target.trials), len(target.trials) - len(trials), why)
    return replace(target, stimuli=stimuli, trials=trials, exclusions=[*target.exclusions, lost])
