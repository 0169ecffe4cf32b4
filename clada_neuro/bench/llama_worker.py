"""Decode with llama.cpp on request: run by an interpreter that has llama-cpp-python, reads and writes JSON lines.

Stands alone, so that the peer may live in an environment without this package.
"""

import json
import resource
import sys
import time

import llama_cpp
import numpy as np


def main(path: str, threads: int, context: int) -> None:
    """Answer each ``{"prompt": [...], "tokens": n}`` with the seconds of every greedy token."""
    llama = llama_cpp.Llama(
        model_path=path,
        n_ctx=context,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
        use_mmap=False,
    )
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(llama.model))
    print(json.dumps({"version": llama_cpp.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        llama.reset()
        llama.eval(request["prompt"])
        seconds, drawn = [], []
        for _ in range(request["tokens"]):
            logits = llama_cpp.llama_get_logits_ith(llama.ctx, -1)
            drawn.append(int(np.ctypeslib.as_array(logits, shape=(vocabulary,)).argmax()))
            began = time.perf_counter()
            llama.eval(drawn[-1:])
            seconds.append(time.perf_counter() - began)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": seconds, "drawn": drawn, "peak_memory_mb": peak / 1024}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
