"""What do quantised weights, rows that are left out, and both together cost in loss, and what the bytes of activations?

    python analyses/29_quantised_loss.py [--weights q8_0 q4_1] [--documents 24] [--sparsity 0.4] [--policy no-load]

C4 documents that calibration has not seen and WikiText-2 articles, alternating, 256 tokens each, of which the first 32 are
the dense prefix. Every cell is the same model (smollm2) on the same tokens; its loss is in nats per token, and its rise is
over the dense model in float32. ``together − apart`` is what both cost beyond the sum of what each costs alone. The compiled
step reads the same weights and multiplies their bytes by activations that are rounded to whole numbers; ``compiled step − PyTorch``
is what that rounding costs (in float32, which rounds nothing, the order of sums). Writes results/quantised_loss/quantised_loss.csv,
intervals of 95 % over documents.
"""

import argparse
import math

import pandas as pd
import torch
from _shared.equal_sparsity import BATCH, LENGTH, PREFIX, documents, estimate
from _shared.results import command_and_load, results_folder
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro import load_model
from clada_neuro.artifacts import write_text
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.policies.registry import make_policy
from clada_neuro.runtime.policy import Policy
from clada_neuro.runtime.runner import compiled
from clada_neuro.runtime.scoring import score

PLAIN, DENSE = "float32", "dense"


def losses(dtype: str, name: str, sparsity: float, count: int) -> pd.DataFrame:
    """Return nats per token in PyTorch and in the compiled step, and share of bytes not read, a row a document."""
    model = load_model("smollm2", dtype=dtype, device="cpu")
    calibration = load_calibration(model)
    rows = []
    for batch in documents(model, count).split(BATCH):
        policy = make_policy(name, ffn_layers(model.model), calibration, sparsity)
        for text, found in zip(batch, score(model.model, policy, batch.tolist(), prefix=PREFIX), strict=True):
            rows.append(
                {
                    "loss": float(found.surprisal_bits[PREFIX + 1 :].mean()) * math.log(2),
                    "compiled_loss": compiled_loss(model.model, policy, text),
                    "ffn_sparsity": float(found.sparsity[PREFIX:].mean()),
                }
            )
    return pd.DataFrame(rows)


def compiled_loss(model: PreTrainedModel, policy: Policy, text: Tensor) -> float:
    """Return the nats per token that the compiled step gives a text after its dense prefix."""
    nats = []
    with compiled(model, policy, text[:PREFIX], len(text)) as runner:
        runner.prefill()
        with runner.stepping():
            for token, following in zip(text[PREFIX:-1], text[PREFIX + 1 :], strict=True):
                runner.observe(token[None])
                logits = runner.step(token[None])[0]
                nats.append(float(logits.logsumexp(0) - logits[following]))
    return sum(nats) / len(nats)


def table(cells: dict[tuple[str, str], pd.DataFrame], quantised: list[str], policy: str) -> pd.DataFrame:
    """Return a row a cell, and a row for what both cost together beyond apart."""
    plain = cells[PLAIN, DENSE]["loss"]
    rows = []
    for (dtype, name), cell in cells.items():
        rows.append(
            {
                "weights": dtype,
                "policy": name,
                "documents": len(cell),
                "tokens": len(cell) * (LENGTH - PREFIX - 1),
                "ffn_sparsity": cell["ffn_sparsity"].mean(),
                "loss": cell["loss"].mean(),
                **estimate("rise", cell["loss"] - plain),
            }
        )
    for (dtype, name), cell in cells.items():
        apart = cell["compiled_loss"] - cell["loss"]
        rows.append(
            {"weights": dtype, "policy": f"{name}: compiled step − PyTorch", **estimate("rise", apart)}
        )
    for dtype in quantised:
        both = cells[dtype, policy]["loss"] - plain
        apart = (cells[dtype, DENSE]["loss"] - plain) + (cells[PLAIN, policy]["loss"] - plain)
        rows.append(
            {"weights": dtype, "policy": f"{policy}: together − apart", **estimate("rise", both - apart)}
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=24)
    parser.add_argument("--sparsity", type=float, default=0.4)
    parser.add_argument("--policy", default="no-load")
    parser.add_argument("--weights", nargs="+", default=["q8_0", "q4_1"])
    options = parser.parse_args()
    torch.manual_seed(0)
    cells = {
        (dtype, name): losses(dtype, name, options.sparsity, options.documents)
        for dtype in (PLAIN, *options.weights)
        for name in (DENSE, options.policy)
    }
    found = table(cells, options.weights, options.policy)
    target = results_folder(__file__) / "quantised_loss.csv"
    write_text(target, command_and_load() + found.to_csv(index=False, float_format="%.6g"))
    print(found.to_string(index=False))


if __name__ == "__main__":
    main()
