"""A calibration as one safetensors file whose header says what it was made from and for which weights.

The calibrations of the embedded model ship with the package, one a scope. A file made for other weights is refused: thresholds of
another model select at random and look almost plausible.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clada_neuro.artifacts import content_hash, package_data, write_atomic
from clada_neuro.errors import CalibrationError
from clada_neuro.models.loading import LanguageModel
from clada_neuro.policies.aside import is_aside, keep_aside
from clada_neuro.runtime.policy import FFN_ONLY, SHARE

FORMAT = 1
MAX_BYTES = 2_000_000
_KEY = "clada_neuro_calibration"


@dataclass(frozen=True, eq=False)
class Calibration:
    """What `calibration.search.calibrate` found.

    Attributes
    ----------
    header : dict
        JSON document: ``weights_hash``, texts, seed, versions, the sparsity curve, what was chosen for prefix, load and
        reanalysis and how it compared, and the certified bound or the frontier.
    tensors : dict of str to Tensor
        float16 on disk, float32 here; those that are too large for the file only where they were just fitted.
    """

    header: dict[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def scope(self) -> str:
        """What its sparsity is a share of: feed-forward blocks (``ffn``), or all linear maps of the layers (``all``)."""
        return self.header.get("scope", FFN_ONLY)

    @property
    def share(self) -> str:
        """What that share is called in the header."""
        return SHARE[self.scope]

    @property
    def identity(self) -> str:
        """Hash of all that decides what is computed; a certificate only says what that costs.

        Tables of policies that were added later (`added`) have a hash of their own: what was computed before goes on
        belonging to this calibration.
        """
        decides = {key: value for key, value in self.header.items() if key not in ("certificate", "added")}
        later = tuple(f"{name}_" for name in self.added)
        first = {
            name: tensor
            for name, tensor in self.tensors.items()
            if not name.startswith(later) and not is_aside(name)
        }
        return content_hash(decides, hashes(first))

    @property
    def added(self) -> dict[str, str]:
        """Policies whose tables were added to a finished calibration, each with the hash of its tables."""
        return self.header.get("added", {})

    def save(self, path: str | Path) -> Path:
        """Write the file atomically, and keep aside what is too large for it (`clada_neuro.policies.aside`)."""
        keep_aside(self.header, self.tensors)
        stored = {
            name: tensor.detach().cpu().half().contiguous()
            for name, tensor in self.tensors.items()
            if not is_aside(name)
        }
        metadata = {_KEY: json.dumps(self.header)}
        return write_atomic(path, lambda part: save_file(stored, part, metadata=metadata))

    def __repr__(self) -> str:
        certified = self.header["certificate"][self.share]
        held = f"bound held at {self.share} {certified:g}" if certified else "bound not held"
        return f"Calibration({self.header['model']}, load gain {self.header['load']['kappa']:g}, {held})"

    def _repr_html_(self) -> str:
        certificate = self.header["certificate"]
        frontier = pd.DataFrame(certificate["frontier"]).to_html(index=False, border=0)
        reason = f"<p>{escape(certificate['reason'])}</p>" if certificate["reason"] else ""
        unseen = "documents that no choice has seen"
        if "texts" not in certificate:  # made when pieces of a book counted as documents
            unseen = "texts that no choice has seen, some of them pieces of works that it has"
        return (
            f"<p>{escape(repr(self))}</p><p>Rise of loss over dense, in nats per token, on "
            f"{certificate['documents']} {unseen}; the upper bound has confidence "
            f"{certificate['confidence']:g}, its limit is {certificate['bound_nats']:g}:</p>{frontier}{reason}"
        )

    def scale_for(self, sparsity: float) -> float:
        """Return the threshold scale at which mean sparsity meets its target, without load.

        Raises
        ------
        CalibrationError
            If the target lies outside the calibrated curve.
        """
        curve = self.header["curve"]
        reached = [0.0, *curve[self.share]]
        check_reach(sparsity, reached[-1], "this calibration")
        return float(np.interp(sparsity, reached, [0.0, *curve["scale"]]))

    def uncovered(self, sparsity: float) -> str | None:
        """Return what is known of the loss at a sparsity that the certificate does not cover; None for one that it does."""
        certificate = self.header["certificate"]
        held = certificate[self.share]
        if held is not None and sparsity <= held + 1e-9:
            return None
        rows = sorted(certificate["frontier"], key=lambda row: abs(row["asked"] - sparsity))
        near = (
            f"at {rows[0]['asked']:g} it measured +{rows[0]['loss_nats']:.3f} nats per token (upper bound "
            f"{rows[0]['upper_bound_nats']:.3f} at confidence {certificate['confidence']:g})"
        )
        covers = "no sparsity that was tested in order" if held is None else f"{self.share} up to {held:g}"
        return (
            f"sparsity {sparsity:g} asked for, the certificate (loss up to {certificate['bound_nats']:g} nats per token) "
            f"covers {covers}; {near}"
        )

    def to(self, device: torch.device) -> "Calibration":
        """Return the calibration with its tensors on a device."""
        return Calibration(self.header, {name: tensor.to(device) for name, tensor in self.tensors.items()})


def hashes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return a hash of each tensor."""
    return {
        name: hashlib.sha256(tensor.cpu().numpy().tobytes()).hexdigest() for name, tensor in tensors.items()
    }


def check_reach(sparsity: float, reach: float, what: str) -> None:
    """Raise `CalibrationError` unless a sparsity lies within reach; the limit that is printed does."""
    if not 0 <= sparsity <= reach:
        limit = math.floor(1000 * reach + 1e-6) / 1000
        raise CalibrationError(
            f"sparsity {sparsity:g} asked for, {what} reaches 0 to {limit:g}; choose one inside"
        )


def load_calibration(
    language_model: LanguageModel, path: str | Path | None = None, scope: str = FFN_ONLY
) -> Calibration:
    """Read a calibration and check that it belongs to the model and has the scope.

    Parameters
    ----------
    language_model : LanguageModel
    path : str or Path, optional
        Default: the one shipped for these weights and the scope.
    scope : {"ffn", "all"}

    Raises
    ------
    CalibrationError
        If there is none, it is damaged, of another format or scope, or made for other weights.
    """
    if path is None:
        path = shipped_calibration(language_model.weights_hash, scope)
        if not path.is_file():
            of, option = ("", "") if scope == FFN_ONLY else (f" of scope {scope}", f" --scope {scope}")
            raise CalibrationError(
                f"no calibration{of} ships for model '{language_model.name}'; make one with: "
                f"clada-neuro calibrate --model {language_model.name}{option} --text FILE --out FILE, and pass --calibration"
            )
    calibration = read_calibration(path)
    made_for = calibration.header["weights_hash"]
    if made_for != language_model.weights_hash:
        raise CalibrationError(
            f"calibration '{path}' was made for weights {made_for} ({calibration.header.get('model')}), "
            f"model '{language_model.name}' has weights {language_model.weights_hash}; calibrate this model"
        )
    if calibration.scope != scope:
        raise CalibrationError(
            f"calibration '{path}' was made for scope {calibration.scope}, scope {scope} asked for; give --scope "
            f"{calibration.scope}, or a calibration made with --scope {scope}"
        )
    return calibration.to(language_model.device)


def shipped_calibration(weights_hash: str, scope: str = FFN_ONLY) -> Path:
    """Return where the calibration of these weights and this scope lies if one ships with the package."""
    of = "" if scope == FFN_ONLY else f".{scope}"
    return package_data("calibration", f"{weights_hash}{of}.safetensors")


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file, whatever model it belongs to."""
    try:
        with safe_open(path, framework="pt") as file:
            document = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise CalibrationError(f"calibration '{path}' cannot be read: {error}; make it again") from error
    if document is None:
        raise CalibrationError(
            f"'{path}' is a safetensors file but no calibration; give one that `calibrate` wrote"
        )
    header = json.loads(document)
    if header.get("format") != FORMAT:
        raise CalibrationError(
            f"calibration '{path}' has format {header.get('format')}, {FORMAT} expected; make it again"
        )
    return Calibration(header, tensors)
