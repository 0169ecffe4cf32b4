import pytest
import torch
from tiny_models import POLICY_FAMILIES, tiny_model, tiny_policy
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation import MaxLengthCriteria, StoppingCriteriaList

from clada_neuro.errors import ModelError
from clada_neuro.models.loading import LanguageModel
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.scoring import score

TOKENS = torch.tensor([[3, 40, 5, 60, 17, 9]])


def logits(model: PreTrainedModel, tokens: torch.Tensor = TOKENS) -> torch.Tensor:
    with torch.no_grad():
        return model(tokens).logits


def follow(
    model: PreTrainedModel, policy, tokens: torch.Tensor, prefix: int = 2
) -> tuple[torch.Tensor, dict]:
    """One pass under a policy; returns logits and masks."""
    with attach(model, policy) as session, torch.no_grad():
        session.begin(len(tokens))
        scale = torch.full(tokens.shape, policy.base_scale)
        scale[:, :prefix] = 0
        counted = scale == 0
        counted[:, 0] = False
        session.plan(scale, counted)
        return model(tokens).logits, dict(session.masks)


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_full_budget_is_the_plain_model(family: str) -> None:
    model = tiny_model(family)
    plain = logits(model)
    full, _ = follow(model, tiny_policy(model, threshold=0.0), TOKENS)
    assert (full - plain).abs().max() <= 1e-5 * plain.abs().max()
    assert torch.equal(follow(model, Dense(), TOKENS)[0], plain)
    partial, _ = follow(model, tiny_policy(model), TOKENS)
    assert torch.equal(partial[:, :2], plain[:, :2])
    assert not torch.allclose(partial[:, 2:], plain[:, 2:], atol=1e-3)


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_detaching_restores_the_model_also_after_an_exception(family: str) -> None:
    model = tiny_model(family)
    before = logits(model)
    parameters = [p.clone() for p in model.parameters()]
    with pytest.raises(IndexError), attach(model, tiny_policy(model)):
        model(torch.tensor([[10_000]]))
    assert torch.equal(logits(model), before)
    assert all(torch.equal(a, b) for a, b in zip(parameters, model.parameters(), strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert "generate" not in vars(model)


def test_a_policy_cannot_be_attached_twice() -> None:
    model = tiny_model()
    with attach(model, tiny_policy(model)), pytest.raises(ModelError, match="already attached"):
        attach(model, Dense()).__enter__()


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_masks_follow_the_rule(family: str) -> None:
    model = tiny_model(family)
    policy = tiny_policy(model)
    seen = {}
    with attach(model, policy) as session, torch.no_grad():
        for ffn in session.layers:
            # hooks run in order of registration: the masked x arrives here
            ffn.inputs[0].register_forward_pre_hook(lambda m, a, layer=ffn.layer: seen.update({layer: a[0]}))
        session.begin(1)
        session.plan(torch.ones(TOKENS.shape), torch.zeros(TOKENS.shape, dtype=torch.bool))
        model(TOKENS)
        for ffn in session.layers:
            x = seen[ffn.layer].reshape(*TOKENS.shape, -1)
            kept = session.masks[ffn.layer, "input"]
            scores = x.abs() * ffn.input_norms
            assert (scores[kept] >= policy.thresholds["input"][ffn.layer]).all()
            assert (x[~kept] == 0).all()
            a = ffn.hidden(x)
            assert torch.equal(
                session.masks[ffn.layer, "hidden"],
                a.abs() * ffn.neuron_norms >= policy.thresholds["hidden"][ffn.layer],
            )


def test_replayed_masks_give_the_same_logits() -> None:
    """What the hooks compute equals FFN blocks computed by hand from the recorded masks."""
    model = tiny_model("qwen2")
    policy = tiny_policy(model)
    expected, masks = follow(model, policy, TOKENS)

    class Replay(Dense):
        sites = policy.sites

        def select(self, layer, site, values, state):
            return masks[layer, site]

        def compensation(self, layer, state):
            return policy.compensation(layer, state)

    replayed, _ = follow(model, Replay(), TOKENS)
    torch.testing.assert_close(replayed, expected)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_later_tokens_change_nothing_earlier(family: str) -> None:
    model = tiny_model(family)
    changed = TOKENS.clone()
    changed[:, 4:] = torch.tensor([70, 71])
    for policy in (tiny_policy(model, gamma=0.3), tiny_policy(model, gamma=0.3, kappa=0.3)):
        first, second = (score(model, policy, [t[0].tolist()], prefix=2)[0] for t in (TOKENS, changed))
        for name in ("surprisal_bits", "entropy_bits", "ffn_sparsity", "load"):
            torch.testing.assert_close(getattr(first, name)[:4], getattr(second, name)[:4], equal_nan=True)


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_generate_of_transformers_follows_the_policy(family: str) -> None:
    """Left-padded batch, prompt dense, one token a step: the same tokens as our own scoring of them."""
    model = tiny_model(family)
    policy = tiny_policy(model, gamma=0.3, kappa=0.1)
    prompts = torch.tensor([[2, 2, 11, 12, 13], [21, 22, 23, 24, 25]])
    mask = (prompts != 2).long()
    with attach(model, policy) as session:
        out = model.generate(
            prompts, attention_mask=mask, max_new_tokens=6, do_sample=False, eos_token_id=None
        )
        assert session.ffn_sparsity().mean() > 0.1
    for row, prompt in enumerate(([11, 12, 13], [21, 22, 23, 24, 25])):
        new = out[row, 5:].tolist()
        _Likeliest(model, policy, prompt, new).check()


class _Likeliest:
    """Every generated token is the likeliest under our own stepping, up to a tie."""

    def __init__(self, model, policy, prompt, new) -> None:
        self.tokens, self.prompt = prompt + new, len(prompt)
        self.gaps = {}
        score(model, policy, [self.tokens], prefix=self.prompt, observer=self)

    def hidden(self, layer, rows, positions, a) -> None: ...

    def logits(self, rows, positions, logits) -> None:
        for position, row in zip(positions.tolist(), logits, strict=True):
            if self.prompt - 1 <= position < len(self.tokens) - 1:
                self.gaps[position] = float(row.max() - row[self.tokens[position + 1]])

    def check(self) -> None:
        assert len(self.gaps) == len(self.tokens) - self.prompt
        assert max(self.gaps.values()) < 1e-3


def test_one_token_prompts_and_second_turns_are_prefill() -> None:
    model = tiny_model()
    policy = tiny_policy(model, gamma=0.3)
    with attach(model, policy) as session:
        first = model.generate(
            torch.tensor([[7]]),
            max_new_tokens=4,
            do_sample=False,
            return_dict_in_generate=True,
            eos_token_id=None,
        )
        assert not torch.equal(first.sequences[:, 1:2], torch.tensor([[7]]))
        cache = first.past_key_values
        sparse: list[bool] = []
        model.model.layers[0].mlp.register_forward_hook(lambda *_: sparse.append(bool(session.masks)))
        turn = torch.cat([first.sequences, torch.tensor([[33]])], dim=1)
        model.generate(turn, past_key_values=cache, max_new_tokens=3, do_sample=False, eos_token_id=None)
    assert sparse == [False, True, True]


def test_prefill_in_chunks_is_prefill() -> None:
    model = tiny_model()
    policy = tiny_policy(model, gamma=0.3)
    prompt = torch.arange(10, 22)[None]
    with attach(model, policy):
        whole = model.generate(prompt, max_new_tokens=5, do_sample=False, eos_token_id=None)
        chunks = model.generate(
            prompt, max_new_tokens=5, do_sample=False, eos_token_id=None, prefill_chunk_size=5
        )
    assert torch.equal(whole, chunks)


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 2},
        {"prompt_lookup_num_tokens": 2},
        {"guidance_scale": 2.0},
        {"penalty_alpha": 0.6, "top_k": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["argument", "configuration", "second argument", "model"])
def test_beams_and_assistants_are_refused(options: dict, place: str) -> None:
    model = tiny_model()
    config = GenerationConfig(max_new_tokens=2, **options)
    positional = (config,) if place == "second argument" else ()
    named = {
        "argument": {"max_new_tokens": 2, **options},
        "configuration": {"generation_config": config},
    }.get(place, {})
    if place == "model":
        model.generation_config = config
    with attach(model, tiny_policy(model)), pytest.raises(ModelError, match="one token after the other"):
        model.generate(TOKENS, *positional, **named)


def test_a_configuration_by_position_is_followed() -> None:
    model = tiny_model()
    config = GenerationConfig(max_new_tokens=4, num_beams=1, eos_token_id=None)
    stop = StoppingCriteriaList([MaxLengthCriteria(TOKENS.shape[1] + 2)])
    with attach(model, Dense()):
        out = model.generate(TOKENS, config, stopping_criteria=stop)
    assert torch.equal(out, tiny_model().generate(TOKENS, config)[:, : TOKENS.shape[1] + 2])


def test_what_load_model_returns_is_attached_like_its_model() -> None:
    model = tiny_model()
    whole = LanguageModel("tiny", model, None, 0, "abc")
    with attach(whole, tiny_policy(model)):
        followed = model.generate(TOKENS, max_new_tokens=3, eos_token_id=None)
    with attach(model, tiny_policy(model)):
        assert torch.equal(followed, model.generate(TOKENS, max_new_tokens=3, eos_token_id=None))
