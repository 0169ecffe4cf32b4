"""Try on a few tokens whether a model of an unknown family can be measured: predictions must not see what comes later."""

import torch
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.placing import home

_LENGTH = 12
_TOLERANCE = 1e-4  # of the largest logit, or four roundings where they are coarser


@torch.inference_mode()
def check_causal(model: PreTrainedModel) -> None:
    """Raise `ModelError` if the last token of a sequence changes a prediction made before it.

    Encoders (BERT and its kin) load as causal language models, too, and see the words that they are to predict.
    """
    kind = model.config.get_text_config().model_type
    ids = torch.arange(3, 3 + _LENGTH, device=home(model)).expand(2, -1).clone()
    ids[1, -1] = 3
    try:
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits.float()
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ModelError(f"model type '{kind}' does not read a plain text: {reason}") from error
    if logits.shape[:2] != ids.shape:
        raise ModelError(
            f"model type '{kind}' gives no prediction for each token, so there are no surprisals"
        )
    before = logits[:, :-1]
    tolerance = max(_TOLERANCE, 4 * torch.finfo(model.dtype).eps)
    if (before[0] - before[1]).abs().max() > tolerance * before.abs().max():
        raise ModelError(
            f"model type '{kind}' sees later tokens when it predicts one, so its predictions are no surprisals; "
            "use a causal (left-to-right) language model, or a checkpoint of a masked one (…ForMaskedLM)"
        )
