"""Add tables of policies that came later to a finished calibration, and leave all else of it as it is."""

from collections.abc import Sequence
from pathlib import Path

from clada_neuro.artifacts import content_hash, output_folder
from clada_neuro.cache import Store
from clada_neuro.calibration.search import BASELINE_TEXTS, MOST_TEXTS
from clada_neuro.calibration.texts import divide
from clada_neuro.errors import CalibrationError
from clada_neuro.models.ggml import precision_of
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import policy_layers
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.pieces import PIECE
from clada_neuro.policies.artifact import Calibration, hashes
from clada_neuro.policies.aside import is_aside
from clada_neuro.policies.registry import without_aside, without_tables
from clada_neuro.progress import ProgressBar


def add_tables(
    language_model: LanguageModel,
    calibration: Calibration,
    documents: Sequence[str],
    folder: str | Path,
    *,
    tokens: int = 65_536,
    progress: bool = True,
) -> Calibration:
    """Fit the policies of which a calibration holds no tables, and tables too large for a file that this computer lacks.

    Parameters
    ----------
    language_model : LanguageModel
    calibration : Calibration
        Of that model.
    documents : sequence of str
        Those that the calibration was made from, or others that are not used to compare policies.
    folder : str or Path
        Keeps finished parts of an interrupted call.
    tokens : int
        As in `clada_neuro.calibration.search.calibrate`; the baselines' share of them is read.
    progress : bool

    Returns
    -------
    Calibration
        With more tables; every other one, the header and `Calibration.identity` are the same. The header's ``added`` names
        the policies, each with a hash of its tables.

    Raises
    ------
    CalibrationError
        If fewer than 12 documents are long enough, or a policy needs more than tables.
    """
    statistics = divide(language_model, documents, tokens, calibration.header["seed"]).statistics
    texts, more = statistics[:BASELINE_TEXTS], statistics[BASELINE_TEXTS:MOST_TEXTS]
    precision = f"torch.{precision_of(language_model.model)}"
    inputs = (calibration.identity, texts.tolist(), more.tolist(), precision)
    pieces = Store.of(output_folder(folder), __name__, *inputs, codec=PIECE)
    tensors, added = dict(calibration.tensors), dict(calibration.added)
    with ProgressBar(desc="fit policies", unit="tok", unit_scale=True, disable=not progress) as bar:
        passes = Passes(
            language_model.model,
            policy_layers(language_model.model),
            texts,
            pieces,
            bar.update,
            calibration.scope,
            more,
        )
        for declared in without_aside(calibration):
            assert declared.fit is not None
            _, tables = declared.fit(passes)
            tensors |= {name: tables[name] for name in declared.aside}
        for declared in without_tables(calibration):
            assert declared.fit is not None
            header, tables = declared.fit(passes)
            if header:  # they would be part of what decides
                raise CalibrationError(
                    f"policy '{declared.name}' needs {', '.join(header)} beside its tables, which a finished calibration "
                    "cannot be given without becoming another; calibrate again"
                )
            # What is hashed is what a file will hold.
            stored = {name: table.half().float() for name, table in tables.items() if not is_aside(name)}
            added[declared.name] = content_hash(hashes(stored))
            tensors |= {**tables, **stored}
    pieces.clear()
    return Calibration({**calibration.header, "added": added}, tensors)
