"""Does a second `generate` write as fast as its engine steps, wherever threads spin?

    python analyses/13_generate_speed.py [--tokens 64] [--rounds 5]

The engine's own rate is that of the compiled step in the benchmark's loop, greedy, prompt left out; `generate` is timed
over its tokens and as a whole call, prompt included, greedy and with top_p. Both take turns. Without OMP_WAIT_POLICY the
threads of PyTorch spin while they wait, which is the harder case. Writes results/generate_speed/generate_speed.csv, the
command and the load of the machine in its first line. Nothing else should run at the same time.
"""

import argparse
import os
import shlex
import sys
import time
from contextlib import nullcontext

import pandas as pd
from _shared.results import results_folder

from clada_neuro import generate, load_model
from clada_neuro.artifacts import write_text
from clada_neuro.bench.engines import Loop
from clada_neuro.bench.subjects import PASSAGE
from clada_neuro.models.loading import LanguageModel
from clada_neuro.policies.registry import policy_for
from clada_neuro.runtime.kernels.compiled import CompiledKernel
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.kernels.session import KernelSession

POLICIES = ("dense", "clada", "griffin")
DRAWING = {"greedy": {}, "top_p 0.9": {"temperature": 1.0, "top_p": 0.9}}


def rates(model: LanguageModel, policy: str, tokens: int, rounds: int) -> list[dict[str, object]]:
    """Return a row a round and way of drawing; the round that compiles and packs is thrown away."""
    rule = policy_for(model, policy)
    kernel = CompiledKernel(model.model, LlamaStep(model.model, context=512))
    loop = Loop(
        "compiled", policy, "float32", lambda rule, ids: nullcontext(KernelSession(kernel, rule, ids)), rule
    )
    prompt = model.tokenizer(PASSAGE, return_tensors="pt").input_ids[0]
    rows = []
    for number in range(rounds + 1):
        run = loop.decode(prompt, tokens)
        engine = tokens / sum(run.seconds)
        for drawing, options in DRAWING.items():
            began = time.perf_counter()
            text = generate(model, PASSAGE, rule, max_new_tokens=tokens, **options)[0]
            whole = time.perf_counter() - began
            own = len(text.ffn_sparsity) / text.seconds
            rows.append({"policy": policy, "drawing": drawing, "round": number, "tokens": len(text.token_ids),
                         "engine_tokens_per_s": engine, "generate_tokens_per_s": own, "ratio": own / engine,
                         "call_tokens_per_s": len(text.token_ids) / whole})  # fmt: skip
    return [row for row in rows if row["round"]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    load, model = os.getloadavg()[0], load_model("smollm2")
    table = pd.DataFrame([row for policy in POLICIES for row in rates(model, policy, **vars(options))])
    waiting = os.environ.get("OMP_WAIT_POLICY", "not set")
    head = (
        f"# python {shlex.join(sys.argv)}; {os.cpu_count()} cores, load average before {load:.1f}, "
        f"OMP_WAIT_POLICY {waiting}\n"
    )
    write_text(results_folder(__file__) / "generate_speed.csv", head + table.to_csv(index=False))
    columns = ["engine_tokens_per_s", "generate_tokens_per_s", "ratio", "call_tokens_per_s"]
    print(table.groupby(["policy", "drawing"], sort=False)[columns].median().round(2).to_string())


if __name__ == "__main__":
    main()
