"""Models that threads make side by side are those that are made one by one, and so is every later one."""

from concurrent.futures import ThreadPoolExecutor

import torch
from tiny_models import tiny_checkpoint
from torch import Tensor

from clada_neuro.bench import subjects
from clada_neuro.models.loading import load_model


def test_threads_make_models_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setitem(subjects.SHAPES, "tiny-random", (64, 96, 2, 4, 2))
    tiny_checkpoint(tmp_path)

    def made(kind: str) -> dict[str, Tensor]:
        if kind == "random":
            return subjects.random_llama("tiny-random", torch.float32, torch.device("cpu")).state_dict()
        return load_model(tmp_path, device="cpu").model.state_dict()

    kinds = ["loaded", "random"] * 24
    alone = {kind: made(kind) for kind in ("loaded", "random")}
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(made, kinds))
    for kind, weights in [*zip(kinds, together, strict=True), ("loaded", made("loaded"))]:
        assert weights.keys() == alone[kind].keys()
        assert all(torch.equal(weights[name], weight) for name, weight in alone[kind].items())
