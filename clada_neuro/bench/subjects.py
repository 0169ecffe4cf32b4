"""Which model and which policies are timed.

Speed does not depend on what a model says, so a larger shape with random weights serves as well as a trained one, if
its policies drop as much as they would there: thresholds are quantiles of its own scores, split over the two sites as
measured for SmolLM2, and the load that scales them is replayed from a recording.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from clada_neuro.errors import CalibrationError
from clada_neuro.models.checkpoint import ONE_AT_A_TIME
from clada_neuro.models.ggml import KINDS, quantise
from clada_neuro.models.loading import EMBEDDED, LanguageModel, load_model
from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.passage import Passage
from clada_neuro.policies.artifact import Calibration, load_calibration
from clada_neuro.policies.declaration import Timed
from clada_neuro.policies.registry import DECLARED, make_policy
from clada_neuro.runtime.cognitive_load import surprisal_and_entropy
from clada_neuro.runtime.policy import FFN_ONLY, Policy

LLAMA_1B, LLAMA_7B = "llama-1b-random", "llama-7b-random"
# hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads
SHAPES = {LLAMA_1B: (2048, 5632, 22, 32, 4), LLAMA_7B: (4096, 11008, 32, 32, 32)}
PASSAGE = (
    "It was late in the evening when the ship came round the point, and the men on the shore put down their "
    "nets to look at her. She was larger than any vessel they had seen, and nobody could say whose flag she flew."
)
CALIBRATED, QUANTILES = "calibrated", "quantiles"


@dataclass(frozen=True, eq=False)
class TimedModel:
    """What is timed: a model and a prompt ``(tokens,)``; a shape with random weights has no tokenizer."""

    model: PreTrainedModel
    prompt: Tensor
    language_model: LanguageModel | None

    def policies(
        self,
        sparsities: tuple[float, ...],
        calibration: str | Path | None,
        tokens: int,
        scope: str = FFN_ONLY,
    ) -> tuple[list[Policy], str]:
        """Return policies at every sparsity and where their thresholds come from: a calibration, if there is one.

        ``tokens`` is the length of a continuation, over which a replayed load averages 0.
        """
        fitted = (
            None if self.language_model is None else _calibration(self.language_model, calibration, scope)
        )
        if fitted is not None:
            tables = [calibrated_policies(self.model, fitted, share, self.prompt) for share in sparsities]
        else:
            recorded = recorded_load(tokens).to(self.prompt.device)
            tables = [
                quantile_policies(self.model, share, self.prompt, recorded, scope) for share in sparsities
            ]
        rules = [policy for table in tables for policy in table.values()]
        return rules, QUANTILES if fitted is None else CALIBRATED


def find_subject(name: str, dtype: str, device: torch.device, revision: str | None = None) -> TimedModel:
    """Return a model, or a shape of `SHAPES`, with a prompt."""
    if name in SHAPES:
        model = random_llama(name, torch.float32 if dtype in KINDS else getattr(torch, dtype), device)
        if dtype in KINDS:
            quantise(model, dtype)
        source = torch.Generator().manual_seed(1)
        prompt = torch.randint(0, model.config.vocab_size, (48,), generator=source)
        return TimedModel(model, prompt.to(device), None)
    language_model = load_model(name, dtype=dtype, device=str(device), revision=revision)
    prompt = language_model.tokenizer(PASSAGE, return_tensors="pt").input_ids[0]
    return TimedModel(language_model.model, prompt.to(device), language_model)


def _calibration(language_model: LanguageModel, path: str | Path | None, scope: str) -> Calibration | None:
    """Return the given or the shipped calibration, None where none ships."""
    try:
        return load_calibration(language_model, path, scope)
    except CalibrationError:
        if path is not None:
            raise
        return None


def random_llama(name: str, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """Return a Llama shape of `SHAPES` with random weights."""
    hidden, intermediate, layers, heads, groups = SHAPES[name]
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        max_position_embeddings=2048,
    )
    with ONE_AT_A_TIME, device, no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)
    chance = torch.Generator("cpu" if device.type == "meta" else device).manual_seed(0)
    for weight in model.parameters():
        if weight.dim() == 2:
            weight.normal_(std=config.initializer_range, generator=chance)
    return model


def calibrated_policies(
    model: PreTrainedModel, calibration: Calibration, sparsity: float, ids: Tensor
) -> dict[str, Policy]:
    """Return the timed policies of a calibrated model at a mean sparsity of its scope, as kernels follow them on a text."""
    layers, passage = ffn_layers(model), Passage(model, ids, sparsity, scope=calibration.scope)
    return {
        name: timed.in_kernels(make_policy(name, layers, calibration, sparsity), passage)
        for name, timed in _timed(calibration.scope).items()
    }


def quantile_policies(
    model: PreTrainedModel, sparsity: float, ids: Tensor, recorded: Tensor, scope: str = FFN_ONLY
) -> dict[str, Policy]:
    """Return the timed policies of a model without calibration: thresholds are quantiles on ``ids (tokens,)``."""
    passage = Passage(model, ids, sparsity, recorded, scope)
    return {name: timed.uncalibrated(passage) for name, timed in _timed(scope).items()}


def _timed(scope: str) -> dict[str, Timed]:
    return {
        name: declared.timed
        for name, declared in DECLARED.items()
        if declared.timed is not None and scope in declared.scopes
    }


def recorded_load(tokens: int) -> Tensor:
    """Return λ of greedy SmolLM2 tokens, mean 0 and standard deviation 1."""
    language_model = load_model(EMBEDDED, device="cpu")
    ids = language_model.tokenizer(PASSAGE, return_tensors="pt").input_ids
    with torch.no_grad():
        text = language_model.model.generate(  # type: ignore[operator]
            ids, max_new_tokens=tokens + 1, min_new_tokens=tokens + 1, do_sample=False
        )
        logits = language_model.model(text).logits[0]
    surprisal, entropy = surprisal_and_entropy(logits[:-1], text[0, 1:])
    load = (surprisal + entropy)[-tokens:]
    return (load - load.mean()) / load.std()
