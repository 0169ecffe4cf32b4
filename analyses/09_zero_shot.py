"""What does each policy lose on nine zero-shot benchmarks, at feed-forward sparsity 0.40, or at shares of all linear weights?

    python analyses/09_zero_shot.py [--limit 300] [--start answer middle] [--policy clada …] [--task piqa …]
    python analyses/09_zero_shot.py --scope all --sparsity 0.25 0.4 0.5 --policy dense clada --limit 100 --name zero_shot_whole_model
    python analyses/09_zero_shot.py --limit-of hellaswag=300 … [--dtype bfloat16] --name zero_shot_full
    python analyses/09_zero_shot.py --tables [--name zero_shot]

Every policy answers the same items. The context is read densely; from its last token (``answer``) or its middle
(``middle``) the policy is on; an answer scores by log-probability, per character where lm-evaluation-harness does so.
Writes results/zero_shot/, with the exact binomial test of the dense score against chance; ``--tables`` writes the page
anew from the scores that are there.
Finished chunks are kept in the cache, so an interrupted run goes on and a larger limit adds to a smaller one. A task's
own limit (``--limit-of``) goes before that of all.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from _shared.results import results_folder

from clada_neuro import load_model
from clada_neuro.artifacts import write_text
from clada_neuro.evaluation.evaluate import evaluate
from clada_neuro.evaluation.score_table import markdown
from clada_neuro.evaluation.summary import against_chance, summarise
from clada_neuro.evaluation.tasks import TASKS
from clada_neuro.policies.registry import COMPARED
from clada_neuro.runtime.policy import FFN_ONLY, SCOPES


def rounded(summary: pd.DataFrame) -> pd.DataFrame:
    """Return scores with five decimals and p-values with three digits."""
    p = summary["above_chance_p"].map(lambda value: float(f"{value:.3g}"))
    return summary.round(5).assign(above_chance_p=p)


def page_anew(results: Path, name: str) -> None:
    """Write chance and its test into a table and its page from the scores on disk; what was found stays as printed."""
    table, page = results / f"{name}.csv", results / f"{name}.md"
    command = table.read_text(encoding="utf-8").partition("\n")[0]
    made, *lines = page.read_text(encoding="utf-8").splitlines()
    found = [line for line in lines[3:] if not line.startswith("|  |")]
    summary = pd.read_csv(table, comment="#")
    tested = [
        {"chance": float("nan"), "above_chance_p": float("nan")}
        if task == "mean"
        else against_chance(task, int(n), score)
        for task, n, score in zip(summary["task"], summary["n"], summary["score"], strict=True)
    ]
    summary = summary.assign(**pd.DataFrame(tested))
    cells = ["start", "asked", "policy"]
    means = summary.groupby(cells)["chance"].transform("mean")
    summary["chance"] = summary["chance"].fillna(means)
    write_text(table, f"{command}\n{rounded(summary).to_csv(index=False)}")
    # Scores on disk are rounded: rows made of them anew would be rounded twice.
    anew = markdown(summary).splitlines()
    head = [*anew[:2], *(line for line in anew if line.startswith("|  |"))]
    write_text(page, "\n".join([made, "", *head, *found]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=300, help="items of each task")
    parser.add_argument("--limit-of", nargs="+", default=[], metavar="TASK=ITEMS", help="items of some tasks")
    parser.add_argument("--start", nargs="+", default=["answer"])
    parser.add_argument("--policy", nargs="+", default=list(COMPARED))
    parser.add_argument("--task", nargs="+", default=list(TASKS))
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.4])
    parser.add_argument("--scope", choices=SCOPES, default=FFN_ONLY, help="what sparsity is a share of")
    parser.add_argument("--start-token", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--name", default="zero_shot", help="of the tables")
    parser.add_argument("--tables", action="store_true", help="only write the page of --name anew")
    options = parser.parse_args()
    if options.tables:
        page_anew(results_folder(__file__), options.name)
        return
    model = load_model("smollm2", start_token=options.start_token, dtype=options.dtype)
    own = {task: int(items) for task, _, items in (one.partition("=") for one in options.limit_of)}
    answered = [
        evaluate(
            model,
            [task],
            options.policy,
            sparsities=options.sparsity,
            limit=own.get(task, options.limit),
            starts=options.start,
            scope=options.scope,
        )
        for task in options.task
    ]
    items = pd.concat(answered, ignore_index=True)
    summary = summarise(items)
    command = " ".join(["python", *sys.argv])
    calibrations = ", ".join(items["calibration"].dropna().unique()) or "none"
    counts = items.groupby("task")["item"].nunique()
    made = (
        f"`{command}`: {counts.min()} to {counts.max()} items a task, {len(items.groupby(['task', 'item'])):,} "
        f"in all, {options.dtype}, start token {model.start_token}, "
        f"weights {model.weights_hash}, calibration {calibrations}\n\n"
    )
    results = results_folder(__file__)
    write_text(results / f"{options.name}.csv", f"# {command}\n{rounded(summary).to_csv(index=False)}")
    write_text(results / f"{options.name}.md", made + markdown(summary))
    print(markdown(summary))


if __name__ == "__main__":
    main()
