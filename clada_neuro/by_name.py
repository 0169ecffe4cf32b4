"""Policies by name in the calls that take one: ``generate(model, prompt, "clada", sparsity=0.4)``."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.loading import LanguageModel
from clada_neuro.policies.registry import policy_for
from clada_neuro.runtime import attach as attaching
from clada_neuro.runtime import decode
from clada_neuro.runtime.decode import Generation
from clada_neuro.runtime.policy import FFN_ONLY, Policy
from clada_neuro.runtime.session import Session

SPARSITY = 0.4


def policy(
    language_model: LanguageModel,
    name: str = "clada",
    sparsity: float = SPARSITY,
    *,
    calibration: str | Path | None = None,
    scope: str = FFN_ONLY,
) -> Policy:
    """Make a policy for a model: the rule that decides which weights are left out.

    Parameters
    ----------
    language_model : LanguageModel
        What `clada_neuro.load_model` returned.
    name : str
        As on the command line: ``"clada"``, ``"teal"``, ``"griffin"`` … (`clada_neuro.policies.registry.POLICIES`).
    sparsity : float
        Share of weight bytes not read, at tokens after the prompt.
    calibration : str or Path, optional
        Of this model; the one shipped for its weights and the scope by default.
    scope : {"ffn", "all"}
        What may be left out and the sparsity is a share of: weights of feed-forward blocks, or all linear weights of the layers, those
        of attention, too.

    Raises
    ------
    CalibrationError
        For an unknown name, a missing calibration or another model's, or a sparsity that the policy cannot reach.
    """
    return policy_for(language_model, name, sparsity, calibration, scope)


def attach(
    model: PreTrainedModel | LanguageModel,
    policy: Policy | str,
    *,
    sparsity: float | None = None,
    calibration: str | Path | None = None,
    scope: str | None = None,
) -> AbstractContextManager[Session]:
    """Make a model follow a policy inside a ``with`` block; given tokens are read densely, drawn ones under the policy.

    Parameters
    ----------
    model : transformers.PreTrainedModel or LanguageModel
        Of a supported architecture; its ``generate`` works inside the block, sampling and batches included.
    policy : Policy or str
        A policy, or for a `LanguageModel` the name of one, made by `clada_neuro.policy`.
    sparsity, calibration, scope
        Of a policy that is named; 0.4, the calibration shipped for the weights and feed-forward blocks by default.

    Returns
    -------
    context manager of Session
        Its `ffn_sparsity`, `masks` and `state` describe the last pass; callers with a loop of their own announce each
        drawn token with `Session.drawn`.

    Raises
    ------
    ModelError
        For an unsupported, quantised or already attached model; inside, for beam search and assisted decoding.
    CalibrationError
        As `clada_neuro.policy`.
    """
    return attaching.attach(model, _made(model, policy, sparsity, calibration, scope))


def generate(
    language_model: LanguageModel,
    prompts: str | Sequence[str],
    policy: Policy | str = "dense",
    *,
    sparsity: float | None = None,
    calibration: str | Path | None = None,
    scope: str | None = None,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: Sequence[str] = (),
    stream: Callable[[int, str], None] | None = None,
) -> list[Generation]:
    """Continue prompts under a policy.

    Parameters
    ----------
    language_model : LanguageModel
    prompts : str or sequence of str
        The start token is put before each; prompts of different lengths may stand together.
    policy : Policy or str
        A policy or its name, as for `clada_neuro.policy`; the plain model by default.
    sparsity, calibration, scope
        Of a policy that is named; 0.4, the calibration shipped for the weights and feed-forward blocks by default.
    max_new_tokens : int
    temperature : float
        0 takes the likeliest token.
    top_p : float
        Share of probability to sample from.
    seed : int
        Each prompt has its own stream of random numbers, whatever stands beside it.
    stop : sequence of str
        Tokens of the vocabulary that end a continuation, besides the model's end-of-sequence tokens.
    stream : callable, optional
        Called with the prompt's number and each new piece of text.

    Returns
    -------
    list of Generation

    Raises
    ------
    ModelError
        For an empty prompt without a start token, one that is longer than the model reads, or a stop token that is not in
        the vocabulary.
    CalibrationError
        As `clada_neuro.policy`.
    """
    made = _made(language_model, policy, sparsity, calibration, scope)
    return decode.generate(
        language_model, prompts, made, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed,
        stop=stop, stream=stream,
    )  # fmt: skip


def _made(
    model: PreTrainedModel | LanguageModel,
    policy: Policy | str,
    sparsity: float | None,
    calibration: str | Path | None,
    scope: str | None,
) -> Policy:
    """Return the policy itself, or the one that is named."""
    if isinstance(policy, Policy):
        given = {"sparsity": sparsity, "calibration": calibration, "scope": scope}
        if named := [name for name, value in given.items() if value is not None]:
            raise ModelError(
                f"{' and '.join(named)} given with a policy that is made already; they are for policies by name, as "
                f"'{policy.name}'"
            )
        return policy
    if not isinstance(model, LanguageModel):
        raise ModelError(
            f"policy '{policy}' given by name for a model of transformers; load it with clada_neuro.load_model, which finds "
            "its calibration"
        )
    return policy_for(
        model, policy, SPARSITY if sparsity is None else sparsity, calibration, scope or FFN_ONLY
    )
