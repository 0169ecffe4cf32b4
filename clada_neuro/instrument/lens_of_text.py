"""What each layer of a model would say next, at every token of one text: for looking at, where a trace is for analysis."""

import math

import pandas as pd
import torch

from clada_neuro.errors import DataError, ModelError
from clada_neuro.instrument.information import log_probabilities
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.stream import stream_of


@torch.inference_mode()
def lens_of_text(model: LanguageModel, text: str) -> pd.DataFrame:
    """Return the logit lens of every token that has something before it.

    Returns
    -------
    pandas.DataFrame
        One row a token and layer: ``token_index``, ``token``, ``layer``, ``lens_surprisal_bits`` of the token, and
        ``top_token``, the most probable one there, with its ``top_probability``.

    Raises
    ------
    DataError
        If the text leaves no token to predict, or is longer than the model's context.
    ModelError
        If nothing can be predicted from the model's inner layers.
    """
    stream, reason = stream_of(model.model)
    if stream is None or stream.no_lens:
        raise ModelError(f"no lens into '{model.name}': {reason or (stream and stream.no_lens)}")
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    start = [] if model.start_token_id is None else [model.start_token_id]
    read = [*start, *ids]
    if len(read) < 2:
        raise DataError("the text leaves no token to predict; give a sentence")
    if len(read) > model.max_context:
        raise DataError(f"the text has {len(read)} tokens, the model reads {model.max_context}; shorten it")
    every = range(stream.n_layers)
    with stream.recorded(every) as states:
        stream.run(torch.tensor([read], device=model.device))
    came = torch.tensor(read[1:], device=model.device)
    names = [_shown(model, token) for token in read[1:]]
    rows = []
    for layer in every:
        log_p = log_probabilities(stream.predict(states[layer][0, :-1]))
        bits = -log_p.gather(1, came.to(log_p.device)[:, None])[:, 0] / math.log(2)
        best, top = log_p.max(dim=1)
        rows.append(
            pd.DataFrame(
                {
                    "token_index": range(1 - len(start), 1 - len(start) + len(came)),
                    "token": names,
                    "layer": layer,
                    "lens_surprisal_bits": bits.cpu().double().numpy() + 0.0,
                    "top_token": [_shown(model, token) for token in top.tolist()],
                    "top_probability": best.exp().cpu().double().numpy(),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def _shown(model: LanguageModel, token: int) -> str:
    """Return a token's text without the white space around it, quoted where it is nothing else."""
    text = str(model.tokenizer.decode([token]))
    return text.strip() or repr(text)
