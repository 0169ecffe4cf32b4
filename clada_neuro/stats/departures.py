"""What was done beside what was specified: departures named."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clada_neuro.stats.specification import (
    Analysis,
    EpochsSpecification,
    ModelSpecification,
    SynergySpecification,
)


def departures(
    analysis: Analysis,
    entries: Iterable[Mapping[str, Any]],
    *,
    synergy: Mapping[str, Any] | None = None,
    window_ms: tuple[float, float] | None = None,
    exclusions: Iterable[str] = (),
    language_models: Iterable[str] = (),
    language: str = "",
    epochs: EpochsSpecification | None = None,
) -> list[str]:
    """Name everything in which a run differs from its analysis file, one line each; empty when nothing does.

    Parameters
    ----------
    entries
        The entries of fits.json.
    synergy
        The content of synergy.json, if there is one.
    window_ms, exclusions, language_models, language, epochs
        What the run used.
    """
    fitted = {entry["name"]: entry for entry in entries}
    lines = [line for model in analysis.models for line in _model(model, fitted.get(model.name))]
    known = {model.name for model in analysis.models}
    lines += [
        f"model '{name}' was fitted but not specified: exploratory" for name in fitted if name not in known
    ]
    lines += [
        f"ladder '{ladder.name}' was specified but not climbed; `clada-neuro synergy human` climbs ladders"
        for ladder in analysis.ladders
    ]
    lines += _synergy(analysis.synergy, synergy)
    lines += _window(analysis.window_ms, [window_ms] if window_ms else [], epochs)
    lines += _sets("exclusion", analysis.exclusions, exclusions)
    if analysis.language_models:
        lines += _sets("language model", analysis.language_models, language_models)
    if analysis.language and language != analysis.language:
        lines.append(f"word frequencies of language '{language}' used, of '{analysis.language}' specified")
    if epochs:
        return lines + _measured(analysis.epochs, epochs)
    if analysis.epochs != EpochsSpecification():
        lines.append("[epochs] was specified, but amplitudes were there already and were not measured")
    return lines


def _window(
    specified: tuple[float, float] | None,
    known: Sequence[tuple[float, float]],
    epochs: EpochsSpecification | None,
) -> list[str]:
    if specified is None:
        return []
    used = [*known, *(epochs.window_ms.values() if epochs else [])]
    if not used:
        return [f"window {_span(specified)} specified, which nothing says of the amplitudes that were given"]
    others = dict.fromkeys(_span(window) for window in used if tuple(window) != tuple(specified))
    return [f"window {other} used, {_span(specified)} specified" for other in others]


def reduction(entry: Mapping[str, Any]) -> str:
    """Say in one line what the reduction ladder took out of an entry's random part."""
    removed = ", then ".join(rung["removed"] for rung in entry["ladder"] if rung["removed"])
    return f"the reduction ladder removed {removed}"


def _model(specified: ModelSpecification, entry: Mapping[str, Any] | None) -> list[str]:
    name = specified.name
    if entry is None:
        return [f"model '{name}' was specified but not fitted"]
    lines = []
    if "".join(entry["formula"].split()) != "".join(specified.formula.split()):
        why = f" ({reduction(entry)})" if len(entry.get("ladder", ())) > 1 else ""
        lines.append(
            f"model '{name}': formula '{entry['formula']}' fitted, '{specified.formula}' specified{why}"
        )
    if entry.get("reml", specified.reml) != specified.reml:
        used, planned = ("REML", "ML") if entry["reml"] else ("ML", "REML")
        lines.append(f"model '{name}': {used} used, {planned} specified")
    family = entry.get("response_family", "gaussian")
    if family != specified.family:
        lines.append(f"model '{name}': family {family} used, {specified.family} specified")
    elif entry.get("df_method", specified.df) != specified.df:
        lines.append(f"model '{name}': df {entry['df_method']} used, {specified.df} specified")
    return lines


def _synergy(specified: SynergySpecification | None, found: Mapping[str, Any] | None) -> list[str]:
    if specified is None:
        return ["synergy was estimated but not specified: exploratory"] if found else []
    if found is None:
        return ["synergy was specified but not estimated"]
    lines = []
    if list(found["predictors"]) != list(specified.predictors):
        used, planned = " x ".join(found["predictors"]), " x ".join(specified.predictors)
        lines.append(f"synergy of {used} estimated, of {planned} specified")
    done = ((found.get("intervals") or {}).get("parametric") or {}).get("n", 0)
    if specified.bootstrap is not None and done < specified.bootstrap:
        lines.append(f"synergy: {done} bootstrap replicates drawn, {specified.bootstrap} specified")
    return lines


def _measured(specified: EpochsSpecification, used: EpochsSpecification) -> list[str]:
    lines = []
    for name, window in specified.window_ms.items():
        if tuple(used.window_ms[name]) != tuple(window):
            lines.append(f"{name}: window {_span(used.window_ms[name])} used, {_span(window)} specified")
    for name, electrodes in specified.roi.items():
        if tuple(used.roi[name]) != tuple(electrodes):
            lines.append(f"{name}: {', '.join(used.roi[name])} used, {', '.join(electrodes)} specified")
    if specified.baseline and used.baseline != specified.baseline:
        lines.append(f"baseline '{used.baseline}' used, '{specified.baseline}' specified")
    if specified.soa_ms and used.soa_ms != specified.soa_ms:
        lines.append(f"SOA {used.soa_ms:g} ms given, {specified.soa_ms:g} ms specified")
    return lines


def _sets(kind: str, specified: Iterable[str], used: Iterable[str]) -> list[str]:
    specified, used = list(specified), list(used)
    missing = [f"{kind} '{name}' was specified but not used" for name in specified if name not in used]
    return missing + [f"{kind} '{name}' was used but not specified" for name in used if name not in specified]


def _span(window: Sequence[float]) -> str:
    return f"{window[0]:g}-{window[1]:g} ms"
