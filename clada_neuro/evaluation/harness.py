"""Any task of lm-evaluation-harness under a policy: the model ``clada-neuro``, registered on import.

    import clada_neuro.evaluation.harness
    lm_eval.simple_evaluate("clada-neuro", model_args="policy=clada,sparsity=0.4", tasks=["hellaswag"])

Log-likelihoods follow the protocol of `clada_neuro.evaluation.continuations`; generation reads the prompt densely and
processes every drawn token under the policy. There is no start token by default, as in the harness's own ``hf`` model
for tokenizers that add none, so that a dense run gives the numbers of that model.
"""

from collections.abc import Sequence
from typing import Any

from clada_neuro.errors import CladaNeuroError

try:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
    from lm_eval.models.utils import normalize_gen_kwargs
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
except ImportError as error:
    raise CladaNeuroError(
        f"the evaluation harness is not installed ({error}); run: pip install 'clada-neuro[eval]'"
    ) from error
import torch

from clada_neuro.evaluation.continuations import Contexts, batches
from clada_neuro.evaluation.encoding import encode_pair
from clada_neuro.evaluation.requests import Answered, Request
from clada_neuro.models.limits import check_length
from clada_neuro.models.loading import load_model
from clada_neuro.policies.controls import no_load
from clada_neuro.policies.registry import policy_for
from clada_neuro.progress import ProgressBar
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.policy import Policy

Pair = tuple[tuple[int, ...], tuple[int, ...]]  # ids of a context and of what follows it


@register_model("clada-neuro")
class HarnessModel(LM):
    """A language model under a policy.

    Parameters
    ----------
    pretrained : str
        As `load_model`.
    policy, sparsity, calibration
        As `policy_for`.
    start : {"answer", "middle"}
        Where in the context the policy sets in.
    start_token, dtype, device, revision
        As `load_model`.
    """

    def __init__(
        self,
        pretrained: str = "smollm2",
        policy: str = "clada",
        sparsity: float = 0.4,
        calibration: str | None = None,
        start: str = "answer",
        start_token: str | int = "none",
        dtype: str = "float32",
        device: str | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        refused = set(options) - {"batch_size", "max_batch_size"}  # the harness always passes these two
        if refused:
            raise CladaNeuroError(
                f"model argument '{min(refused)}' is not known to clada-neuro; leave it out"
            )
        self.language = load_model(
            pretrained, dtype=dtype, device=device or "auto", start_token=start_token, revision=revision
        )
        self.policy = policy_for(self.language, policy, sparsity, calibration)
        self.start = start
        self.tokenizer = self.language.tokenizer

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer, for the harness's cache of requests."""
        return str(self.tokenizer.name_or_path)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return log-probability in nats and greediness of each request's continuation."""
        pairs = [self._pair(*request.args) for request in requests]
        return [(found.log_prob, found.greedy) for found in self._score(pairs, disable_tqdm)]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-probability in nats of whole texts, in windows of the model's context."""
        pairs: list[Pair] = []
        owners = []
        for number, request in enumerate(requests):
            ids = self.tokenizer(request.args[0], add_special_tokens=False).input_ids
            windows = get_rolling_token_windows(ids, self._prefix_token, self.language.max_context, 1)
            for window in map(make_disjoint_window, windows):
                pairs.append((tuple(window[0]), tuple(window[1])))
                owners.append(number)
        totals = [0.0] * len(requests)
        for number, found in zip(owners, self._score(pairs, disable_tqdm), strict=True):
            totals[number] += found.log_prob
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return each request's generated text, without its stop string."""
        return [self._generate(*request.args) for request in ProgressBar(requests, disable=disable_tqdm)]

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return a conversation as one text."""
        return str(
            self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )

    @property
    def _prefix_token(self) -> int:
        """What stands before a text without context; without a start token, what the harness puts there."""
        candidates = (
            self.language.start_token_id,
            self.tokenizer.bos_token_id,
            self.tokenizer.eos_token_id,
        )
        return int(next(token for token in candidates if token is not None))

    def _pair(self, context: str, continuation: str) -> Pair:
        if not context:
            ids = self.tokenizer(continuation, add_special_tokens=False).input_ids
            return (self._prefix_token,), tuple(ids)
        before, after = encode_pair(self.tokenizer, context, continuation)
        head = [] if self.language.start_token_id is None else [self.language.start_token_id]
        dropped = max(0, len(head) + len(before) + len(after) - 1 - self.language.max_context)
        return (*head, *before[dropped:]), tuple(after)

    def _score(self, pairs: Sequence[Pair], quiet: bool) -> list[Answered]:
        """Score pairs; those of one context share it."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, (context, _) in enumerate(pairs):
            groups.setdefault(context, []).append(place)
        requests = [
            Request(context, tuple(pairs[place][1] for place in places), places[0])
            for context, places in groups.items()
        ]
        places = list(groups.values())
        found: dict[int, Answered] = {}
        with ProgressBar(total=len(pairs), disable=quiet) as bar:
            for batch in batches(requests, self.language.model):
                contexts = Contexts(self.language.model, [requests[row] for row in batch], self.start)
                for row, answers in zip(batch, _run(contexts, self.policy), strict=True):
                    found.update(zip(places[row], answers, strict=True))
                    bar.update(len(answers))
        return [found[place] for place in range(len(pairs))]

    def _generate(self, context: str, settings: dict[str, Any]) -> str:
        wanted = normalize_gen_kwargs(settings)
        until, most = wanted.pop("until"), wanted.pop("max_gen_toks")
        if not wanted["do_sample"]:
            wanted.pop("temperature", None)
        head = [] if self.language.start_token_id is None else [self.language.start_token_id]
        ids = [*head, *self.tokenizer(context, add_special_tokens=False).input_ids]
        instead = "lower the task's max_gen_toks or take a model with a longer context"
        check_length(self.language.model, most + 1, "a token of context and those to be generated", instead)
        prompt = torch.tensor([ids[-(self.language.max_context - most) :]], device=self.language.device)
        model: Any = self.language.model
        with torch.no_grad(), attach(model, self.policy):
            out = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=most,
                stop_strings=until or None,
                tokenizer=self.tokenizer,
                pad_token_id=self.tokenizer.eos_token_id,
                **wanted,
            )
        text = str(self.tokenizer.decode(out[0, prompt.shape[1] :], skip_special_tokens=True))
        for stop in until:
            text = text.partition(stop)[0]
        return text


def _run(contexts: Contexts, policy: Policy) -> list[list[Answered]]:
    if not policy.sequential:
        return contexts.run(policy)[0]
    assert isinstance(policy, Clada)
    return contexts.run(policy, contexts.run(no_load(policy))[1])[0]
