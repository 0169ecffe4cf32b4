"""Loading: what is refused, with which words; and the embedded model's way from GGUF to safetensors."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.errors import RevisionNotFoundError
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, tiny_checkpoint, tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from clada_neuro.artifacts import content_hash
from clada_neuro.bench.peers import write_gguf
from clada_neuro.errors import ModelError
from clada_neuro.models import loading, memory
from clada_neuro.models.checkpoint import load_weights
from clada_neuro.models.embedded import embedded_gguf
from clada_neuro.models.loading import load_model


@pytest.fixture
def checkpoint(tmp_path):
    return tiny_checkpoint(tmp_path)


def test_a_checkpoint_folder_keeps_its_weights(checkpoint):
    loaded = load_model(checkpoint, device="cpu")
    for (name, mine), theirs in zip(
        tiny_model().state_dict().items(), loaded.model.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs), name
    assert not loaded.model.training
    assert (loaded.start_token_id, loaded.start_token, loaded.max_context) == (0, "<s>", 128)
    described = loaded.describe()
    assert (described["architecture"], described["dtype"]) == ("LlamaForCausalLM", "float32")
    assert len(described["weights_hash"]) == 16


def test_the_hash_is_of_the_weights(checkpoint):
    before = load_model(checkpoint, device="cpu").weights_hash
    (checkpoint / "README.md").write_text("not read by the loader")
    assert load_model(checkpoint, device="cpu", start_token="none").weights_hash == before
    tiny_model(seed=1).save_pretrained(checkpoint)
    assert load_model(checkpoint, device="cpu").weights_hash != before


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("config.json", '"rms_norm_eps": 1e-06', '"rms_norm_eps": 1.0'),
        ("config.json", '"hidden_act": "silu"', '"hidden_act": "relu"'),
        ("tokenizer.json", '"w7": 7', '"W7": 7'),
    ],
)
def test_the_hash_is_of_config_and_tokenizer_too(checkpoint, file, before, after):
    whole = load_model(checkpoint, device="cpu").weights_hash
    text = (checkpoint / file).read_text()
    assert before in text
    (checkpoint / file).write_text(text.replace(before, after))
    assert load_model(checkpoint, device="cpu").weights_hash != whole


def test_a_dequantised_copy_is_made_again_after_edits_and_by_other_packages(
    checkpoint, tmp_path, tmp_path_factory, monkeypatch
):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path_factory.mktemp("cache")))
    made = []

    def dequantise(path, folder):
        made.append(path)
        shutil.copytree(checkpoint, folder)

    monkeypatch.setattr(loading, "_dequantise", dequantise)
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    file.write_bytes(b"weights, config and tokenizer")
    folder, digest = loading._from_gguf(file)
    assert loading._from_gguf(file) == (folder, digest) == (folder, content_hash(file))
    assert len(made) == 1
    config = Path(folder) / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1.0'))
    (Path(folder) / "added_tokens.json").write_text("{}")
    assert loading._from_gguf(file) == (folder, digest)
    assert config.read_bytes() == (checkpoint / "config.json").read_bytes()
    assert not (Path(folder) / "added_tokens.json").exists()
    real = loading.metadata.version
    monkeypatch.setattr(loading.metadata, "version", lambda name: "9" if name == "gguf" else real(name))
    loading._from_gguf(file)
    assert len(made) == 3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_precision_is_as_asked(checkpoint, dtype):
    assert load_model(checkpoint, device="cpu", dtype=dtype).describe()["dtype"] == dtype


def pickled(checkpoint: Path, parts: int) -> dict[str, torch.Tensor]:
    """Put pickled weights in place of a checkpoint's safetensors, in one or several files."""
    file = checkpoint / "model.safetensors"
    weights = load_file(file)
    file.unlink()
    names = sorted(weights)
    for part in range(parts):
        name = "pytorch_model.bin" if parts == 1 else f"pytorch_model-{part + 1:05d}-of-{parts:05d}.bin"
        torch.save({key: weights[key] for key in names[part::parts]}, checkpoint / name)
    return weights


@pytest.mark.parametrize("parts", [1, 3])
def test_pickled_weights_are_kept_as_safetensors(checkpoint, tmp_path_factory, monkeypatch, parts):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path_factory.mktemp("cache")))
    weights = pickled(checkpoint, parts)
    first = load_model(checkpoint, device="cpu")
    for name, value in first.model.state_dict().items():
        assert name not in weights or torch.equal(value, weights[name]), name
    monkeypatch.setattr(loading, "as_safetensors", None)  # made once
    second = load_model(checkpoint, device="cpu")
    assert (first.weights_hash, len(first.weights_hash)) == (second.weights_hash, 16)
    assert second.origin == {"checkpoint": checkpoint.name}
    assert not list(checkpoint.glob("*.safetensors"))


def test_tied_weights_of_a_pickle_are_kept(checkpoint, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path_factory.mktemp("cache")))
    model = tiny_model("gpt2")  # the output layer is the embedding
    model.config.save_pretrained(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    torch.save(model.state_dict(), checkpoint / "pytorch_model.bin")
    loaded = load_model(checkpoint, device="cpu").model
    ids = torch.arange(3, 20)[None]
    assert torch.equal(loaded(ids).logits, model(ids).logits)


class _Runs:
    """A pickle of it makes a folder when it is opened."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return (Path.mkdir, (self.place,))


def test_a_pickle_that_wants_code_is_refused_and_not_run(checkpoint, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path_factory.mktemp("cache")))
    weights, made = pickled(checkpoint, 1), checkpoint / "made"
    torch.save(weights | {"evil": _Runs(made)}, checkpoint / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"^'.*pytorch_model\.bin' asks for more than weights.*safetensors files$"
    ):
        load_model(checkpoint, device="cpu")
    assert not made.exists()
    torch.save([1, 2], checkpoint / "pytorch_model.bin")
    with pytest.raises(ModelError, match="holds no weights by name"):
        load_model(checkpoint, device="cpu")
    (checkpoint / "pytorch_model.bin").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ModelError, match="cannot be read as weights: "):
        load_model(checkpoint, device="cpu")


def test_a_model_larger_than_memory_is_refused_before_it_is_loaded(checkpoint, monkeypatch):
    count = sum(value.numel() for value in load_file(checkpoint / "model.safetensors").values())
    assert memory.bytes_of_weights(checkpoint, torch.float32) == 4 * count
    assert memory.free_bytes(torch.device("cpu")) > 4 * count
    monkeypatch.setattr(memory, "free_bytes", lambda device: 4 * count - 1)
    with pytest.raises(
        ModelError,
        match=rf"needs 0\.0 GB \({4 * count:,} bytes\) in float32, 0\.0 GB \({4 * count - 1:,} bytes\) are free on cpu; "
        r"--dtype bfloat16 takes 0\.0 GB, or use a smaller model",
    ):
        load_model(checkpoint, device="cpu")
    load_model(checkpoint, device="cpu", dtype="bfloat16")
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    with pytest.raises(ModelError, match=r"in bfloat16.* free on cpu; use a smaller model"):
        load_model(checkpoint, device="cpu", dtype="bfloat16")


def test_pickled_weights_larger_than_memory_stay_closed(checkpoint, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path_factory.mktemp("cache")))
    pickled(checkpoint, 1)
    monkeypatch.setattr("clada_neuro.models.pickled.free_bytes", lambda device: 9)
    with pytest.raises(
        ModelError, match=r"pytorch_model\.bin' needs [\d,]+ bytes to be made safetensors, 9 are free"
    ):
        load_model(checkpoint, device="cpu")


def test_packed_integers_keep_their_size(tmp_path):
    save_file(
        {
            "packed": torch.zeros(6, dtype=torch.uint8),
            "place": torch.zeros(3, dtype=torch.int32),
            "scale": torch.zeros(5),
        },
        tmp_path / "model.safetensors",
    )
    assert memory.bytes_of_weights(tmp_path, torch.bfloat16) == 6 + 12 + 10


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_LIMIT", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text("4096\n")
    assert memory.free_bytes(torch.device("cpu")) == 4096
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes(torch.device("cpu")) > 4096


def test_a_revision_is_asked_for_and_recorded(checkpoint, monkeypatch):
    asked = []

    def download(name, *, revision, allow_patterns):
        asked.append((name, revision))
        if revision == "step9":
            raise RevisionNotFoundError.__new__(RevisionNotFoundError)
        return str(checkpoint)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    loaded = load_model("lab/tiny", device="cpu", revision="step3")
    assert asked == [("lab/tiny", "step3")]
    assert loaded.describe()["revision_asked"] == "step3"
    assert loaded.describe()["revision"] == checkpoint.name
    with pytest.raises(
        ModelError, match=r"^model 'lab/tiny' has no revision 'step9' on the Hugging Face hub; give one"
    ):
        load_model("lab/tiny", revision="step9")


def test_only_names_of_the_hub_have_revisions(checkpoint):
    for name in (checkpoint, "smollm2", "x.gguf"):
        with pytest.raises(ModelError, match="is no Hugging Face name, and only those have revisions"):
            load_model(name, revision="step3")


def test_a_folder_without_weights_is_refused(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        load_model(checkpoint)


def test_a_folder_without_config_is_refused(checkpoint):
    (checkpoint / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(checkpoint)


def test_damaged_weights_are_one_line(checkpoint):
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(checkpoint)


def test_a_folder_without_tokenizer_is_refused(checkpoint):
    for file in checkpoint.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(checkpoint)


def test_code_of_a_checkpoint_is_never_run(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {
        "model_type": "surprise",
        "auto_map": {"AutoConfig": "run.Config", "AutoModelForCausalLM": "run.Model"},
    }
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "run.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(checkpoint)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "/nowhere/model"}, "not a checkpoint folder"),
        ({"name": "/nowhere/model.gguf"}, "no GGUF file"),
        ({"dtype": "float16"}, "float32, bfloat16, float64"),
        ({"device": "gpu"}, "device 'gpu'"),
    ],
)
def test_wrong_arguments_say_what_was_expected(arguments, message):
    with pytest.raises(ModelError, match=message) as error:
        load_model(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_one_line():
    with pytest.raises(ModelError, match="device 'cuda' cannot be used"):
        load_model(device="cuda")


def test_an_unknown_name_says_where_was_looked(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="neither a folder here nor reachable"):
        load_model("nobody/no-such-model")


def test_the_embedded_model_is_smollm2():
    model = load_model(device="cpu")
    assert model.start_token == "<|endoftext|>"
    config = model.model.config
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (30, 576, 1536)
    text = "A naïve test — 猫 👩‍🚀!"
    assert model.tokenizer.decode(model.tokenizer(text, add_special_tokens=False).input_ids) == text


@pytest.mark.slow
def test_the_safetensors_copy_equals_the_gguf():
    path = embedded_gguf()
    direct = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    copy = load_model(device="cpu").model.state_dict()
    for name, weight in direct.state_dict().items():
        assert torch.equal(weight, copy[name]), name
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    assert tokenizer("The café").input_ids == load_model(device="cpu").tokenizer("The café").input_ids


def stored(checkpoint, change):
    """Rewrite a checkpoint's weights: `change` gets and returns name → tensor."""
    file = checkpoint / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


MATRIX = "model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {f"module.{name}": value for name, value in w.items()}, r"lacks 21 .*'lm_head.*'module\."),
        (lambda w: {name: w[name] for name in w if name != MATRIX}, f"lacks 1 weight of the model, '{MATRIX}'"),
        (lambda w: w | {MATRIX: w[MATRIX][:-1].clone()}, rf"'{MATRIX}' has shape \(51, 24\), .* says \(52, 24\)"),
    ],
    ids=["renamed", "missing", "another shape"],
)  # fmt: skip
def test_a_checkpoint_that_does_not_fill_the_model_is_refused(checkpoint, change, message):
    stored(checkpoint, change)
    with pytest.raises(ModelError, match=message) as error:
        load_model(checkpoint, device="cpu")
    assert "\n" not in str(error.value)


def test_weights_without_a_place_are_named(checkpoint):
    stored(checkpoint, lambda w: w | {"lora.weight": torch.zeros(2)})
    with pytest.warns(UserWarning, match=r"1 weight .* is not used, 'lora\.weight'"):
        loaded = load_model(checkpoint, device="cpu")
    assert torch.equal(loaded.model.lm_head.weight, tiny_model().lm_head.weight)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_whole_checkpoints_of_every_family_are_loaded_without_a_word(family, tied, tmp_path, recwarn):
    config = tiny_model(family).config
    config.tie_word_embeddings = tied
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path)
    loaded = load_weights("tiny", pretrained_model_name_or_path=tmp_path)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name]), name
    assert not recwarn.list


def test_an_incomplete_gguf_is_refused_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path / "cache"))
    model = tiny_model()
    partial = SimpleNamespace(
        config=model.config,
        state_dict=lambda: {name: w for name, w in model.state_dict().items() if name != MATRIX},
    )
    write_gguf(partial, path := tmp_path / "part.gguf", "float32")
    for _ in range(2):
        with pytest.raises(ModelError, match=f"lacks 1 weight of the model, '{MATRIX}'"):
            load_model(path, device="cpu")


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"GGUF", b"GGUF" + b"\xff" * 200, b"GGUF\x03\0\0\0" + b"\0" * 16]
)
def test_a_damaged_gguf_is_one_line(content, tmp_path, monkeypatch):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "junk.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"junk\.gguf' cannot be loaded: .+") as error:
        load_model(path, device="cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [{"hidden_size": "wide"}, {"num_attention_heads": 0}, {"hidden_size": None}, {"rope_scaling": 3}],
    ids=str,
)
def test_an_odd_configuration_is_one_line(checkpoint, change):
    path = checkpoint / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError) as error:
        load_model(checkpoint, device="cpu")
    assert "\n" not in str(error.value)
