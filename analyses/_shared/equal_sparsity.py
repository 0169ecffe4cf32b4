"""Documents on which the loss of policies is measured, and what it is at exactly equal sparsity."""

import math

import pandas as pd
import torch
from scipy import stats

from _shared.texts import c4_for_measuring, wikitext2
from clada_neuro.models.loading import LanguageModel

LENGTH, PREFIX, BATCH = 256, 32, 8
POWER = 2.8  # standard errors that an effect has to have to be found four times in five
MEASURES = ("loss", "divergence")


def cut(model: LanguageModel, texts: list[str], count: int) -> list[list[int]]:
    """Return the first ``LENGTH`` tokens of the first texts that are long enough."""
    assert model.start_token_id is not None
    kept: list[list[int]] = []
    for text in texts:
        ids = model.tokenizer(text[: 12 * LENGTH], add_special_tokens=False).input_ids
        if len(ids) >= LENGTH - 1 and len(kept) < count:
            kept.append([model.start_token_id, *ids][:LENGTH])
    return kept


def documents(model: LanguageModel, count: int) -> torch.Tensor:
    """Return ``(count, LENGTH)`` tokens: C4 and WikiText-2 in turn, then what C4 has left."""
    c4, wiki = (cut(model, texts, count) for texts in (c4_for_measuring(), wikitext2()))
    alternating = [ids for both in zip(c4, wiki, strict=False) for ids in both]
    return torch.tensor((alternating + c4[len(wiki) :])[:count])


def carried(
    found: pd.DataFrame, measure: str, name: str, asked: float, share: str = "ffn_sparsity"
) -> pd.Series:
    """Each document's value at exactly the asked mean of ``share``."""
    own = found.loc[found["policy"] == name]
    here = own.loc[own["asked"] == asked].set_index("document")
    gap = asked - here[share].mean()
    slope = _slope(own, measure, asked, share)
    if slope is None:
        slope = _slope(found.loc[found["policy"] == "no-load"], measure, asked, share)
    return here[measure] + (slope or 0.0) * gap


def _slope(own: pd.DataFrame, measure: str, asked: float, share: str) -> float | None:
    """Rise of the mean per unit of sparsity between the nearest sparsities, on the documents that have both."""
    wide = own.pivot_table(index="document", columns="asked", values=[measure, share])
    others = [
        value for value in sorted(own["asked"].unique(), key=lambda x: abs(x - asked)) if value != asked
    ]
    if asked not in own["asked"].values or not others:
        return None
    both = (
        wide.xs(asked, axis=1, level=1).join(wide.xs(others[0], axis=1, level=1), rsuffix="_other").dropna()
    )
    mean = both.mean()
    return (mean[measure] - mean[f"{measure}_other"]) / (mean[share] - mean[f"{share}_other"])


def estimate(name: str, values: pd.Series) -> dict[str, float]:
    """Mean and 95 % interval over documents (Student t)."""
    error = values.std() / math.sqrt(len(values)) * stats.t.ppf(0.975, len(values) - 1)
    mean = values.mean()
    return {name: mean, f"{name}_low": mean - error, f"{name}_high": mean + error}
