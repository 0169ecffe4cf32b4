"""Calibrate CLADA for a model: weights, thresholds, compensation, then what decides online, then a certified bound.

Each stage is kept on disk beside the output, so that an interrupted calibration goes on where it stopped.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clada_neuro.artifacts import output_folder, versions
from clada_neuro.cache import Store
from clada_neuro.calibration.allocation import allocate, equal_error
from clada_neuro.calibration.certify import certify
from clada_neuro.calibration.online import choose_online
from clada_neuro.calibration.row_worth import SHARES, sensitivity
from clada_neuro.calibration.texts import LENGTH, CalibrationTexts, divide
from clada_neuro.errors import CalibrationError
from clada_neuro.models import linear
from clada_neuro.models.ffn import FFN
from clada_neuro.models.ggml import precision_of
from clada_neuro.models.limits import check_length
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Here, Places
from clada_neuro.models.registry import policy_layers
from clada_neuro.passes.error import site_errors
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import fit_thresholds, mean_loss, measure, quantile
from clada_neuro.passes.pieces import PIECE, Piece, Pieces
from clada_neuro.policies.artifact import FORMAT, MAX_BYTES, Calibration
from clada_neuro.policies.griffin import Griffin
from clada_neuro.policies.registry import CERTIFIED, check_scope, fit_tables
from clada_neuro.progress import ProgressBar
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.policy import (
    ALL,
    ATTENTION,
    FFN_ONLY,
    SHARE,
    SITES,
    Reads,
    attention_reads,
    reads,
    rows,
)
from clada_neuro.runtime.prefix import ranks
from clada_neuro.runtime.thresholds import score

ALLOCATIONS = ("loss", "equal-error")
_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5)  # of the thresholds, where compensation and sparsity are measured
# Texts that each stage uses, at most.
_SENSITIVITY_TEXTS = 16
_FIT_TEXTS = 32
_CURVE_TEXTS = 32
BASELINE_TEXTS, MOST_TEXTS = 8, 32  # of policies' own tables: commonly, and for what takes many
_SELECTION_TEXTS = 16
_CERTIFICATION_TEXTS = 48


def calibrate(
    language_model: LanguageModel,
    documents: Sequence[str],
    out: str | Path,
    *,
    bound: float = 0.10,
    confidence: float = 0.95,
    min_sparsity: float = 0.40,
    scope: str = FFN_ONLY,
    tokens: int = 65_536,
    allocation: str = "loss",
    seed: int = 0,
    progress: bool = True,
    places: Places | None = None,
) -> Calibration:
    """Calibrate CLADA and the baselines for a model and write the artifact.

    Parameters
    ----------
    language_model : LanguageModel
    documents : sequence of str
        Running text; none of it may come from what is evaluated later.
    out : str or Path
        The ``.safetensors`` file to write; unfinished work is kept in the folder ``<out>.parts``.
    bound : float
        Limit of the rise of loss, nats per token.
    confidence : float
        Of the one-sided bound over documents.
    min_sparsity : float
        Least sparsity; thresholds are allocated for it.
    scope : {"ffn", "all"}
        What may be left out and sparsity is a share of: the weight bytes of feed-forward blocks, or of all linear maps of the
        layers, those of attention, too.
    tokens : int
        Read at most so many.
    allocation : {"loss", "equal-error"}
        How the budget is shared over layers and sites: equal marginal loss per byte, our choice, or the same relative
        error everywhere, the paper's reading.
    seed : int
    progress : bool
        Show a progress bar.
    places : Places, optional
        Where the loss of policies is checked, which is most of the work; default this process.

    Returns
    -------
    Calibration
        Its header's ``certificate`` holds the bound, or says why it cannot hold and gives the frontier.

    Raises
    ------
    CalibrationError
        If there is too little text or a limit makes no sense.
    ModelError
        If the model is not supported or reads fewer tokens than a calibration text has.
    IncompleteError
        If texts could not be scored on workers; finished work is kept.
    """
    if not 0 < min_sparsity < 0.9 or bound <= 0 or not 0.5 < confidence < 1:
        raise CalibrationError(
            f"min_sparsity {min_sparsity:g}, bound {bound:g}, confidence {confidence:g} given; "
            "between 0 and 0.9, above 0, and between 0.5 and 1 expected"
        )
    if allocation not in ALLOCATIONS:
        raise CalibrationError(f"allocation '{allocation}' given, one of {', '.join(ALLOCATIONS)} expected")
    check_scope(CERTIFIED, scope)
    if scope == ALL and allocation != ALLOCATIONS[0]:
        raise CalibrationError(
            f"allocation '{allocation}' shares over feed-forward blocks alone; with scope {ALL} give allocation '{ALLOCATIONS[0]}'"
        )
    check_length(
        language_model.model, LENGTH, "a calibration text", "calibrate a model with a longer context"
    )
    out = Path(out)
    output_folder(out.parent)
    texts = divide(language_model, documents, tokens, seed)
    own = {} if scope == FFN_ONLY else {"scope": scope}
    settings = {
        **own,
        "min_sparsity": min_sparsity,
        "tokens": tokens,
        "seed": seed,
        "allocation": allocation,
        "weights": language_model.weights_hash,
        "computed": [
            f"torch.{precision_of(language_model.model)}",
            str(language_model.device),
            language_model.threads,
        ],
        "linear": linear.routes(language_model.model),
    }
    folder = output_folder(out.with_name(f"{out.name}.parts"))
    pieces = Store.of(folder, __name__, settings, *(part.tolist() for part in _parts(texts)), codec=PIECE)
    with ProgressBar(desc="calibrate", unit="tok", unit_scale=True, disable=not progress) as bar:
        work = _Work(language_model, texts, pieces, bar.update, min_sparsity, allocation, seed, scope)
        calibration = work.calibrate(bound, confidence, places or Here(language_model))
    calibration.header.update(
        **own,
        format=FORMAT,
        weights_hash=language_model.weights_hash,
        model=language_model.name,
        start_token=language_model.start_token,
        texts={"hash": pieces.key, "texts": sum(map(len, _parts(texts))), "length": LENGTH},
        seed=seed,
        versions=versions(),
    )
    calibration.save(out)
    if out.stat().st_size > MAX_BYTES and language_model.name == "smollm2":
        raise CalibrationError(f"'{out}' has {out.stat().st_size} bytes, at most {MAX_BYTES} expected")
    pieces.clear()
    return calibration


def _parts(texts: CalibrationTexts) -> tuple[Tensor, Tensor, Tensor]:
    return texts.statistics, texts.selection, texts.certification


class _Work:
    """The pieces of work, in order; each returns a header and tensors that join the calibration."""

    def __init__(
        self,
        language_model: LanguageModel,
        texts: CalibrationTexts,
        pieces: Pieces,
        tick: Callable[[int], object],
        min_sparsity: float,
        allocation: str,
        seed: int,
        scope: str,
    ) -> None:
        self.model, self.layers = language_model.model, policy_layers(language_model.model)
        self.texts, self.pieces, self.tick = texts, pieces, tick
        self.min_sparsity, self.allocation = min_sparsity, allocation
        self.seed, self.device = seed, language_model.device
        self.scope, self.sites = scope, SITES[scope]

    def calibrate(self, bound: float, confidence: float, places: Places) -> Calibration:
        """Do all of them."""
        _, weights = self.pieces.once("sensitivity", self._sensitivity)
        shares, thresholds = self.pieces.once("thresholds", lambda: self._thresholds(weights))
        curve, biases = self._curve(thresholds)
        _, prior = self.pieces.once("prior", self._prior)
        few, more = self.texts.statistics[:BASELINE_TEXTS], self.texts.statistics[BASELINE_TEXTS:MOST_TEXTS]
        passes = Passes(self.model, self.layers, few, self.pieces, self.tick, self.scope, more)
        baselines, tables = fit_tables(passes)
        of_scope = {} if self.scope == FFN_ONLY else {"scope": self.scope}
        header = {**of_scope, **shares, **curve, "baselines": baselines}
        calibration = Calibration(header, {**thresholds, **prior, **tables, **biases}).to(self.device)
        common = (places, self.layers, self.pieces, self.tick)
        chosen = choose_online(
            *common, calibration, self.texts.selection[:_SELECTION_TEXTS], self.min_sparsity
        )
        calibration = Calibration({**header, **chosen.header}, {**calibration.tensors, **chosen.tensors})
        certified = self.texts.certification[:_CERTIFICATION_TEXTS]
        documents = self.texts.certified_documents[:_CERTIFICATION_TEXTS]
        calibration.header["certificate"] = certify(
            *common, calibration, certified, documents, bound, confidence, self.min_sparsity
        )
        return calibration

    def _sensitivity(self) -> Piece:
        found = sensitivity(
            self.model, self.texts.statistics[:_SENSITIVITY_TEXTS], self.seed, self.tick, self.scope
        )
        weights = {f"{site}_weights": _normalized(values) for site, values in found.weights.items()}
        return {}, {**weights, **{f"{site}_losses": values for site, values in found.losses.items()}}

    def _thresholds(self, found: Mapping[str, Tensor]) -> Piece:
        """Allocate over layers and sites, then fit thresholds layer by layer."""
        weights = {site: found[f"{site}_weights"].to(self.device) for site in self.sites}
        bytes_of = [self._reads(ffn) for ffn in self.layers]
        share_out: Callable[..., dict[str, Tensor]] = allocate
        costs = {site: found[f"{site}_losses"] for site in self.sites}
        if self.allocation == "equal-error":
            share_out = equal_error
            tokens = self.texts.statistics[:_CURVE_TEXTS]
            costs = site_errors(self.model, self.layers, tokens, weights, SHARES)
        fractions = share_out(
            costs,
            SHARES,
            {
                site: torch.tensor(
                    [rows(f, site) * b.row[site] for f, b in zip(self.layers, bytes_of, strict=True)]
                )
                for site in self.sites
            },
            sum(b.total for b in bytes_of),
            self.min_sparsity,
        )

        def choose(layer: int, site: str, seen: Tensor) -> Tensor:
            return quantile(score(seen, weights, layer, site), float(fractions[site][layer]))

        tokens = self.texts.statistics[-_FIT_TEXTS:]
        fit = fit_thresholds(self.model, self.layers, tokens, self.sites, choose, weights, compensated=True)
        self.tick(tokens.numel())
        header = {
            "allocation": self.allocation,
            "shares_dropped": {site: [round(v, 4) for v in fractions[site].tolist()] for site in self.sites},
        }
        return header, {
            **{f"{site}_thresholds": _as_stored(fit.thresholds[site]) for site in self.sites},
            **{f"{site}_weights": weights[site] for site in self.sites},
        }

    def _reads(self, ffn: FFN) -> Reads:
        block = reads(ffn, SITES[FFN_ONLY])
        return block if self.scope == FFN_ONLY else block + attention_reads(ffn.attention)

    def _curve(self, fitted: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Measure compensation ``(1 + points, layers, outputs)`` and sparsity along the threshold scale."""
        rule = Clada(
            {site: fitted[f"{site}_thresholds"].to(self.device) for site in self.sites},
            {site: fitted[f"{site}_weights"].to(self.device) for site in self.sites},
        )
        tokens = self.texts.statistics[-_CURVE_TEXTS:]

        def point(scale: float) -> Piece:
            recorder = mean_loss(rule, self.layers)
            sparsity = float(measure(self.model, recorder, tokens, scale).mean())
            self.tick(tokens.numel())
            error = float(recorder.relative_error.mean())
            return {"scale": scale, SHARE[self.scope]: sparsity, "relative_error": error}, {
                "bias": recorder.bias,
                **{f"{site}_bias": bias for site, bias in recorder.bias_at.items()},
            }

        points = [self.pieces.once(f"curve-{scale}", partial(point, scale)) for scale in _SCALES]
        curve = {name: [header[name] for header, _ in points] for name in points[0][0]}
        names = ["bias", *(f"{site}_bias" for site in self.sites if site in ATTENTION)]
        biases = {name: [tensors[name] for _, tensors in points] for name in names}
        return {"curve": curve}, {
            name: torch.stack([torch.zeros_like(found[0]), *found]) for name, found in biases.items()
        }

    def _prior(self) -> Piece:
        """Rank neurons by GRIFFIN's score over many texts; keep one text's own ranks as the foreign prefix."""
        tokens = self.texts.statistics[-_CURVE_TEXTS:]
        with attach(self.model, Griffin()) as session, torch.no_grad():
            session.begin(len(tokens))
            counted = torch.ones_like(tokens, dtype=torch.bool)
            counted[:, 0] = False
            session.plan(torch.zeros(tokens.shape, device=self.device), counted)
            self.model(tokens, logits_to_keep=1, use_cache=False)
            prefix = session.state.prefix
        self.tick(tokens.numel())
        prior = torch.stack([ranks(prefix.score(ffn.layer).mean(0)) for ffn in self.layers])
        foreign = [prefix.standardized_rank(ffn.layer, prior[ffn.layer])[0] for ffn in self.layers]
        return {}, {"prior": prior, "foreign_rank": torch.stack(foreign)}


def _normalized(weights: Tensor) -> Tensor:
    """Scale each layer's row weights to mean 1, so that thresholds have the size of activations."""
    return _as_stored(weights / weights.mean(dim=1, keepdim=True).clamp_min(1e-30))


def _as_stored(values: Tensor) -> Tensor:
    """Round as the artifact will, so that what is measured is what is shipped."""
    return values.half().float()
