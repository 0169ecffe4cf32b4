"""Why do TEAL and WINA break where half of all linear weights are left out, and CLADA does not?

    python analyses/33_uniform_shares.py [--documents 4] [--sparsity 0.5]

The first documents of 30_whole_model.py, 256 tokens each, the first 32 a dense prefix, every later token under the policy. Cells are
the rise of loss over dense in nats per token, of TEAL, WINA and CLADA without load as the calibration of scope ``all`` that ships has
them, and of TEAL changed in one thing (the last also of WINA):

- ``only SITE``, ``but SITE``: rows are left out at one site alone, at all but one;
- ``only layers A-B``, ``but layers A-B``: likewise by layer;
- ``only qkv of layer 0``, ``but qkv of layer 0``;
- ``CLADA's shares``: as many rows at each layer and site as CLADA leaves out there, by the policy's own scores.

*CLADA, uncompensated* is CLADA without what stands in for dropped rows. Writes results/uniform_shares/uniform_shares.csv (cells) and shares.csv
(share of rows left out by layer and site, TEAL's and CLADA's).
"""

import argparse
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import pandas as pd
import torch
from _shared.equal_sparsity import PREFIX, documents, estimate
from _shared.results import command_and_load, results_folder
from torch import Tensor
from tqdm import tqdm

from clada_neuro import load_model
from clada_neuro.artifacts import write_text
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import policy_layers
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.registry import make_policy
from clada_neuro.policies.teal import Teal
from clada_neuro.policies.wina import Wina
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.policy import ALL, SITES, Policy

_GROUPS = ((0, 0), (1, 1), (2, 4), (5, 9), (10, 14), (15, 19), (20, 24), (25, 28), (29, 29))
Shares = Mapping[str, Tensor]  # by site, (layers,)


def losses(model: LanguageModel, policy: Policy, tokens: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return nats per token of each document after its prefix, and the share of rows left out by site ``(layers,)``."""
    with attach(model, policy) as session, torch.no_grad():
        session.begin(len(tokens))
        scale = torch.full(tokens.shape, policy.base_scale)
        scale[:, :PREFIX] = 0
        session.plan(scale, torch.zeros(tokens.shape, dtype=torch.bool))
        logits = model.model(tokens).logits
        dropped = {site: share[:, PREFIX:].mean((0, 1)) for site, share in session.dropped().items()}
    nats = torch.nn.functional.cross_entropy(
        logits[:, PREFIX:-1].flatten(0, 1), tokens[:, PREFIX + 1 :].flatten(), reduction="none"
    )
    return nats.view(len(tokens), -1).mean(1), dropped


def changed(policy: Teal, change: Callable[[Shares], Shares]) -> Policy:
    """Return TEAL with other thresholds; 0 leaves nothing out."""
    return replace(policy, thresholds=change(policy.thresholds))


def at_sites(kept: Collection[str]) -> Callable[[Shares], Shares]:
    """Return a change that leaves something out at some sites alone."""
    return lambda shares: {site: own * float(site in kept) for site, own in shares.items()}


def at_layers(kept: Collection[int]) -> Callable[[Shares], Shares]:
    """Return a change that leaves something out in some layers alone."""
    return lambda shares: {
        site: own * torch.tensor([float(layer in kept) for layer in range(len(own))])
        for site, own in shares.items()
    }


def cells(teal: Teal, wina: Wina, clada: Clada, clada_shares: Shares) -> dict[tuple[str, str], Policy]:
    """Return what is measured, by policy and change."""
    found: dict[tuple[str, str], Policy] = {("no-load", "as it is"): clada}
    found["no-load", "uncompensated"] = replace(clada, mean_of_dropped=None, mean_at={})
    ones = {site: torch.ones_like(own) for site, own in wina.weights.items()}
    found["teal", "as it is"] = teal
    found["teal", "CLADA's shares"] = Wina(clada_shares, ones)
    found["wina", "as it is"] = wina
    found["wina", "CLADA's shares"] = Wina(clada_shares, wina.weights)
    for site in SITES[ALL]:
        found["teal", f"only {site}"] = changed(teal, at_sites({site}))
        found["teal", f"but {site}"] = changed(teal, at_sites({*SITES[ALL]} - {site}))
    everything = range(len(clada_shares["qkv"]))
    for first, last in _GROUPS:
        group = range(first, last + 1)
        found["teal", f"only layers {first}-{last}"] = changed(teal, at_layers(group))
        found["teal", f"but layers {first}-{last}"] = changed(teal, at_layers({*everything} - {*group}))
    first_layer = at_layers({0})(at_sites({"qkv"})(teal.thresholds))
    found["teal", "only qkv of layer 0"] = changed(teal, lambda shares: first_layer)
    found["teal", "but qkv of layer 0"] = changed(
        teal, lambda shares: {site: own - first_layer[site] for site, own in shares.items()}
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--sparsity", type=float, default=0.5)
    options = parser.parse_args()
    model = load_model("smollm2")
    layers, calibration = policy_layers(model.model), load_calibration(model, scope=ALL)
    tokens = documents(model, options.documents)
    teal, wina, clada = (
        make_policy(name, layers, calibration, options.sparsity) for name in ("teal", "wina", "no-load")
    )
    plain, _ = losses(model, Dense(), tokens)
    assert isinstance(teal, Teal)
    assert isinstance(wina, Wina)
    assert isinstance(clada, Clada)
    _, teals = losses(model, teal, tokens)
    _, cladas = losses(model, clada, tokens)
    rows = []
    for (name, change), policy in tqdm(cells(teal, wina, clada, cladas).items(), desc="cells"):
        found, _ = losses(model, policy, tokens)
        rise = pd.Series((found - plain).double().numpy())
        rows.append({"policy": name, "change": change, **estimate("loss", rise)})
        print(f"{name}, {change}: {rise.mean():+.3f}", flush=True)
    folder, head = results_folder(__file__), command_and_load()
    table = pd.DataFrame(rows)
    write_text(folder / "uniform_shares.csv", head + table.to_csv(index=False, float_format="%.5g"))
    shares = [
        {"policy": name, "layer": layer, **{site: float(own[layer]) for site, own in by_site.items()}}
        for name, by_site in (("teal", teals), ("no-load", cladas))
        for layer in range(len(layers))
    ]
    write_text(folder / "shares.csv", head + pd.DataFrame(shares).to_csv(index=False, float_format="%.4g"))


if __name__ == "__main__":
    main()
