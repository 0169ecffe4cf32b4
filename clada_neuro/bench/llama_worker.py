"""Decode with llama.cpp on request: run by an interpreter that has llama-cpp-python, reads and writes JSON lines.

Stands alone, so that the peer may live in an environment without this package.
"""

import json
import sys
import time
from pathlib import Path


def peak_memory_mb() -> float:
    """Return the most memory this process has held; NaN where the system does not tell.

    ``getrusage`` would include what the parent held before the program was started.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    held = [line for line in lines if line.startswith("VmHWM:")]
    return int(held[0].split()[1]) / 1024 if held else float("nan")


def main(path: str, threads: int, context: int) -> None:
    """Answer each ``{"prompt": [...], "tokens": n}`` with the seconds of every greedy token."""
    import llama_cpp
    import numpy as np

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
        answer = {"seconds": seconds, "drawn": drawn, "peak_memory_mb": peak_memory_mb()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
