from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from clada_neuro.erp.simulate_eeg import EpochSimulation, simulate_epochs


def _critical_words(n_items: int = 80, n_conditions: int = 3, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = n_items * n_conditions
    return pd.DataFrame(
        {
            "stimulus_id": [f"t{i}" for i in range(n)],
            "item": [f"i{i // n_conditions}" for i in range(n)],
            "condition": [f"c{i % n_conditions}" for i in range(n)],
            "word": [f"w{i}" for i in range(n)],
            "word_index": 5,
            "is_critical": True,
            "surprisal_bits": rng.gamma(3, 3, n),
            "sparsity_energy99": rng.normal(0.6, 0.05, n),
            "adjustment_prev": rng.beta(5, 5, n),
        }
    )


@pytest.fixture(scope="session")
def critical_words() -> Callable[..., pd.DataFrame]:
    """Return a maker of words tables: one critical word per text."""
    return _critical_words


@pytest.fixture(scope="session")
def words() -> pd.DataFrame:
    """Return 120 critical words, two versions of 60 items."""
    return _critical_words(60, 2)


@pytest.fixture(scope="session")
def simulated(words: pd.DataFrame) -> EpochSimulation:
    """Return ten subjects' epochs on those words; copy before changing them."""
    return simulate_epochs(words, n_subjects=10, seed=3)
