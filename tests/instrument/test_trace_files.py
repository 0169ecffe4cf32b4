"""Traces as a whole, on tiny models: start tokens, contexts, windows, files, interruption."""

import copy
import math
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import torch
from local_tokenizers import KINDS
from tiny_language import tiny_language

from clada_neuro.artifacts import write_table
from clada_neuro.errors import CladaNeuroError, DataError
from clada_neuro.instrument import measurer as module
from clada_neuro.instrument import shards
from clada_neuro.instrument.trace import Trace, trace
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.cutoffs import Cutoffs

SENTENCES = [
    "The old sailor told the children a story.",
    "The old sailor didn't tell  the children anything!",
    "Nobody knows -- not even I.",
    "猫坐在 窗台上。",
]


def stimuli(sentences: list[str] = SENTENCES, **columns) -> pd.DataFrame:
    frame = pd.DataFrame({"sentence": sentences, "item": "1", "condition": "a", **columns})
    return frame.assign(stimulus_id=[f"s{number}" for number in range(len(frame))])


def reference_bits(model, ids: list[int]) -> np.ndarray:
    """Return surprisal of every id after the first, in float64."""
    exact = copy.deepcopy(model.model).double()
    with torch.inference_mode():
        p = exact(torch.tensor([ids])).logits[0].log_softmax(-1)
    return -p[range(len(ids) - 1), ids[1:]].numpy() / math.log(2)


def quiet(frame, model, **options) -> Trace:
    return trace(frame, model, progress=False, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_values_for_every_kind_of_tokenizer(kind):
    model = tiny_language(kind)
    tokens = quiet(stimuli(), model).tokens
    for _, mine in tokens.groupby("stimulus_id"):
        ids = [model.start_token_id, *mine["token_id"]]
        np.testing.assert_allclose(mine["surprisal_bits"], reference_bits(model, ids), rtol=0, atol=1e-4)


@pytest.mark.parametrize("start", [True, False])
def test_the_most_probable_tokens_are_those_of_float64_log_softmax(start, tmp_path, monkeypatch):
    model, k = tiny_language(start=start), 5
    monkeypatch.setattr(shards, "CHARACTERS", 60)
    found = quiet(stimuli(), model, top_k=k, out=tmp_path)
    pd.testing.assert_frame_equal(Trace.read(tmp_path).top_k, quiet(stimuli(), model, top_k=k).top_k)
    exact = copy.deepcopy(model.model).double()
    for name, tokens in found.tokens.groupby("stimulus_id"):
        mine = found.top_k[found.top_k["stimulus_id"] == name]
        head = [model.start_token_id] if start else []
        with torch.inference_mode():
            p = exact(torch.tensor([[*head, *tokens["token_id"]]])).logits[0, :-1].softmax(-1)
        assert mine["token_index"].unique().tolist() == tokens["token_index"].tolist()[not start :]
        assert mine["rank"].tolist() == list(range(1, k + 1)) * len(p)
        np.testing.assert_allclose(mine["probability"], p.topk(k).values.flatten(), rtol=1e-4)
        ids = torch.tensor(mine["token_id"].to_numpy()).view(-1, k)
        np.testing.assert_allclose(p.gather(1, ids), p.topk(k).values, rtol=1e-6)  # ties may swap
        assert mine["token"].tolist() == model.tokenizer.convert_ids_to_tokens(mine["token_id"].tolist())


def test_most_probable_tokens_are_kept_on_request_only(tmp_path):
    model = tiny_language()
    assert quiet(stimuli(), model, top_k=10_000, out=tmp_path).top_k["rank"].max() == len(model.tokenizer)
    without = quiet(stimuli(), model, out=tmp_path)
    assert not (tmp_path / "top_k.parquet").exists()
    with pytest.raises(DataError, match="top_k=N"):
        _ = without.top_k
    with pytest.raises(DataError, match="top_k = -1"):
        quiet(stimuli(), model, top_k=-1)


def test_neurons_below_the_cut_offs_are_counted():
    model = tiny_language()
    layers = ffn_layers(model.model)
    size = layers[0].intermediate_size
    values = torch.full((len(layers), size), math.inf)
    values[1, : size // 2] = 0
    found = quiet(stimuli(), model, cutoffs=Cutoffs(values, {"calibration": "by hand"}))
    first, second = (found.layers[found.layers["layer"] == layer]["neuron_sparsity"] for layer in (0, 1))
    assert (first == 1).all()
    np.testing.assert_allclose(second, 1 - size // 2 / size, rtol=1e-6)
    told = found.manifest["neuron_sparsity"]
    assert (told["calibration"], set(told)) == (
        "by hand",
        {"calibration", "values"},
    )  # and the cut-offs' own hash
    assert found.words["neuron_sparsity"].notna().all()


def test_without_cut_offs_the_share_of_neurons_is_missing_with_the_reason():
    found = quiet(stimuli(), tiny_language())
    assert found.words["neuron_sparsity"].isna().all()
    assert "no calibration" in found.manifest["neuron_sparsity"]["missing"]


def test_without_start_token_the_first_word_is_missing_not_zero():
    model = tiny_language(start=False)
    found = quiet(stimuli(), model)
    first = found.words[found.words["word_index"] == 0]
    for column in ("surprisal_bits", "surprisal_corrected_bits", "entropy_bits", "renyi_half_bits", "rank"):
        assert first[column].isna().all()
    assert found.words["surprisal_bits"].notna().sum() == len(found.words) - len(first)
    mine = found.tokens[found.tokens["stimulus_id"] == "s0"]
    expected = reference_bits(model, mine["token_id"].tolist())
    np.testing.assert_allclose(mine["surprisal_bits"][1:], expected, rtol=0, atol=1e-4)
    assert mine["context_tokens"].tolist() == list(range(len(mine)))


def test_the_tokenizer_s_own_start_token_is_not_added_twice():
    model = tiny_language()
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.bos_token = tokenizer.eos_token
    tokenizer.add_bos_token = True
    twice = tokenizer("The").input_ids[:2]
    doubled = type(model)(model.name, model.model, tokenizer, model.start_token_id, model.weights_hash)
    plain, other = quiet(stimuli(), model).tokens, quiet(stimuli(), doubled).tokens
    assert twice[0] == tokenizer.bos_token_id  # the tokenizer would add one
    pd.testing.assert_series_equal(plain["surprisal_bits"], other["surprisal_bits"])


def test_a_context_moves_values_and_is_not_reported():
    model = tiny_language()
    found = quiet(stimuli(["He slept."], context=["Nobody knows him."]), model)
    whole = quiet(stimuli(["Nobody knows him. He slept."]), model)
    assert found.words["word"].tolist() == ["He", "slept."]
    same = whole.words.iloc[-2:]
    for column in ("surprisal_bits", "entropy_bits", "sparsity_energy99", "adjustment_prefix"):
        np.testing.assert_allclose(found.words[column], same[column], atol=1e-4)
    assert found.tokens["char_start"].min() >= len("Nobody knows him.")


def test_a_text_beyond_the_context_window_uses_overlapping_windows():
    model = tiny_language()
    (text,) = [" ".join(SENTENCES[:3] * 6)]
    tokens = quiet(stimuli([text]), model).tokens
    room = model.max_context - 1
    assert len(tokens) > 2 * room
    assert tokens["context_tokens"].max() == room
    assert tokens["context_tokens"][room:].min() >= room // 2
    ids = tokens["token_id"].tolist()
    for token in (3, room, room + 40, len(ids) - 1):
        seen = tokens["context_tokens"][token] - 1
        window = [model.start_token_id, *ids[token - seen : token + 1]]
        assert tokens["surprisal_bits"][token] == pytest.approx(reference_bits(model, window)[-1], abs=1e-4)


def test_empty_and_blank_sentences_have_no_words():
    found = quiet(stimuli(["", "  ", "Nobody knows."]), tiny_language())
    assert found.words["word"].tolist() == ["Nobody", "knows."]
    assert set(found.tokens["stimulus_id"]) == {"s1", "s2"}


def test_a_trailing_space_changes_no_word():
    model = tiny_language()
    plain, spaced = (
        quiet(stimuli(["Nobody knows"]), model).words,
        quiet(stimuli(["Nobody knows  "]), model).words,
    )
    for column in ("surprisal_bits", "surprisal_corrected_bits", "sparsity_energy99"):
        np.testing.assert_allclose(plain[column], spaced[column], atol=1e-4)


def test_correction_moves_the_border_and_keeps_the_total():
    found = quiet(stimuli([SENTENCES[0]]), tiny_language())
    words, tokens = found.words, found.tokens
    moved = words["surprisal_corrected_bits"] - words["surprisal_with_punct_bits"]
    total = tokens["surprisal_corrected_bits"].sum() - tokens["surprisal_bits"].sum()
    assert moved.abs().min() > 1e-3
    assert moved.sum() == pytest.approx(total)
    inner = quiet(stimuli([f"{SENTENCES[0]} Nobody"]), tiny_language()).words
    np.testing.assert_allclose(
        inner["surprisal_corrected_bits"][: len(words)], words["surprisal_corrected_bits"], atol=1e-4
    )


def test_text_without_spaces_has_no_whitespace_correction():
    found = quiet(stimuli(["猫坐在窗台上"], words=[["猫", "坐在", "窗台上"]]), tiny_language())
    assert found.words["word"].tolist() == ["猫", "坐在", "窗台上"]
    assert found.words["surprisal_bits"].notna().all()
    assert found.words["surprisal_corrected_bits"].isna().all()


def test_columns_of_the_caller_are_kept():
    found = quiet(stimuli(cloze=[0.1, 0.2, 0.3, 0.4], length=[1, 2, 3, 4]), tiny_language()).words
    assert found.groupby("stimulus_id", sort=False)["cloze"].first().tolist() == [0.1, 0.2, 0.3, 0.4]
    assert found["length_stimuli"].iloc[0] == 1
    assert found["length"].iloc[0] == 3
    assert found["stimulus_id"].drop_duplicates().tolist() == ["s0", "s1", "s2", "s3"]


def test_bfloat16_is_close_and_recorded():
    found = quiet(stimuli(), tiny_language(dtype=torch.bfloat16))
    assert found.manifest["model"]["dtype"] == "bfloat16"
    exact = quiet(stimuli(), tiny_language()).tokens["surprisal_bits"]
    assert (found.tokens["surprisal_bits"] - exact).abs().median() < 0.5


@pytest.mark.parametrize("index", [None, [1, 1, 1, 1], [1.0, 1.0, 1.0, 1.0], [2, 2, 2, 2]])
@pytest.mark.parametrize(
    "ids", [["a", "b", "c", "d"], pd.Series([1, 2, 3, 4], dtype=object), [1.0, 2.0, 3.0, 4.0]]
)
def test_a_frame_of_the_callers_own_is_read_whatever_it_calls_its_texts(ids, index):
    """As one that names no texts: critical words are found, an index counts from 0 or 1, and numbers become text."""
    frame = stimuli(critical_word=["old", "old", "knows", "窗台上"]).assign(stimulus_id=ids, item=ids)
    frame = frame if index is None else frame.assign(critical_index=index)
    found = quiet(frame, tiny_language()).words
    assert found.loc[found["is_critical"], "word"].tolist() == ["old", "old", "knows", "窗台上。"]
    expected = [str(int(name)) if isinstance(name, float) else str(name) for name in ids]
    assert found["item"].drop_duplicates().tolist() == expected
    assert found["stimulus_id"].drop_duplicates().tolist() == expected


def test_length_counts_the_letters_that_are_read():
    found = quiet(stimuli(["Le cafe\u0301, Donau\u00addampf caf\u00e9s!"]), tiny_language()).words
    assert found["length"].tolist() == [2, 4, 10, 5]


def test_columns_of_the_caller_named_as_ours_are_kept():
    own = {"words": [8, 8, 6, 2], "regions": ["frontal"] * 4}
    found = quiet(stimuli(**own), tiny_language()).words
    assert found["words"].iloc[[0, -1]].tolist() == [8, 2]
    assert (found["regions"] == "frontal").all()
    assert "region" not in found


def test_notes_of_the_texts_stand_in_the_manifest():
    frame = stimuli(
        ["Der alte Bäcker schlief <b>lange</b>.", "Niemand glaubte seinem Nachbarn."], item=["1", "2"]
    )
    frame["Context"] = ["Gestern Abend war Markt.", ""]
    frame["critical_word"] = ["Bäcker", "Nachbarn"]
    english, german = (
        quiet(frame, tiny_language(), language=code).manifest["text_notes"] for code in ("en", "de")
    )
    assert german == [
        "preceding text: column Context",
        "1 text holds HTML (scored as given; first in row 0, '<b>lange</b>.')",
    ]
    assert english[:2] == german
    assert english[2].startswith(
        "100% of the critical words (2 of 2: 'Bäcker', 'Nachbarn.') are unknown in language 'en'"
    )


def test_repeated_stimulus_ids_are_refused():
    frame = stimuli().assign(stimulus_id="same")
    with pytest.raises(DataError, match="repeated"):
        quiet(frame, tiny_language())


def test_files_equal_the_trace_in_memory(tmp_path):
    model = tiny_language()
    memory, disk = quiet(stimuli(), model), quiet(stimuli(), model, out=tmp_path)
    for name in ("tokens", "layers", "words"):
        pd.testing.assert_frame_equal(getattr(memory, name), getattr(disk, name))
        pd.testing.assert_frame_equal(getattr(Trace.read(tmp_path), name), getattr(disk, name))
    assert memory.manifest == disk.manifest
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == [
        "layers.parquet", "manifest.json", "tokens.parquet", "words.parquet",
    ]  # fmt: skip


def test_an_interrupted_trace_goes_on_where_it_stopped(tmp_path, monkeypatch):
    model, measured = tiny_language(), []
    monkeypatch.setattr(shards, "CHARACTERS", 60)
    whole = quiet(stimuli(), model)
    shard = module._shard

    def stops(work, frame, *rest):
        if len(measured) == 1:
            raise KeyboardInterrupt
        measured.append(frame["stimulus_id"].tolist())
        return shard(work, frame, *rest)

    def goes_on(work, frame, *rest):
        measured.append(frame["stimulus_id"].tolist())
        return shard(work, frame, *rest)

    monkeypatch.setattr(module, "_shard", stops)
    with pytest.raises(KeyboardInterrupt):
        quiet(stimuli(), model, out=tmp_path)
    monkeypatch.setattr(module, "_shard", goes_on)
    resumed = quiet(stimuli(), model, out=tmp_path)
    assert sorted(list(chain.from_iterable(measured))) == ["s0", "s1", "s2", "s3"]
    for name in ("tokens", "layers", "words"):
        pd.testing.assert_frame_equal(getattr(whole, name), getattr(resumed, name))
    quiet(stimuli(), model, out=tmp_path)
    assert len(list(chain.from_iterable(measured))) == 4
    quiet(stimuli(SENTENCES[:2]), model, out=tmp_path)
    assert len(list(chain.from_iterable(measured))) == 6


def test_a_damaged_shard_is_computed_again(tmp_path, monkeypatch):
    model = tiny_language()
    monkeypatch.setattr(shards, "CHARACTERS", 60)
    monkeypatch.setattr(shards, "join_tables", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        quiet(stimuli(), model, out=tmp_path)
    (tmp_path / "shards" / "00001.words.parquet").write_bytes(b"half a file")
    monkeypatch.undo()
    monkeypatch.setattr(shards, "CHARACTERS", 60)
    pd.testing.assert_frame_equal(quiet(stimuli(), model, out=tmp_path).words, quiet(stimuli(), model).words)


def test_an_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CladaNeuroError, match="cannot write"):
        quiet(stimuli(), tiny_language(), out=tmp_path / "file")


def test_shards_keep_order_and_long_texts_alone(monkeypatch):
    monkeypatch.setattr(shards, "CHARACTERS", 50)
    pieces = shards.cut(stimuli(["a" * 30, "b" * 30, "c" * 80, "d", "e"]))
    assert [piece["stimulus_id"].tolist() for piece in pieces] == [["s0"], ["s1"], ["s2"], ["s3", "s4"]]


def test_mixed_columns_survive_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "CHARACTERS", 60)
    frame = stimuli(note=[None, None, "x", None], critical_word=[None, None, "knows", None])
    found = quiet(frame, tiny_language(), out=tmp_path)
    assert found.words.loc[found.words["stimulus_id"] == "s2", "note"].eq("x").all()
    write_table(found.words, tmp_path / "again.parquet")
