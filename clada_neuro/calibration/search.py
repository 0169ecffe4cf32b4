"""Calibrate CLADA for a model: weights, thresholds, compensation, then what decides online, then a certified bound.

Each stage is kept on disk beside the output, so that an interrupted calibration goes on where it stopped.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from clada_neuro.artifacts import content_hash, output_folder, versions, write_atomic
from clada_neuro.baselines.griffin import Griffin
from clada_neuro.calibration.allocation import allocate
from clada_neuro.calibration.artifact import FORMAT, MAX_BYTES, Calibration
from clada_neuro.calibration.baselines import GRID, TT_REACH, fit_baselines
from clada_neuro.calibration.certify import certify
from clada_neuro.calibration.fit import FitThresholds, empty_thresholds, mean_loss, measure
from clada_neuro.calibration.online import choose_online
from clada_neuro.calibration.sensitivity import SHARES, sensitivity
from clada_neuro.calibration.texts import LENGTH, Texts, divide
from clada_neuro.errors import CalibrationError
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.policy import HIDDEN, INPUT, reads
from clada_neuro.runtime.prefix import ranks

SITES = (INPUT, HIDDEN)
_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5)  # of the thresholds, where compensation and sparsity are measured
_SENSITIVITY_TEXTS, _FIT_TEXTS, _CURVE_TEXTS, _BASELINE_TEXTS, _SELECTION_TEXTS = 16, 16, 6, 4, 8


def calibrate(
    language_model: LanguageModel,
    documents: Sequence[str],
    out: str | Path,
    *,
    bound: float = 0.10,
    confidence: float = 0.95,
    min_sparsity: float = 0.40,
    tokens: int = 65_536,
    seed: int = 0,
    progress: bool = True,
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
        Least `ffn_sparsity`; thresholds are allocated for it.
    tokens : int
        Read at most so many.
    seed : int
    progress : bool
        Show a progress bar.

    Returns
    -------
    Calibration
        Its header's ``certificate`` holds the bound, or says why it cannot hold and gives the frontier.

    Raises
    ------
    CalibrationError
        If there is too little text or a limit makes no sense.
    ModelError
        If the model is not supported.
    """
    if not 0 < min_sparsity < 0.9 or bound <= 0 or not 0.5 < confidence < 1:
        raise CalibrationError(
            f"min_sparsity {min_sparsity:g}, bound {bound:g}, confidence {confidence:g} given; "
            "between 0 and 0.9, above 0, and between 0.5 and 1 expected"
        )
    out = Path(out)
    output_folder(out.parent)
    texts = divide(language_model, documents, tokens, seed)
    settings = {
        "min_sparsity": min_sparsity,
        "tokens": tokens,
        "seed": seed,
        "weights": language_model.weights_hash,
    }
    inputs = content_hash(settings, texts.statistics.tolist(), texts.selection.tolist())
    parts = out.with_name(f"{out.name}.parts")
    with tqdm(desc="calibrate", unit="tok", unit_scale=True, disable=not progress) as bar:
        work = _Work(
            language_model, texts, _Stages(output_folder(parts), inputs), bar.update, min_sparsity, seed
        )
        calibration = work.calibrate(bound, confidence)
    calibration.header.update(
        format=FORMAT,
        weights_hash=language_model.weights_hash,
        model=language_model.name,
        start_token=language_model.start_token,
        texts={"hash": inputs, "documents": sum(map(len, _parts(texts))), "length": LENGTH},
        seed=seed,
        versions=versions(),
    )
    calibration.save(out)
    if out.stat().st_size > MAX_BYTES and language_model.name == "smollm2":
        raise CalibrationError(f"'{out}' has {out.stat().st_size} bytes, at most {MAX_BYTES} expected")
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()
    return calibration


def _parts(texts: Texts) -> tuple[Tensor, Tensor, Tensor]:
    return texts.statistics, texts.selection, texts.certification


@dataclass(frozen=True)
class _Stages:
    """Results on disk, each valid for the same inputs only."""

    folder: Path
    inputs: str

    def run(self, name: str, compute: Callable[[], tuple[dict[str, Any], dict[str, Tensor]]]) -> Calibration:
        """Return a stage's header and tensors, from disk when they are there."""
        path = self.folder / f"{name}.safetensors"
        if path.is_file():
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("inputs") == self.inputs:
                    tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
                    return Calibration(json.loads(metadata["header"]), tensors)
        header, tensors = compute()
        stored = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        metadata = {"inputs": self.inputs, "header": json.dumps(header)}
        write_atomic(path, lambda part: save_file(stored, part, metadata=metadata))
        return Calibration(header, tensors)


class _Work:
    """The stages, in order; each returns a header and tensors that join the calibration."""

    def __init__(
        self,
        language_model: LanguageModel,
        texts: Texts,
        stages: _Stages,
        tick: Callable[[int], object],
        min_sparsity: float,
        seed: int,
    ) -> None:
        self.model, self.layers = language_model.model, ffn_layers(language_model.model)
        self.texts, self.stages, self.tick = texts, stages, tick
        self.min_sparsity, self.seed, self.device = min_sparsity, seed, language_model.device

    def calibrate(self, bound: float, confidence: float) -> Calibration:
        """Run all stages."""
        weights = self.stages.run("sensitivity", self._sensitivity)
        fitted = self.stages.run("thresholds", lambda: self._thresholds(weights.tensors))
        prior = self.stages.run("prior", self._prior)
        baselines = self.stages.run("baselines", self._baselines)
        tensors = {**fitted.tensors, **prior.tensors, **baselines.tensors}
        offline = Calibration({**fitted.header, **baselines.header}, tensors).to(self.device)
        selection = self.texts.selection[:_SELECTION_TEXTS]
        chosen = self.stages.run(
            "online",
            lambda: choose_online(self.model, self.layers, offline, selection, self.min_sparsity, self.tick),
        )
        tensors = {**tensors, **chosen.tensors}
        calibration = Calibration({**offline.header, **chosen.header}, tensors)
        calibration.header["certificate"] = certify(
            self.model, self.layers, calibration.to(self.device), self.texts.certification,
            bound, confidence, self.min_sparsity, self.tick,
        )  # fmt: skip
        return calibration

    def _sensitivity(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        found = sensitivity(self.model, self.texts.statistics[:_SENSITIVITY_TEXTS], self.seed, self.tick)
        weights = {f"{site}_weights": _normalized(values) for site, values in found.weights.items()}
        return {}, {**weights, **{f"{site}_losses": values for site, values in found.losses.items()}}

    def _thresholds(self, found: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Allocate, fit thresholds layer by layer, and measure compensation and sparsity along the scale."""
        weights = {site: found[f"{site}_weights"].to(self.device) for site in SITES}
        bytes_of = [reads(ffn, SITES) for ffn in self.layers]
        rows = {INPUT: self.layers[0].hidden_size, HIDDEN: self.layers[0].intermediate_size}
        fractions = allocate(
            {site: found[f"{site}_losses"] for site in SITES},
            SHARES,
            {site: torch.tensor([rows[site] * b.row[site] for b in bytes_of]) for site in SITES},
            sum(b.total for b in bytes_of),
            self.min_sparsity,
        )
        fit = FitThresholds(
            empty_thresholds(SITES, len(self.layers), self.device), weights, fractions=fractions
        )
        tokens = self.texts.statistics[-_FIT_TEXTS:]
        measure(self.model, mean_loss(fit, self.layers), tokens)
        self.tick(tokens.numel())
        thresholds = {site: _as_stored(fit.thresholds[site]) for site in SITES}
        rule = Clada(thresholds, weights)
        bias, reached, errors = [torch.zeros(len(self.layers), self.layers[0].hidden_size)], [], []
        for scale in _SCALES:
            recorder = mean_loss(rule, self.layers)
            layerwise = measure(self.model, recorder, tokens[:_CURVE_TEXTS], scale)
            bias.append(recorder.bias.cpu())
            reached.append(float(layerwise.mean()))
            errors.append(float(recorder.relative_error.mean()))
            self.tick(tokens[:_CURVE_TEXTS].numel())
        header = {
            "curve": {"scale": list(_SCALES), "ffn_sparsity": reached, "relative_error": errors},
            "shares_dropped": {site: [round(v, 4) for v in fractions[site].tolist()] for site in SITES},
        }
        return header, {
            **{f"{site}_thresholds": thresholds[site] for site in SITES},
            **{f"{site}_weights": weights[site] for site in SITES},
            "bias": torch.stack(bias),
        }

    def _prior(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
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
        foreign = torch.stack(
            [prefix.standardized_rank(ffn.layer, prior[ffn.layer])[0] for ffn in self.layers]
        )
        return {}, {"prior": prior, "foreign_rank": foreign}

    def _baselines(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        tokens = self.texts.statistics[:_BASELINE_TEXTS]
        tables = fit_baselines(self.model, self.layers, tokens, self.tick)
        return {"baselines": {"ffn_sparsity": list(GRID), "tt_reach": TT_REACH}}, tables


def _normalized(weights: Tensor) -> Tensor:
    """Scale each layer's row weights to mean 1, so that thresholds have the size of activations."""
    return _as_stored(weights / weights.mean(dim=1, keepdim=True).clamp_min(1e-30))


def _as_stored(values: Tensor) -> Tensor:
    """Round as the artifact will, so that what is measured is what is shipped."""
    return values.half().float()
