"""Open a checkpoint with transformers, and refuse one that does not fill the model.

A weight that a checkpoint lacks gets random values from transformers, which says so in a log only: such a model
computes other numbers in every run. What its loader reports is therefore checked here.
"""

import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from clada_neuro.errors import ModelError
from clada_neuro.models.ggml import unknown_blocks

_NAMED = 3  # keys in a message
# While transformers makes a model, switches of the whole process are turned (how weights begin, which are tied, what is logged). Threads
# that do so side by side would leave them turned for every later model.
ONE_AT_A_TIME = RLock()
_MASKED = ("ForMaskedLM", "BertForPreTraining")  # the latter has the same head beside another


def load_part(kind: Any, name: str | Path, **source: Any) -> Any:
    """Call ``kind.from_pretrained(**source)``; whatever goes wrong there is one line about the model ``name``."""
    try:
        with quiet_transformers():
            return kind.from_pretrained(trust_remote_code=False, **source)
    except Exception as error:  # transformers and gguf raise every kind for files that make no model
        raise ModelError(f"model '{name}' cannot be loaded: {_reason(error, source)}") from error


def _reason(error: Exception, source: Mapping[str, Any]) -> str:
    """Return what keeps files from being a model, and what to do."""
    if "gguf_file" in source:
        unknown = unknown_blocks(Path(source["pretrained_model_name_or_path"]) / source["gguf_file"])
        if unknown is not None:
            return f"{unknown}; convert it to F16, Q8_0 or Q4_1 with llama.cpp"
    said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return f"{said}; give a checkpoint folder or name"


def kind_of(config: PreTrainedConfig) -> Any:
    """Return the class that opens a checkpoint: of masked models where it says that it is one, else of causal ones."""
    masked = any(name.endswith(_MASKED) for name in config.architectures or ())
    return AutoModelForMaskedLM if masked and not config.is_encoder_decoder else AutoModelForCausalLM


def load_weights(name: str | Path, kind: Any = AutoModelForCausalLM, **source: Any) -> PreTrainedModel:
    """Return the language model of a checkpoint, causal or of another `kind`, every weight of which the checkpoint holds.

    Raises
    ------
    ModelError
        If weights are missing or have other shapes than the configuration says.
    """
    model, report = load_part(kind, name, output_loading_info=True, ignore_mismatched_sizes=True, **source)
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if report["mismatched_keys"]:
        key, found, wanted = sorted(report["mismatched_keys"])[0]
        more = _more(len(report["mismatched_keys"]) - 1)
        raise ModelError(
            f"model '{name}': weight '{key}' has shape {tuple(found)}, its configuration says {tuple(wanted)}{more}; "
            "weights and configuration belong to different models"
        )
    if missing:
        beside = f", but has {_listed(unexpected)}" if unexpected else ""
        raise ModelError(
            f"model '{name}': the checkpoint lacks {_weights(len(missing))} of the model, {_listed(missing)}{beside}; "
            "save it whole and under the model's own names with model.save_pretrained(folder)"
        )
    if unexpected:
        warnings.warn(
            f"model '{name}': {_weights(len(unexpected))} of the checkpoint {'has' if len(unexpected) == 1 else 'have'} no place in the model and "
            f"{'is' if len(unexpected) == 1 else 'are'} not used, {_listed(unexpected)}",
            stacklevel=3,
        )
    return model


def _listed(keys: Collection[str]) -> str:
    return ", ".join(f"'{key}'" for key in list(keys)[:_NAMED]) + _more(len(keys) - _NAMED)


def _weights(count: int) -> str:
    return f"{count} weight{'s' * (count != 1)}"


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' bars and its table of keys out of scripts, reports and notebooks, in one thread at a time."""
    with ONE_AT_A_TIME:
        shown, verbosity = (
            transformers_logging.is_progress_bar_enabled(),
            transformers_logging.get_verbosity(),
        )
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        try:
            yield
        finally:
            transformers_logging.set_verbosity(verbosity)
            if shown:
                transformers_logging.enable_progress_bar()
