"""How amplitudes are taken from epochs: as the analysis says, changed where something else was asked for, and checked."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clada_neuro.errors import DataError
from clada_neuro.stats.specification import Analysis, EpochsSpecification
from clada_neuro.study.target import Target


def with_measures(target: Target, given: EpochsSpecification | None, name: str) -> Target:
    """Settle how the amplitudes of a target are measured; `name` is what the target was called.

    Raises
    ------
    DataError
        For windows and electrodes of responses that are there already, and for what these epochs do not hold.
    """
    if target.epochs is None and given is None:
        return target
    if target.epochs is None:
        raise DataError(
            f"amplitudes of '{name}' are there already; windows, electrodes, baseline and SOA are for --epochs only"
        )
    target = replace(target, measured=_settled(target.analysis, given))
    return replace(target, described=_checked(target))


def _settled(analysis: Analysis, given: EpochsSpecification | None) -> EpochsSpecification:
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


def _checked(target: Target) -> tuple[str, ...]:
    """Refuse, before any long work, what cannot be measured and a baseline column that will not be made.

    Returns the columns of the epochs' metadata, so that their files are not opened once more for them.
    """
    from clada_neuro.erp.checks import check_recordings
    from clada_neuro.erp.sources import baseline_subtracted, read_epochs

    assert target.epochs is not None
    recordings = read_epochs(target.epochs).epochs
    check_recordings(recordings, target.measurement)
    metadata = [epochs.metadata for epochs in recordings.values() if epochs.metadata is not None]
    columns = tuple(dict.fromkeys(str(name) for table in metadata for name in table))
    if not target.baselines:
        return columns
    if target.measurement.baseline != "covariate":
        why = f"the baseline is asked for as '{target.measurement.baseline}'"
    elif baseline_subtracted(recordings):
        why = "the baseline was subtracted before the epochs were saved"
    else:
        return columns
    raise DataError(
        f"a formula names {min(target.baselines)}, but {why}, so there is no such column; take it out of the formula"
    )
