"""Measures by layer against a lens written out by hand, in float64, from the hidden states that the model returns."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from depth_by_hand import CASES, TEXT, activity, attention_entropy, contributions, language_model, stimuli
from safetensors.torch import load_file, save_file
from torch.nn import functional

from clada_neuro.errors import DataError, ModelError
from clada_neuro.instrument import depth
from clada_neuro.instrument.layer_choice import LayerChoice, read_choice
from clada_neuro.instrument.lens import lens
from clada_neuro.instrument.trace import Trace, trace
from clada_neuro.measures.layers import ACTIVE, ASSOCIATION, BY_LAYER, LENS, MOVEMENT
from clada_neuro.models.attention import Attention
from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.models.translators import unembed_hash
from clada_neuro.policies.registry import policy_for


def by_layer(traced: Trace, layer: int) -> pd.DataFrame:
    return traced.word_layers.query("layer == @layer").reset_index(drop=True)


def tail(kind: str, model, h: torch.Tensor) -> torch.Tensor:
    """Return logits, each family's final norm, head, scale and cap written out."""
    mean_square = (h**2).mean(dim=-1, keepdim=True)
    if kind in ("llama", "granite"):
        normed = h / (mean_square + model.config.rms_norm_eps).sqrt() * model.model.norm.weight
        return normed @ model.lm_head.weight.T / getattr(model.config, "logits_scaling", 1.0)
    if kind == "gemma2":
        normed = h / (mean_square + model.config.rms_norm_eps).sqrt() * (1 + model.model.norm.weight)
        return 5.0 * torch.tanh(normed @ model.model.embed_tokens.weight.T / 5.0)
    if kind == "cohere":
        normed = functional.layer_norm(h, h.shape[-1:], eps=model.config.layer_norm_eps)
        return 0.25 * (normed * model.model.norm.weight) @ model.model.embed_tokens.weight.T
    norm, head = {
        "gpt2": lambda: (model.transformer.ln_f, model.transformer.wte),
        "gpt_neox": lambda: (model.gpt_neox.final_layer_norm, model.lm_head),
        "opt": lambda: (model.model.decoder.final_layer_norm, model.model.decoder.embed_tokens),
    }[kind]()
    centred = h - h.mean(dim=-1, keepdim=True)
    normed = centred / (centred.var(dim=-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    return (normed * norm.weight + norm.bias) @ head.weight.T


def extrapolation_error(states: np.ndarray, at: int) -> float:
    """Return how far a state is from the line that numpy fits to each coordinate of the four before; none on the start token."""
    if at < 5:
        return math.nan
    line = np.polyfit(np.arange(4), states[at - 4 : at], 1)
    return float(np.linalg.norm(states[at] - (4 * line[0] + line[1])) / np.linalg.norm(states[at]))


def by_hand(kind: str, model: LanguageModel, ids: list[int]) -> list[pd.DataFrame]:
    """Return the measures of every token for layers 0, 1 and 2, from the definitions."""
    start = [model.start_token_id, *ids]
    with torch.inference_mode():
        output = model.model(torch.tensor([start]), output_hidden_states=True)
        streams = [states[0] for states in output.hidden_states[:-1]]  # the last one is behind the norm
        p = [tail(kind, model.model, h).softmax(dim=-1) for h in streams]
        p.append(output.logits[0].softmax(dim=-1))
    frames = []
    for layer in range(3):
        now, below, last = p[layer + 1], p[layer], p[-1]
        rows = []
        for at, token in enumerate(ids):
            q = now[at]
            row = {
                "lens_surprisal_bits": -math.log2(q[token]),
                "lens_entropy_bits": -sum(float(one) * math.log2(one) for one in q),
                "lens_rank": 1 + int((q > q[token]).sum()),
                "lens_kl_last_bits": float((q * (q / last[at]).log2()).sum()),
                "lens_kl_below_bits": float((q * (q / below[at]).log2()).sum()),
            }
            if layer < 2:  # of the last the model returns the norm's output
                h, under, before = streams[layer + 1][at + 1], streams[layer][at + 1], streams[layer + 1][at]
                row["displacement_below"] = 1 - float(h @ under / h.norm() / under.norm())
                row["norm_ratio_below"] = float(h.norm() / under.norm())
                row["displacement_prev"] = 1 - float(h @ before / h.norm() / before.norm())
                row["trajectory_error"] = extrapolation_error(streams[layer + 1].numpy(), at + 1)
            rows.append(row)
        frame = pd.DataFrame(rows)
        if layer < 2:
            frame.loc[0, "displacement_prev"] = math.nan  # the token before is the start token
        frames.append(frame)
    return frames


@pytest.mark.parametrize("kind", CASES)
def test_every_measure_is_its_definition(kind):
    model = language_model(kind)
    traced = trace(stimuli(TEXT), model, layers="all", progress=False)
    tokens = traced.tokens
    rules = {one.name: one.word_rule for one in BY_LAYER}
    for layer, frame in enumerate(by_hand(kind, model, tokens["token_id"].tolist())):
        how = {name: rules[name] for name in frame}
        how = {name: (lambda v: v.sum(skipna=False)) if rule == "sum" else rule for name, rule in how.items()}
        for name in {"displacement_prev", "trajectory_error"} & how.keys():
            how[name] = lambda values: values.mean(skipna=False)
        expected = frame.groupby(tokens["word_index"].to_numpy()).agg({name: how[name] for name in frame})
        found = by_layer(traced, layer)
        for name in expected:
            np.testing.assert_allclose(found[name].astype(float), expected[name], rtol=1e-5, atol=2e-5)
    assert len(traced.word_layers) == 3 * len(traced.words)


def by_word(traced: Trace, values: np.ndarray) -> np.ndarray:
    """Return the mean over each word's tokens of values by token; missing in one is missing in the word."""
    own = pd.Series(values).groupby(traced.tokens["word_index"].to_numpy())
    return own.agg(lambda tokens: tokens.mean(skipna=False)).to_numpy()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "opt"])
def test_attention_and_activity_are_their_definitions(kind):
    model = language_model(kind)
    traced = trace(stimuli(TEXT), model, layers="0,2", attention=True, progress=False)
    ids = [model.start_token_id, *traced.tokens["token_id"].tolist()]
    for layer in (0, 2):
        found = by_layer(traced, layer)
        entropy = attention_entropy(kind, model, ids, layer)[1:]
        np.testing.assert_allclose(found["attention_entropy_bits"], by_word(traced, entropy), atol=1e-5)
        for name, values in activity(contributions(kind, model, ids, layer)).items():
            np.testing.assert_allclose(found[name], by_word(traced, values), atol=1e-5, err_msg=name)
    assert found["neuron_sparsity"].isna().all()  # no calibration was given
    assert "missing" not in traced.manifest["word_layers"]


def test_activity_by_layer_is_that_of_the_tokens(tmp_path):
    texts = stimuli(TEXT, "Nobody knows", context=["", "It was dark. "])
    traced = trace(texts, language_model(), layers="all", progress=False)
    tokens = traced.layers.merge(traced.tokens[["stimulus_id", "token_index", "word_index"]])
    expected = tokens.groupby(["stimulus_id", "word_index", "layer"])["adjustment_prev"]
    expected = expected.agg(lambda values: values.mean(skipna=False)).reset_index(drop=True)
    pd.testing.assert_series_equal(
        traced.word_layers["adjustment_prev"], expected, check_names=False, check_dtype=False
    )
    over_layers = traced.word_layers.groupby(["stimulus_id", "word_index"])["hoyer"].mean().to_numpy()
    np.testing.assert_allclose(over_layers, traced.words["hoyer"], rtol=1e-6)


def test_attention_moves_no_other_value_and_is_dropped_layer_by_layer():
    model = language_model(layers=4)
    texts = stimuli(TEXT, "Nobody knows", "No")
    with_it = trace(texts, model, layers="all", attention=True, progress=False).word_layers
    without = trace(texts, model, layers="all", progress=False).word_layers
    pd.testing.assert_frame_equal(
        with_it.drop(columns="attention_entropy_bits"), without, rtol=1e-5, atol=1e-5
    )
    assert model.model.config._attn_implementation == "sdpa"


def test_a_model_without_attention_weights_says_so(monkeypatch):
    monkeypatch.setattr("clada_neuro.models.attention._weights", lambda output: None)
    traced = trace(stimuli(TEXT), language_model(), layers="all", attention=True, progress=False)
    assert "attention_entropy_bits" not in traced.word_layers
    assert "gives no attention weights" in traced.manifest["word_layers"]["missing"]
    assert "gives no attention weights" in " ".join(traced.remarks(stimuli(TEXT)))


def test_layers_without_attention_are_named():
    model = language_model("jamba", dtype=torch.float32).model
    attention = Attention(model, model.model.layers)
    assert attention.layers == [1]
    assert attention.missing.endswith("shares of the tokens in layers 0, 2")


def test_too_little_memory_for_attention_gets_one_line(monkeypatch):
    model = language_model()
    monkeypatch.setattr(depth, "_WEIGHTS", 10**12)
    with pytest.raises(ModelError, match=r"attention over \d+ tokens needs .* leave attention"):
        trace(stimuli(TEXT), model, layers="all", attention=True, progress=False)


@pytest.mark.parametrize("more", [{"attention": True}, {"translators": "lens.safetensors"}])
def test_what_is_of_layers_needs_layers(more):
    with pytest.raises(DataError, match=r"without layers; .*--layers all"):
        trace(stimuli(TEXT), language_model(), progress=False, **more)


@pytest.mark.parametrize("kind", ["gpt2", "gemma2"])
def test_a_tuned_lens_stands_before_the_tail(kind, tmp_path):
    model = language_model(kind)
    path = tuned_lens(tmp_path / "lens.safetensors", model)
    traced = trace(stimuli(TEXT), model, layers="all", translators=path, progress=False)
    tokens = traced.tokens["token_id"].tolist()
    maps = load_file(path)
    with torch.inference_mode():
        output = model.model(torch.tensor([[model.start_token_id, *tokens]]), output_hidden_states=True)
        states = [h[0] for h in output.hidden_states[:-1]]
        read = [h + h @ maps[f"{at}.weight"].T + maps[f"{at}.bias"] for at, h in enumerate(states)]
        p = [tail(kind, model.model, h).log_softmax(dim=-1) for h in read]
    p.append(output.logits[0].log_softmax(dim=-1))
    rows = torch.arange(len(tokens))
    for layer in range(3):
        bits = -p[layer + 1][rows, tokens] / math.log(2)
        bits = pd.Series(bits.numpy()).groupby(traced.tokens["word_index"].to_numpy()).sum()
        np.testing.assert_allclose(by_layer(traced, layer)["lens_surprisal_bits"], bits, rtol=1e-5, atol=2e-5)
    assert traced.manifest["word_layers"]["translators"]["file"] == "lens.safetensors"


def test_translators_of_nobody_of_another_model_or_of_another_size_get_one_line(tmp_path):
    model, path = language_model(), tmp_path / "lens.safetensors"

    def refused(match: str) -> None:
        with pytest.raises(ModelError, match=match) as error:
            trace(stimuli(TEXT), model, layers="all", translators=path, progress=False)
        assert "\n" not in str(error.value)

    tuned_lens(path, model)
    maps = load_file(path)
    save_file(maps, path)
    refused("do not say whose they are; 'unembed_hash' is expected")
    (tmp_path / "config.json").write_text(json.dumps({"unembed_hash": unembed_hash(model.model)}))
    trace(stimuli(TEXT), model, layers="all", translators=path, progress=False)
    (tmp_path / "config.json").write_text(json.dumps({"unembed_hash": "0" * 64}))
    refused("are another model's: its output layer")
    save_file({name: part[..., :-1].contiguous() for name, part in maps.items()}, path)
    refused(r"0.weight has shape \(24, 23\), \(24, 24\) expected")
    save_file({name: part for name, part in maps.items() if name != "2.bias"}, path)
    refused("'2.bias' is missing; .* 2.bias expected of a model of 3 layers")
    path.write_bytes(b"not safetensors")
    refused("cannot be read as safetensors")
    path.unlink()
    with pytest.raises(DataError, match="no file of translators at"):
        trace(stimuli(TEXT), model, layers="all", translators=path, progress=False)


def tuned_lens(path, model: LanguageModel):
    """Write translators as the package tuned-lens names them."""
    torch.manual_seed(1)
    size = model.model.config.hidden_size
    maps = {}
    for layer in range(model.model.config.num_hidden_layers):
        maps |= {f"{layer}.weight": 0.3 * torch.randn(size, size), f"{layer}.bias": torch.randn(size)}
    maps = {name: part.double() for name, part in maps.items()}
    save_file(maps, path, metadata={"unembed_hash": unembed_hash(model.model)})
    return path


@pytest.mark.parametrize("kind", CASES)
def test_the_last_layer_is_the_models_own_prediction(kind):
    texts = stimuli('"Wait," she said -- it\'s late!', "Wait for the train.", context=["", "It was dark. "])
    traced = trace(texts, language_model(kind), layers="all", progress=False)
    last = by_layer(traced, 2)
    for name, own in (("surprisal_bits",) * 2, ("entropy_bits",) * 2, ("rank", "rank")):
        np.testing.assert_allclose(
            last[f"lens_{name}"].astype(float), traced.words[own].astype(float), rtol=0, atol=1e-5
        )
    assert (last["lens_kl_last_bits"] == 0).all()


def test_a_measure_in_wide_form_holds_what_the_long_table_holds(tmp_path):
    texts = stimuli(*["Nobody knows where he goes"] * 11, TEXT)
    trace(texts, language_model(), layers=[0, 2], out=tmp_path, progress=False)
    traced = Trace.read(tmp_path)
    wide = traced.by_layer("lens_kl_last_bits")
    assert wide.columns.tolist() == [
        "stimulus_id",
        "word_index",
        "lens_kl_last_bits_0",
        "lens_kl_last_bits_2",
    ]
    for layer in (0, 2):
        long = by_layer(traced, layer)
        pd.testing.assert_frame_equal(
            wide[["stimulus_id", "word_index"]], long[["stimulus_id", "word_index"]]
        )
        values = long["lens_kl_last_bits"]
        pd.testing.assert_series_equal(wide[f"lens_kl_last_bits_{layer}"], values, check_names=False)
    with pytest.raises(
        DataError, match="'cloze' is not measured by layer; give one of lens_surprisal_bits, "
    ):
        traced.by_layer("cloze")
    without = trace(stimuli("No"), language_model(), progress=False)
    with pytest.raises(DataError, match="--layers all"):
        without.by_layer("lens_kl_last_bits")


def test_the_real_model_agrees_with_its_surprisal():
    texts = stimuli("It wasn't raining when they'd left.", "It wasn't raining when he practised.")
    model = load_model("smollm2", dtype="float64", device="cpu")
    traced = trace(texts, model, layers="every:15", progress=False)
    assert traced.word_layers["layer"].unique().tolist() == [14, 29]
    last = by_layer(traced, 29)
    np.testing.assert_allclose(last["lens_surprisal_bits"], traced.words["surprisal_bits"], rtol=0, atol=1e-5)
    assert by_layer(traced, 14)["lens_kl_last_bits"].min() > 0.1


def test_values_do_not_depend_on_blocks_company_or_which_layers_are_asked(monkeypatch):
    model = language_model(layers=4)
    texts = stimuli(TEXT, f"{TEXT} und warum", "Nobody knows", "No")
    whole = trace(texts, model, layers="all", progress=False).word_layers
    alone = pd.concat(
        trace(texts.iloc[[row]], model, layers="all", progress=False).word_layers for row in range(4)
    ).reset_index(drop=True)
    monkeypatch.setattr(depth, "MOST_STATES", 1)
    monkeypatch.setattr(depth, "CPU_LOGITS", 1)
    pieces = trace(texts, model, layers="all", progress=False).word_layers
    some = trace(texts, model, layers=[3, 1], progress=False).word_layers
    for other in (alone, pieces):
        pd.testing.assert_frame_equal(other, whole, rtol=1e-6, atol=1e-6)
    expected = whole[whole["layer"].isin([1, 3])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected, rtol=1e-6, atol=1e-6)


def test_a_prediction_that_texts_share_is_made_once(monkeypatch):
    made = []

    def counted(*arguments):
        made.append(len(arguments[-1]))
        return lens(*arguments)

    lens = depth.lens
    monkeypatch.setattr(depth, "lens", counted)
    traced = trace(stimuli(TEXT, f"{TEXT} heute"), language_model(), layers="all", progress=False)
    assert sum(made) == traced.tokens.groupby("stimulus_id").size()["1"]
    first, second = (frame.reset_index(drop=True) for _, frame in traced.word_layers.groupby("stimulus_id"))
    names = [one.name for one in (*LENS, *MOVEMENT, *ACTIVE)]
    pd.testing.assert_frame_equal(first[names], second[names].head(len(first)), rtol=1e-6, atol=1e-6)


def test_texts_longer_than_the_window_go_on_in_the_next():
    model = language_model()
    traced = trace(stimuli(" ".join([TEXT] * 6)), model, layers="0,2", progress=False)
    assert len(traced.tokens) > model.max_context
    last = by_layer(traced, 2)
    np.testing.assert_allclose(last["lens_surprisal_bits"], traced.words["surprisal_bits"], atol=1e-5)
    # A line through four tokens is missing where it would begin on the first token of a window.
    assert last.iloc[1:][[one.name for one in (*LENS, *MOVEMENT[:-1])]].notna().all(axis=None)
    assert last["trajectory_error"].iloc[5:].notna().all()


def test_a_certain_prediction_costs_zero_not_minus_zero():
    sure = torch.full((3, 5), -1e4)
    sure[:, 2] = 1e4
    values = lens(lambda stream: stream, {0: sure, 1: sure}, [1], 1, torch.full((3,), 2))
    assert values[0] == pytest.approx(0.0)
    assert not np.signbit(values).any()


def test_words_without_context_and_without_tokens_are_missing():
    model = language_model()
    model = LanguageModel("tiny", model.model, model.tokenizer, None, "0" * 16)
    found = by_layer(trace(stimuli("Nobody knows why"), model, layers="all", progress=False), 1)
    assert found.loc[0, [one.name for one in (*LENS, *MOVEMENT, *ACTIVE)]].isna().all()
    assert found.loc[2, [one.name for one in (*LENS, *MOVEMENT[:-1])]].notna().all()


def test_nothing_changes_where_layers_are_not_asked(tmp_path):
    model, texts = language_model(), stimuli(TEXT)
    plain = trace(texts, model, out=tmp_path, progress=False)
    assert "word_layers" not in plain.manifest
    assert not (tmp_path / "word_layers.parquet").exists()
    with pytest.raises(DataError, match="trace again with layers='all'"):
        _ = plain.word_layers
    asked = trace(texts, model, out=tmp_path, layers="every:2", progress=False)
    assert (tmp_path / "word_layers.parquet").exists()
    assert Trace.read(tmp_path).word_layers["layer"].unique().tolist() == [0, 2]
    pd.testing.assert_frame_equal(asked.words, plain.words)
    trace(texts, model, out=tmp_path, progress=False)
    assert not (tmp_path / "word_layers.parquet").exists()


def test_a_state_space_model_says_that_it_has_none(tmp_path):
    traced = trace(stimuli(TEXT), language_model("mamba"), out=tmp_path, layers="all", progress=False)
    assert traced.words["surprisal_bits"].notna().all()
    reason = "model type 'mamba' has no residual stream that is known here"
    assert traced.manifest["word_layers"] == {"layers": [], "measures": [], "missing": reason}
    assert not (tmp_path / "word_layers.parquet").exists()
    with pytest.raises(DataError, match=reason):
        _ = traced.word_layers


def test_without_a_tail_that_is_known_the_movement_is_left():
    model = language_model("opt", do_layer_norm_before=False)
    traced = trace(stimuli(TEXT), model, layers="all", progress=False)
    assert list(traced.word_layers.columns[3:]) == [one.name for one in (*MOVEMENT, *ASSOCIATION, *ACTIVE)]
    assert "cannot be run alone" in traced.manifest["word_layers"]["missing"]


@pytest.mark.parametrize(
    ("given", "layers"),
    [
        ("all", [0, 1, 2, 3, 4, 5]),
        ("every:4", [1, 5]),
        ("every:10", [5]),
        (" 5, 0,0 ", [0, 5]),
        ([2, 1], [1, 2]),
    ],
)
def test_layers_are_read(given, layers):
    assert read_choice(given).of(6) == layers


@pytest.mark.parametrize("given", ["", "every:0", "every", "-1", "1-3", [], [-1], "first"])
def test_what_cannot_be_read_is_refused(given):
    with pytest.raises(DataError, match="all, every:N"):
        read_choice(given)


def test_wrong_requests_get_one_line(monkeypatch):
    model = language_model()
    with pytest.raises(DataError, match="layer 7 does not exist: the model has 3 layers, 0 to 2"):
        trace(stimuli(TEXT), model, layers="0,7", progress=False)
    policy = policy_for(model, "griffin", 0.5, None)
    with pytest.raises(DataError, match="dense traces"):
        trace(stimuli(TEXT), model, policy=policy, layers="all", progress=False)
    needed = depth.MeasuredLayers(model, LayerChoice(2))._needed(3, 8)
    monkeypatch.setattr(depth, "free_bytes", lambda _: needed)
    with pytest.raises(ModelError, match=r"3 layers need .* GB are free on cpu; --layers every:\d takes"):
        depth.MeasuredLayers(model, LayerChoice())
    monkeypatch.setattr(depth, "free_bytes", lambda _: 1)
    with pytest.raises(ModelError, match="use a smaller model"):
        depth.MeasuredLayers(model, LayerChoice())
