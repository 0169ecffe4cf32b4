"""Measures of words by layer: what is predicted from inner layers, and how the residual stream moves.

h_l is the residual stream after layer l of L, from 0; h_{-1} stands before the first layer. p_l = softmax of the model's own
tail (final norm, output layer, scale and cap of the logits where the family has them) on h_l at the token before x; of the last
layer it is p, the model's prediction. Displacement and norms are of h at x itself. Where x or another token that they need
is the first of the model's input, which all others attend to, start token or not, they are not defined. Activity is that of
`activity`, in one layer.
"""

from clada_neuro.measures import sources
from clada_neuro.measures.activity import ACTIVITY
from clada_neuro.measures.measure import UNDER_POLICY, Measure, Origin

TRAJECTORY = 4  # tokens that a line is laid through; our choice

# In the order of their columns.
LENS = (
    Measure(
        name="lens_surprisal_bits",
        origin=Origin.STREAM,
        unit="bits",
        label="surprisal from the layer",
        meaning="surprisal in the prediction that the model's final norm and output layer make from the layer's output",
        formula="−log2 p_l(x)",
        word_rule="sum",
        low=0,
        source=sources.LENS,
    ),
    Measure(
        name="lens_entropy_bits",
        origin=Origin.STREAM,
        unit="bits",
        label="entropy from the layer",
        meaning="entropy of that prediction",
        formula="−Σ_v p_l(v) log2 p_l(v)",
        word_rule="first",
        low=0,
        source=sources.LENS,
    ),
    Measure(
        name="lens_rank",
        origin=Origin.STREAM,
        dtype="int",
        unit="rank",
        shown_unit="",
        label="rank from the layer",
        meaning="tokens with a higher probability in that prediction, plus 1",
        formula="1 + #{v : p_l(v) > p_l(x)}",
        word_rule="first",
        low=1,
        source=sources.LENS,
    ),
    Measure(
        name="lens_kl_last_bits",
        origin=Origin.STREAM,
        unit="bits",
        label="divergence from the last layer",
        meaning="KL divergence of that prediction from the model's own; 0 in the last layer",
        formula="Σ_v p_l(v) (log2 p_l(v) − log2 p(v))",
        word_rule="sum",
        low=0,
        source=sources.LENS,
    ),
    Measure(
        name="lens_kl_below_bits",
        origin=Origin.STREAM,
        unit="bits",
        label="probability update in the layer",
        meaning="KL divergence of that prediction from that of the layer below, of the first layer from that of its input",
        formula="Σ_v p_l(v) (log2 p_l(v) − log2 p_{l−1}(v))",
        word_rule="sum",
        low=0,
        source=sources.LENS,
    ),
)
MOVEMENT = (
    Measure(
        name="displacement_below",
        origin=Origin.STREAM,
        unit="1 - cosine",
        label="displacement from the layer below",
        meaning="how far the layer turns the residual stream",
        formula="1 − cos(h_l, h_{l−1})",
        word_rule="mean",
        low=0,
        high=2,
    ),
    Measure(
        name="norm_ratio_below",
        origin=Origin.STREAM,
        unit="ratio",
        label="growth over the layer below",
        meaning="how much the layer lengthens the residual stream",
        formula="‖h_l‖ / ‖h_{l−1}‖",
        word_rule="mean",
        low=0,
    ),
    Measure(
        name="displacement_prev",
        origin=Origin.STREAM,
        unit="1 - cosine",
        label="displacement from the token before",
        meaning="how far the residual stream of the token is from that of the token before",
        formula="1 − cos(h_l, h′_l), h′_l of the token before",
        word_rule="mean",
        low=0,
        high=2,
    ),
    Measure(
        name="trajectory_error",
        origin=Origin.STREAM,
        unit="ratio",
        label="trajectory extrapolation error",
        meaning="how far the residual stream of the token is from where the straight line through those of the tokens before, "
        "by least squares, leads",
        formula=f"‖h_l − ĥ_l‖ / ‖h_l‖, ĥ_l on the line through the {TRAJECTORY} tokens before",
        word_rule="mean",
        low=0,
        source=sources.TRAJECTORY,
    ),
)
ASSOCIATION = (
    Measure(
        name="similarity_context",
        origin=Origin.SIMILARITY,
        unit="cosine",
        label="similarity to the context in the layer",
        meaning="how near the word is to the content words before it, by the residual stream",
        formula="cos(v, mean of v over the words before it of Zipf frequency < 6), v the mean h_l of a word's tokens",
        word_rule="last",
        low=-1,
        high=1,
        source=sources.ASSOCIATION,
    ),
)
# On request.
ATTENTION = (
    Measure(
        name="attention_entropy_bits",
        origin=Origin.ATTENTION,
        unit="bits",
        label="attention entropy",
        meaning="how widely the token spreads its attention over itself and the tokens before, mean over the layer's heads",
        formula="mean over heads of −Σ_j w_j log2 w_j, w_j the weight that x gives to token j",
        word_rule="mean",
        low=0,
    ),
)
ACTIVE = tuple(one for one in ACTIVITY if one.origin not in UNDER_POLICY)
BY_LAYER = (*LENS, *MOVEMENT, *ASSOCIATION, *ATTENTION, *ACTIVE)
