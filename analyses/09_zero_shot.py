"""What does each policy lose on nine zero-shot benchmarks, at feed-forward sparsity 0.40?

    python analyses/09_zero_shot.py [--limit 300] [--start answer middle] [--policy clada …] [--task piqa …]

Every policy answers the same items. The context is read densely; from its last token (``answer``) or its middle
(``middle``) the policy is on; an answer scores by log-probability, per character where lm-evaluation-harness does so.
Writes results/zero_shot/.
Finished chunks are kept in the cache, so an interrupted run goes on and a larger limit adds to a smaller one.
"""

import argparse
import sys

from _shared.results import results_folder

from clada_neuro import load_model
from clada_neuro.artifacts import write_text
from clada_neuro.evaluation.evaluate import evaluate
from clada_neuro.evaluation.score_table import markdown
from clada_neuro.evaluation.summary import summarise
from clada_neuro.evaluation.tasks import TASKS
from clada_neuro.policies.registry import COMPARED


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=300, help="items of each task")
    parser.add_argument("--start", nargs="+", default=["answer"])
    parser.add_argument("--policy", nargs="+", default=list(COMPARED))
    parser.add_argument("--task", nargs="+", default=list(TASKS))
    parser.add_argument("--sparsity", type=float, default=0.4)
    parser.add_argument("--start-token", default="auto")
    parser.add_argument("--name", default="zero_shot", help="of the tables")
    options = parser.parse_args()
    model = load_model("smollm2", start_token=options.start_token)
    items = evaluate(
        model,
        options.task,
        options.policy,
        sparsities=[options.sparsity],
        limit=options.limit,
        starts=options.start,
    )
    summary = summarise(items)
    command = " ".join(["python", *sys.argv])
    calibrations = ", ".join(items["calibration"].dropna().unique()) or "none"
    counts = items.groupby("task")["item"].nunique()
    made = (
        f"`{command}`: {counts.min()} to {counts.max()} items a task, start token {model.start_token}, "
        f"weights {model.weights_hash}, calibration {calibrations}\n\n"
    )
    results = results_folder(__file__)
    write_text(results / f"{options.name}.csv", f"# {command}\n{summary.round(5).to_csv(index=False)}")
    write_text(results / f"{options.name}.md", made + markdown(summary))
    print(markdown(summary))


if __name__ == "__main__":
    main()
