"""The paragraphs a paper needs: Methods, and results in APA style, from what the stages wrote."""

from collections.abc import Iterator

import pandas as pd

from clada_neuro.measures.tokens import TOKENS
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.manifest import DataFacts, Manifest, ModelFacts, removed_by
from clada_neuro.records.terms import contrast, factors
from clada_neuro.reporting import layer_maps, layers, levels, maps, marginal, overlap, references, smooths
from clada_neuro.reporting.analyzed import GROUPS, Analyzed, analyzed
from clada_neuro.reporting.effects import primary, reported_terms, response
from clada_neuro.reporting.interaction import paragraph
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.scales import back, method, told
from clada_neuro.reporting.text import cell, p_value, plural, share, shares, stat
from clada_neuro.responses.response import response_of

_ALPHA = 0.05
_DF = {
    "satterthwaite": f"Satterthwaite ({references.cite('satterthwaite')})",
    "kenward-roger": f"Kenward and Roger, standard errors, too ({references.cite('kenward-roger')})",
}


def methods(results: Results) -> list[str]:
    """Return the Methods paragraphs: model, measures, responses, regressions."""
    parts = (
        _model(results),
        _responses(results),
        _epochs(results),
        _regressions(results),
        layers.methods(results.depth),
        overlap.methods(results),
        maps.methods(results),
        layer_maps.methods(results),
    )
    return [paragraph for paragraph in parts if paragraph]


def _model(results: Results) -> str:
    known = language_models(results.manifest)
    if not known:
        return ""
    count = results.overview.n_texts
    read = "The stimuli" if count is None else plural(count, "text")
    measured = results.tables.get("words", pd.DataFrame())
    recorded = [name for name in measured if measured[name].notna().any()]
    measures = [one.cited for one in TOKENS if one.in_methods and one.name in recorded]
    policy = policy_name(results.manifest)
    computed = (
        "with every feed-forward neuron computed (dense)"
        if policy == "dense"
        else f"under the policy {policy}, which left out {what_is_skipped(results.manifest)} (scope {results.manifest.policy.scope})"
    )
    named = _list([model_in_words(model) for model in known])
    tokens = _list(list(dict.fromkeys(map(start_token, known))))
    first = (
        f"{read} were presented to the language model{'s' if len(known) > 1 else ''} {named} {computed}. Each text was "
        f"preceded by {tokens}."
    )
    return f"{first} For each word we recorded {_list(measures)}." if measures else first


def cited(results: Results) -> list[str]:
    """Return the full references of what the Methods paragraphs cite."""
    return references.listed(methods(results))


def language_models(manifest: Manifest) -> list[ModelFacts]:
    """Return how each language model of a run describes itself."""
    return manifest.models


def model_in_words(model: ModelFacts) -> str:
    """Return a model's full name with its paper, architecture, quantisation, revision and precision."""
    key = references.of_model(model)
    facts = [
        references.cite(key) if key else "",
        model.architecture,
        model.quantization,
        f"revision {model.revision}" if model.revision else "",
        model.source,
        f"computed in {model.dtype}",
    ]
    return f"{model.name} ({'; '.join(str(fact) for fact in facts if fact)})"


def start_token(model: ModelFacts) -> str:
    """Return the start token in words."""
    if model.scoring:
        return "its tokenizer's own special token"
    token = model.start_token
    return "no start token" if token is None else f"the start token {token} (id {model.start_token_id})"


def policy_name(manifest: Manifest) -> str:
    """Return the name of the activation policy."""
    return manifest.policy.name


def what_is_skipped(manifest: Manifest) -> str:
    """Return whose weights the activation policy leaves out."""
    return {"ffn": "part of the feed-forward weights", "all": "part of the linear weights"}[
        manifest.policy.scope
    ]


def calibration_in_words(manifest: Manifest) -> str:
    """Return the file and the hash of the calibration that decided the masks, empty for a policy that needs none."""
    found = manifest.calibration
    if found is None:
        return ""
    added = f"; added tables of {policy_name(manifest)}: {found.added}" if found.added else ""
    return f"file: {found.file}; hash: {found.hash}{added}"


def _responses(results: Results) -> str:
    if "trials" not in results.tables:
        return ""
    used = analyzed(results)
    each = [_counts(one) + (f" for {_list(list(one.of))}" if len(used) > 1 else "") for one in used]
    lost = "".join(f" {sentence}" for one in used for sentence in [*_incomplete(one)]) + _removed(results)
    if results.simulated:
        return f"The responses are SIMULATED, not recorded: {_list(each)}.{lost}"
    data = results.manifest.dataset or DataFacts()
    source = f" of {data.citation}" if data.citation else ""
    detail = [
        *(
            f"{response_of(f'{name}_uv').name}: mean of {low}–{high} ms"
            for name, (low, high) in data.window_ms.items()
        ),
        *([f"over {cell(data.roi)}"] if data.roi else []),
        *([f"reference: {data.reference}"] if data.reference else []),
    ]
    return f"We analyzed {_list(each)}{source}" + (f" ({'; '.join(detail)})." if detail else ".") + lost


def _counts(one: Analyzed) -> str:
    """Return ``437 trials from 20 subjects (24 items, 48 unique texts)``."""
    people = one.groups.get("subject")
    rows = (
        f"{plural(one.n, 'trial')} from {plural(people, 'subject')}"
        if people
        else f"{one.n:,} means over trials"
    )
    groups = [plural(one.groups[name], noun) for name, noun in GROUPS[1:] if name in one.groups]
    return rows + (f" ({', '.join(groups)})" if groups else "")


def _incomplete(one: Analyzed) -> Iterator[str]:
    if one.given > one.n:
        gaps = "; ".join(f"{name}: {count:,}" for name, count in one.missing.items())
        of = f" in the model of {_list(list(one.of))}" if one.of else ""
        yield (
            f"{one.given - one.n:,} of {plural(one.given, 'trial')} had missing values and were left out{of}"
            + (f" ({gaps})." if gaps else ".")
        )


def _removed(results: Results) -> str:
    """Say what was removed on the way to the table of trials."""
    steps = [step for step in results.manifest.exclusions if "stimuli" not in step.step]
    removed = removed_by(steps)
    text = f" {removed:,} rows were removed before analysis, step by step as listed." if removed else ""
    return text + _without_words(results.manifest)


def _without_words(manifest: Manifest) -> str:
    """Return how many responses had no word among the stimuli, and were left out for that."""
    steps = [step for step in manifest.joins if step.step.endswith(" without a word")]
    removed = removed_by(steps)
    if not removed:
        return ""
    before = steps[0].rows_before
    return (
        f" {removed:,} of {before:,} responses ({100 * removed / before:.1f}%) had no word among the stimuli."
    )


def _epochs(results: Results) -> str:
    facts = results.erp_facts
    if not facts:
        return ""
    measured = [
        f"{known.name.upper()} at {', '.join(known.channels)}, "
        f"{1e3 * known.tmin:.0f}–{1e3 * known.tmax:.0f} ms"
        for known in facts.components
    ]
    rest = (
        f"rest on {plural(facts.n_epochs, 'epoch')} of {plural(facts.n_subjects, 'subject')} "
        f"({'; '.join(measured)}). Baseline: {facts.baseline}."
    )
    if not facts.n_permutations:
        return f"Averages {rest}"
    return (
        f"Averages and regression ERPs {rest} Clusters over time and electrodes were tested with "
        f"{facts.n_permutations:,} sign permutations over subjects."
    )


def _regressions(results: Results) -> str:
    if not results.fits:
        return ""
    first = next((fit for fit in results.fits if not fit.link), results.fits[0])
    engine = first.engine
    version = results.manifest.versions.get(engine)
    used = f"{engine} {version}" if version else engine
    kinds = _list(list(dict.fromkeys(method(fit) for fit in results.fits)))
    text = f"Responses were analyzed with {kinds} ({used})."
    turned = [line for fit in results.fits if (line := back(fit))]
    if any(fit.link for fit in results.fits):
        text += " Tests of their coefficients are Wald z tests; intervals of odds and rate ratios are Wald's and by profile."
    if any(fit.standardized for fit in results.fits):
        text += " Continuous predictors were z-scored, so coefficients are changes per standard deviation."
    # Of normal tests and least squares there is none.
    methods = {fit.df_method for fit in results.fits if not fit.link} & set(_DF)
    if methods:
        text += f" Degrees of freedom follow {_list([_DF[method] for method in sorted(methods)])}."
    if sequences := sorted({fit.robust for fit in results.fits if fit.robust}):
        text += f" Standard errors are sandwich estimates that allow residuals to be correlated within levels of {_list(sequences)}."
    text += (
        " R² is reported for the fixed effects (marginal) and for fixed and random effects (conditional; "
        f"{references.cite('r2')})."
    )
    if any(fit.link for fit in results.fits):
        text += f" R² of counts is on the latent scale ({references.cite('r2_latent')})."
    if any(fit.curves or fit.smooths for fit in results.fits):
        text += (
            " Curves are penalized regression splines whose smoothness was estimated by REML beside the random effects "
            f"({references.cite('smooths')}); each was tested against a straight line by a restricted likelihood ratio with "
            f"simulated distribution ({references.cite('rlrt')})."
        )
    text = " ".join([text, *turned])
    models = "; ".join(f"{fit.name}: {fit.formula}" for fit in results.fits)
    families = list(dict.fromkeys(str(fit.family) for fit in results.fits if _corrected(fit)))
    over = _list([f"the {family}" for family in families]) if families else ""
    corrected = f" p values were adjusted ({references.cite('bh')}) over {over}." if over else ""
    return f"{text} Models: {models}.{corrected}"


def _corrected(fit: FitRecord) -> bool:
    """Return whether p values were adjusted over more than one test."""
    return bool(fit.family) and not str(fit.family).startswith("1 ")


def findings(results: Results) -> list[tuple[str, list[str]]]:
    """Return a heading and sentences for every regression to be interpreted and every interaction tested."""
    found, decided = [], decided_direction(results.manifest)
    for fit in primary(results.fits):
        sentences = [effect(fit, term, decided) for term in reported_terms(fit)]
        sentences += [*smooths.sentences(fit), *marginal.sentences(fit)]
        found.append((str(fit.name), [*sentences, *_explained(fit)]))
    tested = [paragraph(entry) for entry in results.synergy]
    if tested:
        found.append(("Synergy", tested))
    entries = results.depth.entries if results.depth else []
    return found + [(f"{one.name}, by layer", [layers.found(one), layers.chosen(one)]) for one in entries]


def results_paragraphs(results: Results) -> list[str]:
    """Return the findings as APA paragraphs; simulated data are named in each."""
    prefix = "In simulated data: " if results.simulated else ""
    found = [
        *findings(results),
        ("Maps of mixed models", maps.results_sentences(results)),
        ("Layers in time", layer_maps.results_sentences(results)),
    ]
    return [f"{prefix}{name}. {' '.join(sentences)}" for name, sentences in found if sentences]


def effect(fit: FitRecord, term: str, decided: str = "expected direction") -> str:
    """Return one effect as a sentence, in the words of its response: more negative amplitudes, longer times.

    `decided` names the direction that the analysis gave it (see `decided_direction`).
    """
    values, measured = fit.coefficients[term], response(fit)
    amplitude, name = measured.plural, words(term)
    adjusted = fit.p_bh.get(term)
    p = values.p if adjusted is None else adjusted
    toward = measured.toward(values.estimate)
    reliable = p is not None and p < _ALPHA
    if any(map(contrast, factors(term))):
        text = _capital(levels.sentence(fit, term, measured, reliable))
    elif len(factors(term)) > 1:
        first, second = (words(part) for part in term.split(":", 1))
        text = (
            f"{_capital(first)} and {second} interacted: the effect of {first} was {toward} at higher {second}"
            if reliable
            else f"There was no reliable interaction of {first} and {second} in {amplitude}"
        )
    elif not reliable:
        text = f"There was no reliable effect of {name} on {amplitude}"
    else:
        text = f"Higher {name} went with {toward} {amplitude}"
    corrected = (
        ""
        if adjusted in (None, values.p)
        else f" ({stat('p', p_value(adjusted))} after Benjamini–Hochberg correction)"
    )
    where = levels.held(fit, term)
    return f"{text}{where}, {told(fit, term)}{corrected}{_unexpected(fit, term, decided)}."


def decided_direction(manifest: Manifest) -> str:
    """Return what a direction of the analysis may be called: registered only where the user gave the analysis."""
    found = manifest.analysis
    return {
        "file": "registered direction",
        "data set": f"direction in the analysis that comes with {found.name if found else ''}",
        "default": "direction in the built-in default analysis",
    }.get(found.kind if found else "", "expected direction")


def _unexpected(fit: FitRecord, term: str, decided: str) -> str:
    direction = fit.directions.get(term)
    if direction is None or (direction == "negative") == (fit.coefficients[term].estimate < 0):
        return ""
    return f" (the {decided} was {direction})"


def _explained(fit: FitRecord) -> Iterator[str]:
    if fit.r2_marginal is None:
        return
    marginal, conditional = share(fit.r2_marginal), share(fit.r2_conditional)
    limits = {
        kind: f", 95% CI {shares(drawn.low, drawn.high)}," for kind, drawn in (fit.r2_intervals or {}).items()
    }
    yield (
        f"The fixed effects explained {stat('R²m', marginal)}{limits.get('marginal', '')} of the variance{' on the latent scale' if fit.link else ''}"
        f"{_part(fit)}, fixed and random effects together {stat('R²c', conditional)}"
        f"{limits.get('conditional', '').rstrip(',')}."
    )


def _part(fit: FitRecord) -> str:
    """Return the part of R²m that the focal terms add to the other fixed effects, where there are others."""
    part = fit.part_r2
    if not part:
        return ""
    terms, others = (_list([words(term) for term in getattr(part, key)]) for key in ("terms", "others"))
    return f" ({stat('part R²', share(part.r2))} of {terms} beside {others})"


def warnings(results: Results) -> Iterator[str]:
    """Yield what a reader must know about the regressions before trusting them."""
    for fit in results.fits:
        if fit.converged is False:
            yield f"{fit.name}: the optimizer did not converge."
        found = [str(warning) for warning in fit.warnings]
        if fit.singular and not any("singular" in warning for warning in found):
            found.append("singular fit: a random-effect variance is zero or a correlation is ±1")
        yield from (f"{fit.name}: {warning}" for warning in found)
    for entry in results.synergy:
        yield from (f"Synergy, {words(entry.term)}: {warning}" for warning in entry.warnings)


def _list(parts: list[str]) -> str:
    return "".join(parts) if len(parts) < 2 else ", ".join(parts[:-1]) + f" and {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
