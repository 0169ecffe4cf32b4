"""Neurons that a gradient says matter: |a_i|·rms(∂loss/∂a_i), as attribution scores are."""

import torch

from clada_neuro.passes.measure import quantile
from clada_neuro.policies.declaration import Declaration
from clada_neuro.runtime.policy import HIDDEN
from clada_neuro.runtime.thresholds import ThresholdPolicy, score


class Gradients(ThresholdPolicy):
    name, sites = "gradients", (HIDDEN,)


@torch.enable_grad()
def gradients(passes):
    seen = {}
    handles = [
        ffn.down.register_forward_pre_hook(
            lambda _, args, layer=ffn.layer: (
                (args[0].retain_grad(), seen.update({layer: args[0]}))[2:] or None
            )
        )
        for ffn in passes.layers
    ]
    embedded = passes.model.get_input_embeddings()(passes.tokens).detach().requires_grad_()
    passes.model(inputs_embeds=embedded, labels=passes.tokens).loss.backward()
    for handle in handles:
        handle.remove()
    return torch.stack([seen[layer].grad.square().mean((0, 1)).sqrt() for layer in sorted(seen)])


def fit(passes):
    _, found = passes.piece("gradients-weights", lambda: ({}, {"weights": gradients(passes)}))
    weights = {HIDDEN: found["weights"]}

    def at(sparsity):
        def choose(layer, site, seen):
            return quantile(score(seen, weights, layer, site), min(0.99, 3 * sparsity))

        return passes.thresholds(Gradients.sites, choose, weights).thresholds

    return {}, {**passes.at_each_sparsity("gradients", at), "gradients_weights": weights[HIDDEN]}


def make(asked):
    weights = asked.calibration.tensors["gradients_weights"]
    return Gradients(asked.fitted("gradients", HIDDEN, reach=0.3), {HIDDEN: weights})


DECLARED = [Declaration("gradients", 83, make, fit, compared=True)]
