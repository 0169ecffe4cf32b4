"""A language model whose activity is not measured goes all the way to the report, with predictions alone."""

import numpy as np
import pandas as pd
import pytest
import torch
from command_line import clada
from tiny_models import ENCODERS, VOCABULARY, tiny_checkpoint
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

from clada_neuro.artifacts import read_json
from clada_neuro.errors import DataError, ModelError
from clada_neuro.instrument.sequences import measure
from clada_neuro.instrument.trace import Trace
from clada_neuro.models.loading import load_model
from clada_neuro.study.run import run

_REASON = "model type 'mamba' has no feed-forward block that is known here"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a checkpoint without known blocks, stimuli and trials."""
    folder = tmp_path_factory.mktemp("unmeasured")
    tiny_checkpoint(folder / "mamba", "mamba")
    rng = np.random.default_rng(0)
    texts, trials = [], []
    for item in range(12):
        words = [f"w{number}" for number in rng.integers(2, 97, 6)]
        for condition in ("a", "b"):
            words[3] = f"w{rng.integers(2, 97)}"
            row = {"item": item, "condition": condition}
            texts.append(row | {"sentence": " ".join(words), "critical_word": words[3], "critical_index": 3})
            trials += [row | {"subject": subject, "n400_uv": rng.normal()} for subject in range(6)]
    pd.DataFrame(texts).to_csv(folder / "texts.csv", index=False)
    pd.DataFrame(trials).to_csv(folder / "trials.csv", index=False)
    return folder


def test_the_default_analysis_does_without_activity(place):
    said: list[str] = []
    page = run(
        place / "texts.csv", model=str(place / "mamba"), trials=place / "trials.csv", out=place / "out",
        progress=said.append,
    )  # fmt: skip
    assert f"      note: activity is not measured, predictions are: {_REASON}" in said
    manifest, (fit,) = read_json(place / "out/manifest.json"), read_json(place / "out/fits.json")
    assert manifest["activity"] == _REASON
    departures = "\n".join(manifest["departures"])
    assert "sparsity_energy99 left out of models: not measured for this language model" in departures
    assert "no synergy of surprisal_bits and sparsity_energy99" in departures
    assert fit["formula"].startswith("n400_uv ~ surprisal_bits + (1|subject)")  # of 24 texts
    assert not (place / "out/layers.parquet").exists()
    assert not (place / "out/synergy.json").exists()
    assert f"Activity was not measured: {_REASON}." in page.read_text().replace("&#39;", "'")
    words = Trace.read(place / "out").words
    assert words["surprisal_bits"].notna().all()
    assert not [name for name in words if "sparsity" in name or "adjustment" in name or "overlap" in name]
    with pytest.raises(DataError, match=f"holds no activity: {_REASON}"):
        len(Trace.read(place / "out").layers)


def test_single_commands_keep_the_reason_in_the_manifest(place, capsys):
    out = place / "chain"
    done = clada(capsys, "trace", place / "texts.csv", "--model", place / "mamba", "--out", out)
    assert _REASON in done.err
    clada(capsys, "align", out / "words.parquet", place / "trials.csv", "--out", out)
    assert read_json(out / "manifest.json")["activity"] == _REASON
    assert len(Trace.read(out).words)
    clada(capsys, "report", out)
    assert f"Activity was not measured: {_REASON}." in (out / "report.html").read_text().replace("&#39;", "'")


@pytest.mark.parametrize("predictor", ["sparsity_energy99", "adjustment_prev_lag1"])
def test_an_analysis_of_the_user_s_that_names_activity_is_refused_before_the_fits(place, predictor):
    analysis = place / "own.toml"
    analysis.write_text(
        f'title = "own"\n[[model]]\nname = "N"\nformula = "n400_uv ~ surprisal_bits + {predictor} + (1|subject)"\n'
    )
    with pytest.raises(DataError, match=f"^the analysis names {predictor}, but {_REASON}$"):
        run(
            place / "texts.csv", model=str(place / "mamba"), trials=place / "trials.csv", analysis=analysis,
            out=place / "own", progress=lambda line: None,
        )  # fmt: skip
    assert not (place / "own/fits.json").exists()


def test_responses_are_not_simulated_from_activity_that_is_not_there(place):
    with pytest.raises(DataError, match=f"'demo' are simulated from activity, but {_REASON}"):
        run("demo", model=str(place / "mamba"), limit=2, out=place / "demo", progress=lambda line: None)


def test_sequences_are_measured_for_their_activity(place):
    with pytest.raises(ModelError, match=f"activity is to be measured, but {_REASON}"):
        measure(np.full((1, 4), 5), load_model(place / "mamba", device="cpu"))


def test_the_command_says_why(place, capsys):
    result = clada(
        capsys, "trace", place / "texts.csv", "--model", place / "mamba", "--out", place / "traced"
    )
    assert f"note: activity is not measured, predictions are: {_REASON}\n" in result.err
    assert not (place / "traced/layers.parquet").exists()


def test_a_masked_model_has_pseudo_surprisal_in_the_default_analysis(place):
    masked = place / "masked"
    torch.manual_seed(0)
    config = AutoConfig.for_model("bert", **{**ENCODERS["bert"], "vocab_size": VOCABULARY, "pad_token_id": 2})
    AutoModelForMaskedLM.from_config(config).save_pretrained(masked)
    tiny_checkpoint(place / "llama")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (masked / file).write_text((place / "llama" / file).read_text())
    AutoTokenizer.from_pretrained(masked, mask_token="w96").save_pretrained(masked)
    page = run(place / "texts.csv", model=str(masked), trials=place / "trials.csv", out=place / "bert")
    (fit,) = read_json(place / "bert/fits.json")
    assert fit["formula"].startswith("n400_uv ~ pseudo_surprisal_bits + ")
    departures = "\n".join(read_json(place / "bert/manifest.json")["departures"])
    assert "pseudo_surprisal_bits in place of surprisal_bits" in departures
    assert "entropy_bits left out of models: a masked language model has none" in departures
    text = page.read_text().replace("&#39;", "'")
    assert (
        "Each text was preceded by its tokenizer's own special token. For each word we recorded pseudo-surprisal"
        in text
    )
    assert "Kauf &amp; Ivanova, 2023" in text
    with pytest.raises(
        DataError, match="names surprisal_bits, which a masked language model has not; it has pseudo"
    ):
        run(
            place / "texts.csv", model=str(masked), trials=place / "trials.csv", out=place / "own",
            formula="n400_uv ~ surprisal_bits + (1|subject)",
        )  # fmt: skip
    together = run(
        place / "texts.csv",
        model=[str(place / "llama"), str(masked)],
        trials=place / "trials.csv",
        out=place / "both",
    ).read_text()
    assert "effect of pseudo-surprisal in each language model" in together
    assert "effect of surprisal in each language model" in together
