"""Texts of a tiny model whose layer 0 drives a response: what encoding is to find."""

from pathlib import Path

import numpy as np
import pandas as pd
from tiny_models import tiny_checkpoint

import clada_neuro as cn
from clada_neuro.instrument.layer_choice import LayerChoice
from clada_neuro.instrument.vectors import vectors_of
from clada_neuro.models.loading import load_model


def driven_texts(folder: Path, rng: np.random.Generator, n_items: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Write a model and stimuli of two conditions; return them, and what four directions of layer 0 make of each, SD 1."""
    tiny_checkpoint(folder / "model")
    rows = []
    for item in range(n_items):
        words = [f"w{number}" for number in rng.choice(np.arange(6, 96), 6, replace=False)]
        rows += [
            {"item": item, "condition": c, "sentence": " ".join([*words[:3], words[3 + n], "w5"]), "critical_word": words[3 + n]}
            for n, c in enumerate("ab")
        ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "stimuli.csv", index=False)
    stimuli = cn.read_stimuli(folder / "stimuli.csv")
    names = [(name, 3) for name in stimuli["stimulus_id"]]
    states = vectors_of(load_model(folder / "model", device="cpu"), stimuli, names, LayerChoice()).states[0]
    driven = ((states - states.mean(axis=0)) / states.std(axis=0))[:, :4].sum(axis=1)
    return stimuli, driven / driven.std()
