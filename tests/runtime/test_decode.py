import types

import pytest
import torch
from tiny_models import tiny_model, tiny_policy

from clada_neuro.errors import ModelError
from clada_neuro.models.loading import LanguageModel
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime import runner
from clada_neuro.runtime.decode import generate
from clada_neuro.runtime.scoring import score


class Letters:
    """A tokenizer of one token a letter."""

    def __call__(self, text: str, add_special_tokens: bool = False) -> types.SimpleNamespace:
        return types.SimpleNamespace(input_ids=[ord(letter) - 32 for letter in text])

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return "".join(chr(i + 32) for i in ids)

    def get_vocab(self) -> dict[str, int]:
        return {chr(i + 32): i for i in range(97)}


def language_model(family: str = "gpt2", start: int | None = 0) -> LanguageModel:
    model = tiny_model(family)
    model.generation_config.eos_token_id = None
    return LanguageModel("tiny", model, Letters(), start, "abc")


PROMPTS = ["cab", "a much longer prompt", "z"]


@pytest.mark.parametrize("kappa", [0.0, 0.2])
def test_prompts_together_continue_as_alone(kappa: float) -> None:
    model = language_model()
    policy = tiny_policy(model.model, gamma=0.3, kappa=kappa)
    together = generate(model, PROMPTS, policy, max_new_tokens=8)
    for prompt, result in zip(PROMPTS, together, strict=True):
        alone = generate(model, prompt, policy, max_new_tokens=8)[0]
        assert alone.token_ids == result.token_ids
        assert alone.text == result.text == Letters().decode(result.token_ids)
        assert len(result.ffn_sparsity) == 7  # the last token drawn is never processed
        assert min(result.ffn_sparsity) > 0.1
        assert len(result.events) == len(result.actions) == 7


def test_dense_generation_is_that_of_transformers() -> None:
    model = language_model()
    ids = torch.tensor([[0, *Letters()("hello").input_ids]])
    expected = model.model.generate(ids, max_new_tokens=10, do_sample=False)[0, ids.shape[1] :].tolist()
    result = generate(model, "hello", Dense(), max_new_tokens=10)[0]
    assert result.token_ids == expected
    assert not any(result.ffn_sparsity)


def test_generated_text_scores_as_the_likeliest() -> None:
    """Decoding and scoring are one policy: at each step the drawn token has the highest probability."""
    model = language_model("llama", start=0)
    policy = tiny_policy(model.model, gamma=0.3, kappa=0.1)
    result = generate(model, ["abc", "de"], policy, max_new_tokens=12)[0]
    tokens = [0, *Letters()("abc").input_ids, *result.token_ids]
    scored = score(model.model, policy, [tokens], prefix=4)[0]
    torch.testing.assert_close(scored.ffn_sparsity[4:-1].mean(-1), torch.tensor(result.ffn_sparsity))


def test_sampling_is_seeded_by_prompt() -> None:
    model = language_model()
    options = {"max_new_tokens": 8, "temperature": 1.0, "top_p": 0.9}
    first, again = (generate(model, PROMPTS, Dense(), seed=3, **options) for _ in range(2))
    assert [r.token_ids for r in first] == [r.token_ids for r in again]
    assert generate(model, PROMPTS[:1], Dense(), seed=3, **options)[0].token_ids == first[0].token_ids
    assert generate(model, PROMPTS, Dense(), seed=4, **options)[0].token_ids != first[0].token_ids


def test_a_small_top_p_is_greedy() -> None:
    model = language_model()
    greedy = generate(model, "abc", Dense(), max_new_tokens=6)[0].token_ids
    assert (
        generate(model, "abc", Dense(), max_new_tokens=6, temperature=1.0, top_p=1e-6)[0].token_ids == greedy
    )


def test_stop_tokens_end_one_prompt_and_not_the_others() -> None:
    model = language_model()
    free = generate(model, PROMPTS, Dense(), max_new_tokens=8)
    stop = Letters().decode([free[0].token_ids[2]])
    stopped = generate(model, PROMPTS, Dense(), max_new_tokens=8, stop=[stop])
    for before, after in zip(free, stopped, strict=True):
        end = [i for i, token in enumerate(before.token_ids) if Letters().decode([token]) == stop]
        assert after.token_ids == before.token_ids[: end[0] if end else None]
    assert len(stopped[0].token_ids) <= 2


def test_streamed_pieces_make_the_text() -> None:
    pieces: dict[int, str] = {}
    results = generate(
        language_model(), PROMPTS, Dense(), max_new_tokens=5,
        stream=lambda row, piece: pieces.update({row: pieces.get(row, "") + piece}),
    )  # fmt: skip
    assert [pieces[row] for row in range(3)] == [result.text for result in results]


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ModelError, match="prompt is empty"):
        generate(language_model(start=None), "", Dense())
    with pytest.raises(ModelError, match="stop token 'nope'"):
        generate(language_model(), "a", Dense(), stop=["nope"])
    with pytest.raises(ModelError, match="top_p"):
        generate(language_model(), "a", Dense(), top_p=0.0)


def test_one_llama_sequence_runs_compiled_and_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    model = language_model("llama")
    policy = tiny_policy(model.model, gamma=0.3, kappa=0.1)
    compiled = generate(model, "compiled", policy, max_new_tokens=10)[0]
    monkeypatch.setattr(runner, "_fast_runner", lambda model, policy: None)
    hooked = generate(model, "compiled", policy, max_new_tokens=10)[0]
    assert compiled.token_ids == hooked.token_ids
    assert compiled.ffn_sparsity == pytest.approx(hooked.ffn_sparsity, abs=0.02)
