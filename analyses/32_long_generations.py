"""Where does leaving weights out hurt: answers in several steps, long continuations, and when does a text become another?

    python analyses/32_long_generations.py [--blocks 1] [--part items greedy sampled]
    python analyses/32_long_generations.py --tables

SmolLM2-135M in float32; prompts are read densely, all that is written under the policy, many prompts in lock step. *items*: questions of
arithmetic and tracking that are made here from a seed, answered in steps after two examples, greedy. *greedy*: after how many
tokens a continuation first departs from the dense one, beside a dense model whose numbers are other ones (bfloat16).
*sampled*: 512 tokens drawn at temperature 1 (the same random numbers for every policy, end tokens never drawn) after the first 64
of C4 and WikiText-2 documents, judged by the dense model. *refresh 16* is CLADA with a dense pass over every 16 tokens
(`_shared/long_runs.py`) at as many bytes as without. A block is 24 items of each kind and 24 prompts; work is kept policy by policy;
results/long_generations/ gets tables, a page and a figure.
"""

import argparse
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _shared.equal_sparsity import documents
from _shared.long_page import figure, page
from _shared.long_runs import Draw, Start, between, continued, departure, judged, read
from _shared.long_tables import of_greedy, of_items, of_sampled
from _shared.made_items import MAKERS, MadeItem, is_right, made_items
from _shared.results import results_folder
from torch import Tensor
from tqdm import tqdm

from clada_neuro import load_model
from clada_neuro.artifacts import cache_folder, content_hash, write_atomic, write_text
from clada_neuro.cache import DOCUMENT, Store
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import policy_layers
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.policies.registry import make_policy
from clada_neuro.runtime.drawing import Sampler, likeliest

OTHERS = ("bfloat16",)
EXAMPLES, BLOCK, ANSWER_TOKENS = 2, 24, 40
PROMPT, LONG, GREEDY, DRAWN = 64, 512, 64, 8
PARTS = ("items", "greedy", "sampled")


@dataclass(frozen=True)
class Cell:
    """A policy at a mean sparsity, with a dense pass every ``refresh`` tokens, if any."""

    name: str
    sparsity: float = 0.0
    refresh: int = 0

    def __str__(self) -> str:
        share = f" {self.sparsity:g}" if self.sparsity else ""
        return f"{self.name}{share}{f' refresh {self.refresh}' if self.refresh else ''}"


CELLS = (
    Cell("dense"),
    Cell("clada", 0.4),
    Cell("teal", 0.4),
    Cell("clada", 0.4, 16),
    Cell("random-load", 0.4),
    Cell("clada", 0.5),
    Cell("clada", 0.25),
)  # in the order of the runs, so that what matters most is there first


class Experiment:
    """Every policy on every item and prompt; what is on disk is read instead of run."""

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.model = load_model("smollm2", device="cpu")
        self.calibration = load_calibration(self.model)
        layers = policy_layers(self.model.model)
        self.policies = {
            cell: make_policy(cell.name, layers, self.calibration, between(cell.sparsity, cell.refresh))
            for cell in CELLS
        }

    @cached_property
    def prompts(self) -> list[list[int]]:
        """The first tokens of documents that no choice has seen."""
        return documents(self.model, BLOCK * self.blocks)[:, :PROMPT].tolist()

    def store(self, part: str) -> Store[dict[str, Any]]:
        """Return where a part is kept; code is no part of the key, since runs take hours."""
        own = {
            "items": [EXAMPLES, BLOCK],
            "greedy": [PROMPT, BLOCK, GREEDY],
            "sampled": [PROMPT, DRAWN, LONG],
        }
        key = content_hash(self.model.weights_hash, self.calibration.identity, *own[part])
        return Store(cache_folder("analyses", "long_generations", part), key, DOCUMENT)

    def items(self) -> None:
        """Answer every item under every policy: text, whether it is right, sparsity, tokens."""
        store = self.store("items")
        for block, kind in tqdm(list(product(range(self.blocks), MAKERS)), desc="items"):
            names = {cell: _name(kind, block, cell) for cell in CELLS}
            if store.has(*names.values()):
                continue
            made = made_items(kind, EXAMPLES + BLOCK * (block + 1))
            asked = made[EXAMPLES + BLOCK * block :]
            examples = [self.model.start_token_id, *self._ids("".join(one.solved for one in made[:EXAMPLES]))]
            start = read(self.model.model, [self._ids(one.asked) for one in asked], examples)
            for cell, name in names.items():
                store.once(name, partial(self._answers, asked, start, cell, BLOCK * block))

    def _answers(self, asked: list[MadeItem], start: Start, cell: Cell, first: int) -> dict[str, Any]:
        line_ends = {place for token, place in self.model.tokenizer.get_vocab().items() if "Ċ" in token}
        written = continued(
            self.model.model, self.policies[cell], start, ANSWER_TOKENS, _greedy,
            seeds=range(first, first + len(asked)), refresh=cell.refresh,
            goes_on=lambda prompt, tokens: tokens[-1] not in line_ends,
        )  # fmt: skip
        answers = []
        for place, (item, one) in enumerate(zip(asked, written, strict=True)):
            text = self.model.tokenizer.decode(one.tokens)
            answers.append(
                {
                    "item": f"{item.kind} {first + place}",
                    "kind": item.kind,
                    "policy": str(cell),
                    "right": is_right(text, item.answer),
                    "text": text,
                    "tokens": len(one.tokens),
                    "ffn_sparsity": float(np.mean(one.ffn_sparsity)),
                }
            )
        return {"rows": answers}

    def greedy(self) -> None:
        """Continue prompts until they depart from the dense continuation: the place, None for never."""
        store = self.store("greedy")
        for block in tqdm(range(self.blocks), desc="greedy"):
            prompts = self.prompts[BLOCK * block : BLOCK * (block + 1)]
            start = read(self.model.model, prompts)
            dense = store.once(f"reference-{block}", partial(self._reference, start))["tokens"]
            for dtype in OTHERS:
                store.once(f"dense_{dtype}-{block}", partial(self._other, dtype, prompts, dense, block))
            for cell in CELLS[1:]:
                run = partial(self._departures, self.model, start, cell, dense, block)
                store.once(_name("policy", block, cell), run)

    def _reference(self, start: Start) -> dict[str, Any]:
        draw, seeds = self._without_ends(_greedy), range(len(start.last))
        written = continued(self.model.model, self.policies[CELLS[0]], start, GREEDY, draw, seeds=seeds)
        return {"tokens": [one.tokens for one in written]}

    def _other(
        self, dtype: str, prompts: list[list[int]], dense: list[list[int]], block: int
    ) -> dict[str, Any]:
        model = load_model("smollm2", dtype=dtype, device="cpu")
        return self._departures(model, read(model.model, prompts), CELLS[0], dense, block, f"dense {dtype}")

    def _departures(
        self,
        model: LanguageModel,
        start: Start,
        cell: Cell,
        dense: list[list[int]],
        block: int,
        label: str = "",
    ) -> dict[str, Any]:
        first = BLOCK * block
        written = continued(
            model.model, self.policies[cell], start, GREEDY, self._without_ends(_greedy),
            seeds=range(first, first + len(dense)), refresh=cell.refresh,
            goes_on=lambda prompt, tokens: tokens[-1] == dense[prompt][len(tokens) - 1],
        )  # fmt: skip
        places = [departure(one.tokens, reference) for one, reference in zip(written, dense, strict=True)]
        rows = [
            {"prompt": first + row, "policy": label or str(cell), "departs": at}
            for row, at in enumerate(places)
        ]
        return {"rows": rows}

    def sampled(self) -> None:
        """Continue prompts at temperature 1, and judge what was written, token by token."""
        store, blocks = self.store("sampled"), range(self.blocks * BLOCK // DRAWN)
        for block, cell in tqdm(list(product(blocks, CELLS)), desc="sampled"):
            store.once(_name("policy", block, cell), partial(self._drawn, block, cell))

    def _drawn(self, block: int, cell: Cell) -> dict[str, Any]:
        first = DRAWN * block
        prompts = self.prompts[first : first + DRAWN]
        written = continued(
            self.model.model, self.policies[cell], read(self.model.model, prompts), LONG,
            self._without_ends(Sampler(1.0, 1.0, first, len(prompts))),
            seeds=range(first, first + len(prompts)), refresh=cell.refresh, keep=True,
        )  # fmt: skip
        rows = []
        for row, (prompt, one) in enumerate(zip(prompts, written, strict=True)):
            surprisal, divergence = judged(self.model.model, prompt, one)
            rows.append(
                {
                    "prompt": first + row,
                    "policy": str(cell),
                    "tokens": one.tokens,
                    "nats": np.round(surprisal, 5).tolist(),
                    "divergence": np.round(divergence, 7).tolist(),
                    "ffn_sparsity": np.round(one.ffn_sparsity, 5).tolist(),
                }
            )
        return {"rows": rows}

    def _without_ends(self, draw: Draw) -> Draw:
        ends = torch.tensor(self.model.tokenizer.all_special_ids)
        return lambda logits, prompts: draw(logits.index_fill(1, ends, -torch.inf), prompts)

    def _ids(self, text: str) -> list[int]:
        return self.model.tokenizer(text, add_special_tokens=False).input_ids

    def kept(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part that are on disk, whatever was asked for, policies in their order."""
        store, order = self.store(part), [str(cell) for cell in CELLS]
        names = sorted(path.stem for path in store.folder.glob("*.json"))
        rows = [row for name in names for row in (store.read(name) or {}).get("rows", [])]
        return sorted(
            rows, key=lambda row: order.index(row["policy"]) if row["policy"] in order else len(order)
        )


def _greedy(logits: Tensor, prompts: list[int]) -> Tensor:
    return likeliest(logits)


def _name(part: str, block: int, cell: Cell) -> str:
    return f"{part}-{block}-{cell}".replace(" ", "_")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--blocks", type=int, default=1, help=f"of {BLOCK} items of each kind, and of {BLOCK} prompts"
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--tables", action="store_true", help="only make the tables")
    options = parser.parse_args()
    experiment = Experiment(options.blocks)
    for part in () if options.tables else options.part:
        getattr(experiment, part)()
    write(experiment, results_folder(__file__))


def write(experiment: Experiment, results: Path) -> None:
    """Write a table a part that has anything, the page and the figure."""
    makers = {"items": of_items, "greedy": of_greedy, "sampled": of_sampled}
    tables = {part: make(found) for part, make in makers.items() if (found := experiment.kept(part))}
    for part, table in tables.items():
        write_text(results / f"{part}.csv", table.to_csv(index=False, float_format="%.5g"))
        print(table.to_string(index=False))
    write_text(results / "long_generations.md", page(tables))
    drawn = figure(tables)
    write_atomic(results / "long_generations.png", lambda part: part.write_bytes(drawn.png))


if __name__ == "__main__":
    main()
