"""Make the calibration that ships for the embedded model, from C4 and Gutenberg text.

    python analyses/01_calibrate_smollm2.py [--tokens 65536]

The first 600 documents of the C4 sample serve calibration; later ones stay free for evaluation. Interrupted, the same
command goes on where it stopped.
"""

import argparse
import json
import os
from pathlib import Path

from clada_neuro import calibrate, load_model
from clada_neuro.calibration.texts import split_documents

C4_CALIBRATION = 600
GUTENBERG_PIECES = 200


def documents() -> list[str]:
    folders = [Path(part) for part in os.environ["CLADA_NEURO_DATA"].split(os.pathsep)]
    root = next(folder for folder in folders if (folder / "c4_sample").is_dir())
    lines = (root / "c4_sample" / "c4_sample.jsonl").read_text(encoding="utf-8").splitlines()
    c4 = [json.loads(line)["text"] for line in lines[:C4_CALIBRATION]]
    books = [path.read_text(encoding="utf-8") for path in sorted((root / "gutenberg").glob("*.body.txt"))]
    pieces = [piece for book in books for piece in split_documents(book)[: GUTENBERG_PIECES // len(books)]]
    return c4 + pieces


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
