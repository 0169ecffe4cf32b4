"""Make the calibrations that ship for the embedded model, from C4 and Gutenberg text.

    python analyses/01_calibrate_smollm2.py [--tokens 65536] [--scope all]
    python analyses/01_calibrate_smollm2.py --certificate [--documents 48] [--scope all]
    python analyses/01_calibrate_smollm2.py --add
    python analyses/01_calibrate_smollm2.py --added

The first 600 documents of the C4 sample serve calibration; later ones stay free. Interrupted, the same command goes on
where it stopped.

The file of scope ``ffn`` that ships has thresholds from a time when a book was cut into pieces that counted as documents, so that two books
were in its certificate, too. Its certificate was stated again with ``--certificate``: on the first 48 documents of the
sample from the 601st on that have 256 tokens, one text of each; of none of them had thresholds or choices seen anything. Tables of policies that came later were added with ``--add``,
from texts of the first 600 documents and books; all else stayed as it was. ``--add`` also makes what is too large for the file (LaRoSA's rotations) on a
computer that lacks it. ``--added`` prints what these tables come to. The
file of scope ``all`` came in one piece, with the first command.
"""

import argparse
import json
from pathlib import Path

import torch
from _shared.texts import books, c4_for_calibration, c4_for_measuring

from clada_neuro import calibrate, load_model
from clada_neuro.calibration.additions import add_tables
from clada_neuro.calibration.certify import certify_anew
from clada_neuro.passes.fitting import GRID
from clada_neuro.policies.artifact import Calibration, load_calibration, shipped_calibration
from clada_neuro.policies.attribution import Attribution
from clada_neuro.policies.r_sparse import RSparse
from clada_neuro.policies.scap import Scap
from clada_neuro.runtime.policy import FFN_ONLY, SCOPES


def documents() -> list[str]:
    return c4_for_calibration() + books()


def added_facts(calibration: Calibration) -> dict[str, float]:
    """Return where SCAP's modes lie, how much the gradient of attribution adds to a magnitude, and R-Sparse's ranks at 0.4."""
    tensors = calibration.tensors
    modes = torch.cat([tensors[f"scap_{site}_mode"] for site in Scap.sites])
    tilts = torch.cat([tensors[f"attribution_{site}_tilt"].flatten() for site in Attribution.sites]).abs()
    ranks = torch.stack([tensors[f"r-sparse_{site}_rank"][GRID.index(0.4)] for site in RSparse.sites])
    return {
        "r_sparse_ranks": ranks.numel(),
        "r_sparse_ranks_above_0": int((ranks > 0).sum()),
        "r_sparse_highest_rank": int(ranks.max()),
        "scap_modes": len(modes),
        "scap_modes_of_0": int((modes == 0).sum()),
        "scap_highest_mode": float(modes.abs().max()),
        "attribution_median_tilt": float(tilts.median()),
        "attribution_highest_tilt": float(tilts.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument(
        "--certificate", action="store_true", help="state the shipped file's certificate again"
    )
    parser.add_argument("--documents", type=int, default=48, help="of a certificate that is stated again")
    parser.add_argument("--add", action="store_true", help="add tables of policies that the file lacks")
    parser.add_argument("--added", action="store_true", help="print what the added tables come to")
    parser.add_argument(
        "--scope",
        choices=SCOPES,
        default=FFN_ONLY,
        help="of the file: feed-forward weights, or all linear ones",
    )
    options = parser.parse_args()
    model = load_model("smollm2")
    file = shipped_calibration(model.weights_hash, options.scope).name
    out = Path(__file__).parent.parent / "data" / "calibration" / file
    parts = out.with_name(f"{out.name}.parts")
    if options.added:
        print(json.dumps(added_facts(load_calibration(model, out)), indent=1))
        return
    if options.add:
        calibration = add_tables(
            model, load_calibration(model, out, options.scope), documents(), parts, tokens=options.tokens
        )
        calibration.save(out)
        print(json.dumps(calibration.added, indent=1))
        return
    if options.certificate:
        calibration = certify_anew(
            model,
            load_calibration(model, out, options.scope),
            c4_for_measuring(),
            parts,
            texts=options.documents,
        )
        calibration.save(out)
    else:
        calibration = calibrate(model, documents(), out, scope=options.scope, tokens=options.tokens)
    print(json.dumps(calibration.header["certificate"], indent=1))


if __name__ == "__main__":
    main()
