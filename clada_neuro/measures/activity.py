"""Measures of feed-forward activity: taken in every layer, averaged over layers for a token.

a_i is the activation of neuron i of n, and e_i = |a_i|·c_i its contribution, with c_i = ‖W_d[:, i]‖₂ the norm of what it
writes. The prefix is every token before this one that the model saw, except the first.

In a mixture of experts e_i = g·|a_i|·c_i with the weight g that the router gave the neuron's expert, 0 for experts that did
not run, and n counts the neurons of those that ran.
"""

from clada_neuro.measures import sources
from clada_neuro.measures.measure import Measure, Origin

# In the order of their columns.
ACTIVITY = (
    Measure(
        name="sparsity_energy99",
        origin=Origin.CONTRIBUTIONS,
        unit="share",
        label="activation sparsity",
        meaning="1 - share of neurons in the smallest set holding 99 % of the sum of e^2",
        formula="1 − |A| / n; A, the active set, is the smallest set that holds 99 % of Σ e²",
        word_rule="mean",
        low=0,
        high=1,
        main=True,
        in_methods="one minus the share of feed-forward neurons in the smallest set that holds 99% of the squared output "
        "contributions, averaged over tokens and layers",
    ),
    Measure(
        name="neuron_sparsity",
        origin=Origin.CUTOFFS,
        unit="share",
        label="neuron sparsity",
        meaning="share of neurons below their calibrated cut-off; under a policy, of those it left out",
        formula="#{i : |a_i| < τ_i} / n with calibrated cut-offs τ; under a policy, which zeroes what it leaves out, "
        "#{i : a_i = 0} / n",
        word_rule="mean",
        low=0,
        high=1,
    ),
    Measure(
        name="ffn_sparsity",
        origin=Origin.POLICY,
        unit="share",
        shown_unit="share of bytes not read",
        label="FFN sparsity",
        meaning="share of feed-forward weight bytes not read",
        formula="1 − bytes read / bytes of all feed-forward weights",
        word_rule="mean",
        low=0,
        high=1,
    ),
    Measure(
        name="linear_sparsity",
        origin=Origin.WHOLE,
        unit="share",
        shown_unit="share of bytes not read",
        label="linear sparsity",
        meaning="share of linear weight bytes not read, attention's among them",
        formula="1 − bytes read / bytes of all linear weights of the layers",
        word_rule="mean",
        low=0,
        high=1,
    ),
    Measure(
        name="hoyer",
        origin=Origin.CONTRIBUTIONS,
        unit="0-1",
        label="Hoyer sparsity",
        meaning="Hoyer sparsity of e",
        formula="(√n − Σe / √Σe²) / (√n − 1)",
        word_rule="mean",
        low=0,
        high=1,
        source=sources.HOYER,
    ),
    Measure(
        name="participation_ratio",
        origin=Origin.CONTRIBUTIONS,
        unit="share",
        label="participation ratio",
        meaning="(sum e^2)^2 / (n sum e^4)",
        formula="(Σ e²)² / (n Σ e⁴)",
        word_rule="mean",
        low=0,
        high=1,
    ),
    Measure(
        name="overlap_prev",
        origin=Origin.CONTRIBUTIONS,
        unit="Jaccard",
        label="overlap with the token before",
        meaning="active set shared with the token before",
        formula="|A ∩ A′| / |A ∪ A′|, A′ the active set of the token before",
        word_rule="mean",
        low=0,
        high=1,
    ),
    Measure(
        name="overlap_prefix",
        origin=Origin.CONTRIBUTIONS,
        unit="Jaccard",
        label="overlap with the prefix",
        meaning="active set shared with the prefix",
        formula="|A ∩ A′| / |A ∪ A′|, A′ the active set of the mean of e over the prefix",
        word_rule="mean",
        low=0,
        high=1,
        of_prefix=True,
    ),
    Measure(
        name="adjustment_prev",
        origin=Origin.CONTRIBUTIONS,
        unit="1 - cosine",
        label="activation adjustment",
        meaning="change of e from the token before",
        formula="1 − cos(e, e′), e′ of the token before",
        word_rule="mean",
        low=0,
        high=1,
        main=True,
        in_methods="one minus the cosine between the contributions at a token and the token before",
    ),
    Measure(
        name="adjustment_prefix",
        origin=Origin.CONTRIBUTIONS,
        unit="1 - cosine",
        label="adjustment to the prefix",
        meaning="change of e from the prefix mean",
        formula="1 − cos(e, mean of e over the prefix)",
        word_rule="mean",
        low=0,
        high=1,
        of_prefix=True,
    ),
)
