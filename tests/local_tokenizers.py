"""One tokenizer of each kind, trained here on a few sentences."""

from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "The old sailor told the children a story about the sea, and they didn't believe him.",
    'She said: "Nobody knows -- not even I!" (Then she left.)',
    "Der Bäcker weiß, dass die Größe zählt. Кошка сидит на окне. 猫坐在窗台上。",
    "A café owner waved at the crowd; 24,000 people cheered.\nNobody slept.",
] * 20
SPECIAL = ["<|endoftext|>", "<unk>"]


def _bpe(**options) -> Tokenizer:
    return Tokenizer(models.BPE(**options))


def _trained(tokenizer: Tokenizer, trainer) -> Tokenizer:
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_level(trim: bool = False, prefix: bool = False) -> Tokenizer:
    """As GPT-2; with ``trim`` as GPT-NeoX, whose offsets leave out white space."""
    tokenizer = _bpe()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim, add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    return _trained(tokenizer, trainer)


def metaspace(scheme: str) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return _trained(
        tokenizer, trainers.UnigramTrainer(vocab_size=220, special_tokens=SPECIAL, unk_token="<unk>")
    )


def byte_fallback() -> Tokenizer:
    """As Llama 2: spaces become ``▁`` in the normalizer, unknown characters become bytes."""
    tokenizer = _bpe(byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    trained = _trained(
        tokenizer, trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, max_token_length=8)
    )
    trained.add_tokens([f"<0x{byte:02X}>" for byte in range(256)])
    return trained


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return _trained(tokenizer, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL))


KINDS = {
    "byte-level": byte_level,
    "byte-level, trimmed": lambda: byte_level(trim=True),
    "byte-level, prefix space": lambda: byte_level(prefix=True),
    "byte-level, trimmed, prefix space": lambda: byte_level(trim=True, prefix=True),
    "metaspace, dummy prefix": lambda: metaspace("always"),
    "metaspace, no dummy prefix": lambda: metaspace("never"),
    "byte fallback": byte_fallback,
    "word piece": word_piece,
}


@cache
def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=KINDS[kind](), eos_token="<|endoftext|>", unk_token="<unk>"
    )
