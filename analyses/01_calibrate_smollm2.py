"""Make the calibration that ships for the embedded model, from C4 and Gutenberg text.

    python analyses/01_calibrate_smollm2.py [--tokens 65536]

The first 600 documents of the C4 sample serve calibration; later ones stay free for evaluation. Interrupted, the same
command goes on where it stopped.

The file that ships was made when a book was cut into pieces that counted as documents: 18 of its 48 certification texts
are from two books that thresholds had seen, too. Made anew, each book gives one text in at most one of the three parts.
"""

import argparse
import json
from pathlib import Path

from _shared.texts import c4_for_calibration, data_folder

from clada_neuro import calibrate, load_model


def documents() -> list[str]:
    books = [path.read_text(encoding="utf-8") for path in sorted(data_folder("gutenberg").glob("*.body.txt"))]
    return c4_for_calibration() + books


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=65_536)
    options = parser.parse_args()
    model = load_model("smollm2")
    out = Path(__file__).parent.parent / "data" / "calibration" / f"{model.weights_hash}.safetensors"
    calibration = calibrate(model, documents(), out, tokens=options.tokens)
    print(json.dumps(calibration.header["certificate"], indent=1))


if __name__ == "__main__":
    main()
