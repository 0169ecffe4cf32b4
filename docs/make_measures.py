"""Write ``docs/measures.md``: every measure as it is declared.

python docs/make_measures.py
"""

import math
from collections.abc import Iterable
from pathlib import Path

from clada_neuro.measures.activity import ACTIVITY
from clada_neuro.measures.layers import ASSOCIATION, ATTENTION, BY_LAYER, LENS, MOVEMENT
from clada_neuro.measures.measure import Measure, Origin
from clada_neuro.measures.tokens import TOKENS
from clada_neuro.measures.words import WORDS

PAGE = Path(__file__).with_name("measures.md")
_HEADER = (
    "column",
    "label",
    "unit",
    "range",
    "formula",
    "what it says",
    "word",
    "traces",
    "source",
    "computed in",
)
_TRACES = {
    Origin.CUTOFFS: "all; without a calibration missing",
    Origin.POLICY: "under a policy",
    Origin.WHOLE: "under a policy with `--scope all`",
    Origin.MASKED: "of masked models",
    Origin.STREAM: "with `--layers`",
    Origin.ATTENTION: "with `--layers` and `--attention`",
}


def page() -> str:
    """Return the page."""
    sources = {one.source for one in (*TOKENS, *WORDS, *BY_LAYER) if one.source}
    return f"""# Measures

Columns of `tokens.parquet` and `words.parquet`; those of feed-forward activity stand in `layers.parquet`, too. This page is
made from the declarations in `clada_neuro/measures` by `python docs/make_measures.py`.

*word* says how the values of a word's tokens become the word's; *first* and *last* are the value of its first and its last
token. `words.parquet` also has most measures of the two words before, as `_lag1` and `_lag2`.

## Tokens

x is the token that came, p the prediction before it over the vocabulary, and q that prediction under a policy, where p is
the dense model's.

{_table(one for one in TOKENS if one not in ACTIVITY)}

## Feed-forward activity

Taken in every layer; a token has the mean over layers. a_i is the activation of neuron i of n, and e_i = |a_i|·c_i its
contribution, with c_i = ‖W_d[:, i]‖₂ the norm of what it writes. The prefix is every token before this one that the model
saw, except the first.

In a mixture of experts e_i = g·|a_i|·c_i with the weight g that the router gave the neuron's expert, 0 for experts that did
not run: tokens are compared over the neurons of all experts, and n counts the neurons of those that ran, a shared expert
included (Mixtral, Qwen2 and Qwen3 MoE, OLMoE, Phi MoE, Granite MoE, GPT-OSS, DeepSeek V3, Jamba).

{_table(ACTIVITY)}

## Words

{_table(WORDS)}

`similarity_context` is association apart from prediction. Its context is every word before, a stimulus's own `context` included,
but for words of a Zipf frequency of 6 or more in the language (some 100 in English, Dutch and German, nearly all of them function
words) and punctuation; where none stands before, it is missing. By the states of a layer, such as the middle one, it stands in
`word_layers.parquet`.

## Words by layer

Columns of `word_layers.parquet`, a row a word and layer (`trace --layers all`, `every:N`, counted from the last layer, or
numbers from 0). h_l is the residual stream after layer l, from 0, and before the first for l = −1; p_l is what the model's own
final norm and output layer, with the scale or cap of its logits, predict from h_l at the token before x: the logit lens. Of the
last layer it is p; a model whose last layer does not give its own predictions so, to 10⁻⁵ bits on a few tokens, has no lens, with the
reason in the manifest. Displacement and norms are of h at x itself; they are not defined where x, or another token that they
need, is the first that the model reads, which all others attend to. Punctuation that is attached to a word is left out, as elsewhere.

{_table((*LENS, *MOVEMENT, *ASSOCIATION, *ATTENTION))}

The measures of feed-forward activity above stand there, too, each of the layer's own block. Attention is computed in the plain form
of the model's family, which holds its weights; families and layers that give none (state-space models, recurrences, attention
with a sink that is no token) have no entropy of it, with the reason in the manifest.

`--translators FILE` puts a tuned lens (Belrose et al., 2023) in place of the logit lens: of place i, 0 before the first layer, the
tail reads h + W_i h + b_i. FILE is a safetensors file with the tensors of the package tuned-lens, `0.weight`, `0.bias` and so on;
the model's `unembed_hash` must be in its metadata or in tuned-lens's `config.json` beside it. From a folder that tuned-lens wrote:

```python
from safetensors.torch import save_file
from torch import load

save_file(load("lens/params.pt", weights_only=True), "lens/lens.safetensors")
```

The vocabulary projection is the cost: one a layer for `all`, up to two a layer that is asked for otherwise. 200 sentences by
SmolLM2-135M take 65 s of one core with all 30 layers, 39 s with `every:4` and 8 s without, and no more memory than without.

`Trace.read("traced").word_layers` is this table; `.by_layer("lens_surprisal_bits")` is one measure of it with a column a layer.

## Sources

{_list(sorted(source.full for source in sources))}
"""


def _table(measures: Iterable[Measure]) -> str:
    rows = [_HEADER, ["---"] * len(_HEADER), *map(_row, measures)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)


def _row(one: Measure) -> list[str]:
    return [
        f"`{one.name}`",
        one.label,
        one.axis_unit,
        _range(one),
        one.formula,
        one.meaning,
        one.word_rule,
        _TRACES.get(one.origin, "all"),
        one.source.short if one.source else "",
        one.origin.value,
    ]


def _range(one: Measure) -> str:
    if one.dtype == "bool":
        return "yes, no"
    if math.isinf(one.high):
        return "any" if math.isinf(one.low) else f"≥ {one.low}"
    return f"{one.low} … {one.high}"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
