"""The one prefill/decode loop over a transformers model: prompts densely, then one token of every sequence at a time."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from clada_neuro.runtime.policy import State
from clada_neuro.runtime.predictions import States, kept
from clada_neuro.runtime.session import Session


class Decoder:
    """Sequences that grow by one token a step; a `clada_neuro.runtime.runner.Runner`.

    Attributes
    ----------
    position, real : Tensor
        Of the tokens of the coming or last pass, ``(batch, seq)``: place in the sequence, and whether it is a token.
    states : States
        Of the prefill: what is predicted inside the prompts.
    """

    def __init__(
        self, model: PreTrainedModel, session: Session, prompts: Sequence[Tensor], seeds: Tensor | None = None
    ) -> None:
        self.model, self.session = model, session
        self.states = States(model)
        self.length = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        width = int(self.length.max())
        column = torch.arange(width, device=model.device)
        pad = (width - self.length)[:, None]
        self.real = column >= pad
        self.position = (column - pad).clamp(min=0)
        self._tokens = torch.stack(
            [torch.nn.functional.pad(prompt, (width - len(prompt), 0)) for prompt in prompts]
        )
        self._cache = DynamicCache(config=model.config)
        self._mask = self.real.long()
        session.begin(len(prompts), seeds)

    def prefill(self) -> Tensor:
        """Process the left-padded prompts densely; return logits ``(batch, vocabulary)`` of what follows each."""
        with kept(self.model) as self.states:
            return self._pass(self._tokens)[:, -1]

    @property
    def state(self) -> State:
        """The policy's state of the sequences."""
        return self.session.state

    def stepping(self) -> AbstractContextManager[None]:
        """Return a context that does nothing: a pass over many weights is worth PyTorch's threads."""
        return nullcontext()

    def observe(self, token: Tensor) -> None:
        """Let the policy see drawn tokens ``(batch,)``."""
        self.session.drawn(token)

    def step(self, token: Tensor, going: Tensor | None = None) -> Tensor:
        """Process one more token of every sequence by the policy; return logits ``(batch, vocabulary)``.

        The token was observed. Sequences that are not ``going (batch,)`` come
        along without growing, so that they stay within what the model reads.
        """
        grown = torch.ones_like(self.length) if going is None else going.long()
        self.position = (self.length - 1 + grown)[:, None]
        self.real = torch.ones_like(self.position, dtype=torch.bool)
        self._mask = torch.cat([self._mask, self.real.long()], dim=1)
        self.length = self.length + grown
        return self._pass(token[:, None])[:, -1]

    def keep(self, index: Tensor) -> None:
        """Go on with the sequences of ``index`` only."""
        self._cache.batch_select_indices(index)
        self._mask, self.length = self._mask[index], self.length[index]
        self.session.reorder(index)

    def ffn_sparsity(self) -> Tensor:
        """Return the share of each block's weight bytes not read in the last step, ``(batch, layers)``."""
        return self.session.ffn_sparsity()[:, -1]

    def sparsity(self) -> Tensor:
        """Return the same of what the policy's scope is."""
        return self.session.sparsity()[:, -1]

    def dropped(self) -> dict[str, Tensor]:
        """Return the share of each site's rows not read in the last step, ``(batch, layers)``."""
        return {site: share[:, -1] for site, share in self.session.dropped().items()}

    def _pass(self, tokens: Tensor) -> Tensor:
        return self.model(
            input_ids=tokens,
            attention_mask=self._mask,
            position_ids=self.position,
            past_key_values=self._cache,
            use_cache=True,
        ).logits
