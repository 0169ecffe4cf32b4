"""How `generate` runs a policy: any model through hooks, one sequence of a Llama-like model through kernels.

The kernels are compiled for the CPU (`kernels.compiled`) or for CUDA (`kernels.cuda`, where Triton is installed).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import Policy, State
from clada_neuro.runtime.session import Session
from clada_neuro.runtime.stepping import Decoder


class Engine(Protocol):
    """Sequences that grow by one token a step."""

    @property
    def state(self) -> State:
        """The policy's state of the sequences."""

    def prefill(self) -> Tensor:
        """Process the prompts densely; return logits ``(batch, vocabulary)``."""

    def step(self, token: Tensor) -> Tensor:
        """Process drawn tokens ``(batch,)`` by the policy; return logits ``(batch, vocabulary)``."""

    def keep(self, index: Tensor) -> None:
        """Go on with the sequences of ``index`` only."""

    def ffn_sparsity(self) -> Tensor:
        """Return the share of weight bytes not read in the last step, ``(batch,)``."""


class _Hooked:
    """The reference: a transformers model with hooks."""

    def __init__(self, model: PreTrainedModel, session: Session, prompts: list[Tensor]) -> None:
        self.session = session
        self.decoder = Decoder(model, session, prompts)

    @property
    def state(self) -> State:
        return self.session.state

    def prefill(self) -> Tensor:
        return self.decoder.prefill()

    def step(self, token: Tensor) -> Tensor:
        self.session.drawn(token)
        return self.decoder.step(token)

    def keep(self, index: Tensor) -> None:
        self.decoder.keep(index)

    def ffn_sparsity(self) -> Tensor:
        return self.session.ffn_sparsity()[:, -1].mean(-1)


class _Compiled:
    """One sequence in the compiled token step, which reads only what the policy keeps."""

    def __init__(self, model: PreTrainedModel, policy: Policy, prompt: Tensor, context: int) -> None:
        from clada_neuro.runtime.kernels.compiled import CompiledSession
        from clada_neuro.runtime.kernels.llama_step import LlamaStep

        self.prompt = prompt
        self.session = CompiledSession(model, LlamaStep(model, context=context), policy)

    @property
    def state(self) -> State:
        return self.session.state

    def prefill(self) -> Tensor:
        return self.session.prefill(self.prompt)[None]

    def step(self, token: Tensor) -> Tensor:
        return self.session.drawn(int(token))[None]

    def keep(self, index: Tensor) -> None:
        """Nothing to do: the only sequence ends or goes on."""

    def ffn_sparsity(self) -> Tensor:
        return self.session.ffn_sparsity().mean()[None]


class _Cuda:
    """One sequence in a CUDA graph, whose blocks read only what the policy keeps."""

    def __init__(self, model: PreTrainedModel, policy: Policy, prompt: Tensor, context: int) -> None:
        from clada_neuro.runtime.kernels.cuda import Blocks, CudaSession, TokenGraph

        self.prompt = prompt
        self.session = CudaSession(TokenGraph(model, context, Blocks(model)), policy)

    @property
    def state(self) -> State:
        return self.session.state

    def prefill(self) -> Tensor:
        return self.session.prefill(self.prompt)

    def step(self, token: Tensor) -> Tensor:
        return self.session.drawn(token)

    def keep(self, index: Tensor) -> None:
        """Nothing to do: the only sequence ends or goes on."""

    def ffn_sparsity(self) -> Tensor:
        return self.session.ffn_sparsity().mean()[None]


@contextmanager
def engine_for(
    model: PreTrainedModel, policy: Policy, prompts: list[Tensor], new_tokens: int
) -> Iterator[Engine]:
    """Yield kernels where they can follow the model and policy, else the hooked engine."""
    fast = _fast_engine(model, policy) if len(prompts) == 1 else None
    if fast is not None:
        yield fast(model, policy, prompts[0], len(prompts[0]) + new_tokens)
    else:
        with attach(model, policy) as session:
            yield _Hooked(model, session, prompts)


def _fast_engine(model: PreTrainedModel, policy: Policy) -> type[_Compiled] | type[_Cuda] | None:
    from clada_neuro.runtime.kernels.selection import check_policy

    try:
        check_policy(policy)
        if model.device.type == "cuda":
            from clada_neuro.runtime.kernels import cuda

            cuda.check(model)
            return _Cuda
        from clada_neuro.runtime.kernels import llama_weights

        llama_weights.check(model)
    except ModelError:
        return None
    return _Compiled
