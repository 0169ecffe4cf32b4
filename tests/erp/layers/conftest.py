from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

LAYERS = (0, 2, 4, 6, 8, 10)


def _words_by_layer(
    n_items: int = 24, alike: float = 0.0, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    words = pd.DataFrame(
        {
            "stimulus_id": [f"t{k}" for k in range(2 * n_items)],
            "item": [f"i{k // 2}" for k in range(2 * n_items)],
            "word": [f"w{k}" for k in range(2 * n_items)],
            "word_index": 5,
            "is_critical": True,
            "length": rng.integers(3, 10, 2 * n_items).astype(float),
        }
    )
    state, rows = rng.normal(size=len(words)), []
    for layer in LAYERS:
        rows.append(words[["stimulus_id", "word_index"]].assign(layer=layer, lens_surprisal_bits=state))
        state = alike * state + np.sqrt(1 - alike**2) * rng.normal(size=len(words))
    return words, pd.concat(rows, ignore_index=True)


@pytest.fixture(scope="session")
def words_by_layer() -> Callable[..., tuple[pd.DataFrame, pd.DataFrame]]:
    """Return a maker of critical words and their measure in six layers; neighbours correlate by ``alike``."""
    return _words_by_layer
