"""What is known about one window after the model has read it."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Measures:
    """Measures of one window, by input position.

    Attributes
    ----------
    predictions : dict of numpy.ndarray, each of shape (positions,)
        `information.MEASURES` of the prediction made *at* each position, for the token after it; NaN where not asked.
        Under a policy also ``kl_dense``, how far the prediction is from the dense one.
    activity : dict of numpy.ndarray, each of shape (positions, layers)
        `activity.MEASURES` of processing each position; under a policy also what it left uncomputed.
    signals : dict of numpy.ndarray, each of shape (positions,)
        The policy's own record of each position.
    """

    predictions: dict[str, np.ndarray]
    activity: dict[str, np.ndarray]
    signals: dict[str, np.ndarray] = field(default_factory=dict)
