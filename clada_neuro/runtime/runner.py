"""What decodes, for `generate` and the benchmark alike: prompts densely, then one token of every sequence at a time.

Any model runs through hooks (`clada_neuro.runtime.stepping`), one sequence of a Llama-like model through kernels
(`clada_neuro.runtime.kernels.session`), which are compiled for the CPU, or for CUDA where Triton is installed.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import Policy, State
from clada_neuro.runtime.stepping import Decoder


class Runner(Protocol):
    """Sequences that grow by one token a step."""

    @property
    def state(self) -> State:
        """The policy's state of the sequences."""

    def prefill(self) -> Tensor:
        """Process the prompts densely; return logits ``(batch, vocabulary)``."""

    def stepping(self) -> AbstractContextManager[None]:
        """Return a context for all that happens between two tokens, drawing included."""

    def observe(self, token: Tensor) -> None:
        """Let the policy see drawn tokens ``(batch,)``."""

    def step(self, token: Tensor) -> Tensor:
        """Process the observed tokens by the policy; return logits ``(batch, vocabulary)``, overwritten by the next."""

    def keep(self, index: Tensor) -> None:
        """Go on with the sequences of ``index`` only."""

    def ffn_sparsity(self) -> Tensor:
        """Return the share of each block's weight bytes not read in the last step, ``(batch, layers)``."""

    def sparsity(self) -> Tensor:
        """Return the same of what the policy's scope is."""

    def dropped(self) -> dict[str, Tensor]:
        """Return the share of each site's rows not read in the last step, ``(batch, layers)``."""


@contextmanager
def runner_for(
    model: PreTrainedModel, policy: Policy, prompts: list[Tensor], new_tokens: int
) -> Iterator[Runner]:
    """Yield kernels where they can follow the model and policy, else the hooked model."""
    fast = _fast_runner(model, policy) if len(prompts) == 1 else None
    start = (
        hooked(model, policy, prompts)
        if fast is None
        else fast(model, policy, prompts[0], len(prompts[0]) + new_tokens)
    )
    with start as runner:
        yield runner


@contextmanager
def hooked(model: PreTrainedModel, policy: Policy, prompts: list[Tensor]) -> Iterator[Runner]:
    """Yield the reference: a transformers model with hooks."""
    with attach(model, policy) as session, torch.no_grad():
        yield Decoder(model, session, prompts)


@contextmanager
def compiled(model: PreTrainedModel, policy: Policy, prompt: Tensor, context: int) -> Iterator[Runner]:
    """Yield one sequence in the compiled token step, on weights that stay packed for the next one."""
    from clada_neuro.runtime.kernels.compiled import CompiledKernel
    from clada_neuro.runtime.kernels.packed import packed
    from clada_neuro.runtime.kernels.session import KernelSession

    with packed(model, context) as step:
        yield KernelSession(CompiledKernel(model, step), policy, prompt)


@contextmanager
def in_graph(model: PreTrainedModel, policy: Policy, prompt: Tensor, context: int) -> Iterator[Runner]:
    """Yield one sequence in a CUDA graph."""
    from clada_neuro.runtime.kernels.cuda import Blocks, CudaKernel, TokenGraph
    from clada_neuro.runtime.kernels.session import KernelSession

    yield KernelSession(CudaKernel(TokenGraph(model, context, Blocks(model))), policy, prompt)


def _fast_runner(
    model: PreTrainedModel, policy: Policy
) -> Callable[..., AbstractContextManager[Runner]] | None:
    from clada_neuro.runtime.kernels.selection import check_policy

    try:
        check_policy(policy, attention=model.device.type == "cpu")
        if model.device.type == "cuda":
            from clada_neuro.runtime.kernels import cuda

            cuda.check(model)
            return in_graph
        from clada_neuro.runtime.kernels import llama_weights

        llama_weights.check(model)
        llama_weights.check_sites(model, policy.sites)
    except ModelError:
        return None
    return compiled
