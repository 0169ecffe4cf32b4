"""``clada-neuro generate``: continue a prompt under a policy."""

from pathlib import Path
from typing import Any

import click

from clada_neuro.cli.options import model_options
from clada_neuro.cli.policy_options import scope_option


@click.command()
@click.argument("prompt")
@model_options
@click.option(
    "--policy", default="clada", show_default=True, help="Policy name; an unknown one lists them all."
)
@click.option(
    "--sparsity", default=0.4, show_default=True, help="Share of the scope's weight bytes not read."
)
@scope_option
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="Calibration file; default: the shipped one."
)
@click.option("--max-new-tokens", default=64, show_default=True)
@click.option("--temperature", default=0.0, show_default=True, help="0 takes the likeliest token.")
@click.option("--top-p", default=1.0, show_default=True, help="Share of probability to sample from.")
@click.option("--seed", default=0, show_default=True)
@click.option("--compare-dense", is_flag=True, help="Generate densely, too, and compare speed.")
def command(
    prompt: str,
    policy: str,
    sparsity: float,
    scope: str,
    calibration: Path | None,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    compare_dense: bool,
    model: str,
    **setting: Any,
) -> None:
    """Continue PROMPT, with the text as it comes and what was left uncomputed."""
    from clada_neuro.models.loading import load_model
    from clada_neuro.policies.registry import policy_for
    from clada_neuro.runtime.decode import Generation, generate

    language_model = load_model(model, **setting)
    names = [policy, *(["dense"] if compare_dense and policy != "dense" else [])]
    speeds = []

    def show(row: int, piece: str) -> None:
        click.echo(piece, nl=False)

    def report(name: str, result: Generation) -> None:
        steps = len(result.ffn_sparsity)
        speeds.append(steps / result.seconds if steps else 0.0)
        mean = sum(result.ffn_sparsity) / steps if steps else 0.0
        parts = [f"FFN sparsity {mean:.3f}", f"{speeds[-1]:.1f} tokens/s"]
        if result.linear_sparsity:
            parts.insert(0, f"linear sparsity {sum(result.linear_sparsity) / steps:.3f}")
        if result.actions:
            parts.insert(-1, f"{sum(result.actions) / steps:.1%} of tokens reanalysed")
        click.echo(f"\n[{name}: {', '.join(parts)}]")

    for name in names:
        chosen = policy_for(language_model, name, sparsity, calibration, scope)
        options = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
        report(name, generate(language_model, prompt, chosen, stream=show, **options)[0])  # type: ignore[arg-type]
    if len(speeds) == 2 and all(speeds):
        click.echo(f"[{policy} at {speeds[0] / speeds[1]:.2f} times the speed of dense, same engine]")
