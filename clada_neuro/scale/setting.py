"""Model and policy by name: enough for any process to make the same measurer."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clada_neuro.models.origin import EMBEDDED

# PyTorch takes seconds to import: a setting can be made, and its input checked, without it.
if TYPE_CHECKING:
    from clada_neuro.instrument.measurer import ModelMeasurer
    from clada_neuro.models.loading import LanguageModel


@dataclass(frozen=True)
class Setting:
    """Model, policy and how they run: what decides every value, by name.

    Attributes
    ----------
    model, dtype, device, start_token, revision : str
        See `clada_neuro.load_model`.
    policy, sparsity, calibration, scope
        See `clada_neuro.policies.registry.policy_for`.
    language : str
        Of the word frequencies.
    top_k : int
        How many of the most probable tokens are recorded before each token.
    layers : str or None
        Of which layers words are measured one by one (`clada_neuro.trace`).
    attention, translators : bool, path or None
        What of these layers beyond the usual (`clada_neuro.trace`).
    threads : int or None
        Of the model on a CPU; None leaves torch's own choice (``OMP_NUM_THREADS``, else every core).
    folder : str
        Where relative paths start.
    """

    model: str = EMBEDDED
    dtype: str = "float32"
    device: str = "auto"
    start_token: str = "auto"
    policy: str = "dense"
    sparsity: float = 0.4
    calibration: str | Path | None = None
    language: str = "en"
    top_k: int = 0
    threads: int | None = None
    folder: str = ""
    revision: str | None = None
    layers: str | None = None
    attention: bool = False
    translators: str | Path | None = None
    scope: str = "ffn"

    def everywhere(self) -> "Setting":
        """Return the setting with what this process decides written out, so that another decides the same."""
        import torch

        return replace(self, threads=self.threads or torch.get_num_threads(), folder=str(Path.cwd()))

    def of_model(self) -> "Setting":
        """Return the setting with only what decides the model."""
        return Setting(
            self.model,
            self.dtype,
            self.device,
            self.start_token,
            threads=self.threads,
            folder=self.folder,
            revision=self.revision,
        )

    def load(self) -> "LanguageModel":
        """Load the model and give it its threads, in this process."""
        import torch

        from clada_neuro.models.loading import load_model

        if self.threads:
            torch.set_num_threads(self.threads)
        how = {"dtype": self.dtype, "device": self.device, "start_token": self.start_token}
        model = load_model(self._place(), revision=self.revision, **how)
        return replace(model, name=self.model)

    def measurer(self, progress: bool = True, model: "LanguageModel | None" = None) -> "ModelMeasurer":
        """Load model, unless it is there, and policy, ready to measure in this process."""
        from clada_neuro.calibration.cutoffs import hidden_cutoffs
        from clada_neuro.instrument.covariates import check_language
        from clada_neuro.instrument.layer_choice import read_choice
        from clada_neuro.instrument.measurer import ModelMeasurer
        from clada_neuro.policies.registry import check_scope, policy_for

        check_language(self.language)
        check_scope(self.policy, self.scope)
        translators = Path(self.folder, self.translators) if self.translators else None
        choice = read_choice(self.layers, self.policy != "dense", self.attention, translators)
        model = model or self.load()
        calibration = Path(self.folder, self.calibration) if self.calibration else None
        policy = cutoffs = None
        if self.policy == "dense":
            cutoffs = hidden_cutoffs(model, self.sparsity, calibration, self.scope)
        else:
            policy = policy_for(model, self.policy, self.sparsity, calibration, self.scope)
        return ModelMeasurer(model, policy, self.language, progress, self.top_k, cutoffs, choice)

    def _place(self) -> str:
        place = Path(self.folder, self.model)
        return str(place) if self.model != EMBEDDED and place.exists() else self.model
