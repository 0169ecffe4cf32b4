"""Run a policy inside a Hugging Face model.

Hooks on the maps of each block, and of attention where the policy's scope has it, mask what they read and add the policy's compensation; nothing of the model is
replaced, so leaving the context restores it. Given tokens are always dense: a pass follows the policy only after a
drawn token was announced, which the model's own ``generate`` does here by itself. So prompts of one token, later turns
of a chat and prompts in chunks are prefill like any other.

This is the reference path: it computes what the policy would skip and masks it. Time is saved by the kernels, which
read only the kept rows.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import GenerationConfig, PreTrainedModel, StoppingCriteria, StoppingCriteriaList
from transformers.generation import GenerationMode

from clada_neuro.errors import ModelError
from clada_neuro.models.ffn import FFN
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.weights import matrix
from clada_neuro.runtime.policy import GATE, INPUT, OUT, QKV, UP, Policy
from clada_neuro.runtime.session import Session

_ATTACHED = "_clada_neuro_session"
_ONE_BY_ONE = (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)


@contextmanager
def attach(model: PreTrainedModel | LanguageModel, policy: Policy) -> Iterator[Session]:
    """Make a model follow a policy inside a ``with`` block.

    Parameters
    ----------
    model : transformers.PreTrainedModel or LanguageModel
        Of a supported architecture; its ``generate`` works inside the block, sampling and batches included.
    policy : Policy

    Yields
    ------
    Session
        Its `ffn_sparsity`, `sparsity`, `masks` and `state` describe the last pass; callers with a loop of their own announce
        each drawn token with `Session.drawn`.

    Raises
    ------
    ModelError
        For an unsupported, quantised or already attached model; inside, for beam search and assisted decoding.
    """
    if isinstance(model, LanguageModel):
        model = model.model
    if _ATTACHED in model.__dict__:
        raise ModelError("a policy is already attached to this model; leave its block first")
    session = Session(model, policy)
    handles: list[RemovableHandle] = []
    try:
        handles += [
            model.register_forward_pre_hook(_before_model(session), with_kwargs=True),
            model.register_forward_hook(lambda module, args, output: session.after_pass(output.logits)),
        ]
        for ffn in session.layers:
            handles += _hook_block(ffn, session)
            handles += _hook_attention(ffn, session)
        model.__dict__[_ATTACHED] = session
        model.__dict__["generate"] = _following_generate(model, session)
        yield session
    finally:
        for handle in handles:
            handle.remove()
        model.__dict__.pop(_ATTACHED, None)
        model.__dict__.pop("generate", None)


def _before_model(session: Session) -> Any:
    def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        inputs = kwargs.get("input_ids", args[0] if args else None)
        if inputs is None:
            inputs = kwargs["inputs_embeds"]
        cache = kwargs.get("past_key_values")
        cached = 0 if cache is None else int(cache.get_seq_length())
        session.before_pass((inputs.shape[0], inputs.shape[1]), cached, kwargs.get("attention_mask"))

    return before


def _hook_block(ffn: FFN, session: Session) -> list[RemovableHandle]:
    """Mask x before the input maps, a before the down map, and compensate after it."""
    sites = session.policy.sites
    seen: dict[str, Tensor] = {}

    def mask_input(module: nn.Module, args: tuple) -> tuple:
        seen[INPUT] = session.masked(ffn, INPUT, args[0], args[0])
        return (seen[INPUT], *args[1:])

    def same_input(module: nn.Module, args: tuple) -> tuple:
        return (seen[INPUT], *args[1:])

    def keep_gate(module: nn.Module, args: tuple, output: Tensor) -> None:
        seen[GATE] = ffn.gate(output)

    def keep_up(module: nn.Module, args: tuple, output: Tensor) -> None:
        seen[UP] = ffn.up(output)

    def mask_hidden(module: nn.Module, args: tuple) -> tuple:
        a = args[0]
        for site in sites:
            if site != INPUT:
                a = session.masked(ffn, site, seen[site] if site in (GATE, UP) else a, a)
        return (a, *args[1:])

    handles = []
    if INPUT in sites:
        handles.append(ffn.inputs[0].register_forward_pre_hook(mask_input))
        handles += [other.register_forward_pre_hook(same_input) for other in ffn.inputs[1:]]
    if GATE in sites:
        handles.append(ffn.inputs[0].register_forward_hook(keep_gate))
    if UP in sites:
        handles.append(ffn.up_map.register_forward_hook(keep_up))
    handles.append(ffn.down.register_forward_pre_hook(mask_hidden))
    handles.append(
        ffn.down.register_forward_hook(lambda module, args, output: session.compensated(ffn, output))
    )
    return handles


def _hook_attention(ffn: FFN, session: Session) -> list[RemovableHandle]:
    """Mask what the maps of attention read, and compensate after them."""
    sites = session.policy.attention_sites
    handles: list[RemovableHandle] = []
    if QKV in sites:
        handles += _hook_maps(ffn.attention.qkv, ffn, QKV, session)
    if OUT in sites:
        handles += _hook_maps((ffn.attention.out,), ffn, OUT, session)
    return handles


def _hook_maps(
    maps: tuple[nn.Module, ...], ffn: FFN, site: str, session: Session
) -> Iterator[RemovableHandle]:
    """Mask once what all these maps read; each adds its part of the compensation."""
    seen: list[Tensor] = []
    start = 0

    def mask(module: nn.Module, args: tuple) -> tuple:
        seen[:] = [session.masked(ffn, site, args[0], args[0])]
        return (seen[0], *args[1:])

    def same(module: nn.Module, args: tuple) -> tuple:
        return (seen[0], *args[1:])

    def compensate(module: nn.Module, args: tuple, output: Tensor, start: int) -> Tensor:
        return session.compensated_at(ffn, site, output, start)

    for place, part in enumerate(maps):
        yield part.register_forward_pre_hook(same if place else mask)
        yield part.register_forward_hook(partial(compensate, start=start))
        start += matrix(part).shape[0]


class _Announce(StoppingCriteria):
    """Called by ``generate`` after each drawn token; stops nothing."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        self.session.drawn(input_ids[:, -1])
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _following_generate(model: PreTrainedModel, session: Session) -> Any:
    original: Any = model.generate

    def generate(*args: Any, **kwargs: Any) -> Any:
        given = signature(original).bind(*args, **kwargs).arguments
        options = given.pop("kwargs", {})
        _refuse_other_orders(model, given, options)
        given["stopping_criteria"] = StoppingCriteriaList(
            [_Announce(session), *(given.get("stopping_criteria") or [])]
        )
        session.cancel()
        return original(**given, **options)

    return generate


def _refuse_other_orders(model: PreTrainedModel, given: dict[str, Any], options: dict[str, Any]) -> None:
    """Raise `ModelError` for what does not draw one token after the other, wherever it was asked for."""
    # As `generate` puts them together: its arguments, a configuration, the model's own.
    config = copy.deepcopy(given.get("generation_config") or GenerationConfig())
    if model.generation_config is not None:
        config.update(**model.generation_config.to_dict(), defaults_only=True)
    config.update(**options)
    mode = config.get_generation_mode(given.get("assistant_model"))
    asked = {
        mode.replace("_", " "): mode not in _ONE_BY_ONE,
        "custom_generate": given.get("custom_generate") is not None,
        "guidance_scale": config.guidance_scale not in (None, 1),
    }
    for name, refused in asked.items():
        if refused:
            raise ModelError(
                f"generate with {name} does not draw one token after the other, which a policy needs; "
                "use greedy decoding or sampling"
            )
