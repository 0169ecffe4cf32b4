"""Random maps over electrodes and moments that hang together, for simulated studies."""

import mne
import numpy as np

from clada_neuro.erp.channels import directions

SMOOTH, DEGREES = 0.06, 35  # seconds and angle over which neighbours are alike


def fields(rng: np.random.Generator, info: mne.Info, times: np.ndarray, n: int) -> np.ndarray:
    """Return n maps (n, electrodes, moments) of variance 1, correlated over the scalp and over time."""
    vectors = directions(np.array([channel["loc"][:3] for channel in info["chs"]]))
    apart = np.degrees(np.arccos(np.clip(vectors @ vectors.T, -1, 1)))
    scalp = np.exp(-((apart / DEGREES) ** 2) / 2)
    course = np.exp(-(((times[:, None] - times) / SMOOTH) ** 2) / 2)
    rooted = [np.linalg.cholesky(part + 1e-8 * np.eye(len(part))) for part in (scalp, course)]
    return rooted[0] @ rng.standard_normal((n, len(scalp), len(course))) @ rooted[1].T
