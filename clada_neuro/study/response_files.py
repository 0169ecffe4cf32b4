"""What the caller says of the responses to a stimulus file: where they are, and how they are read and joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clada_neuro.responses.unmatched import MAX_LOST
from clada_neuro.stats.specification import EpochsSpecification


@dataclass(frozen=True)
class ResponseFiles:
    """Where responses are, and how they are read and joined with words; the fields are keywords of `clada_neuro.run`.

    Attributes
    ----------
    trials, epochs : path
        A table of trials, or MNE epochs; one of both for a stimulus file, neither for a name.
    measured : EpochsSpecification
        How amplitudes are taken from epochs, where it differs from the analysis.
    trial_columns, trial_index_base, trial_encoding, trial_sheet
        How trials are read.
    where : str or sequence of str
        Conditions that trials must meet.
    max_lost : float
        The largest share of trials that may stay without a word.
    """

    trials: str | Path | None = None
    epochs: str | Path | None = None
    measured: EpochsSpecification | None = None
    trial_columns: Mapping[str, str] | None = None
    trial_index_base: int | None = None
    trial_encoding: str | None = None
    trial_sheet: str | None = None
    where: str | Sequence[str] | None = None
    max_lost: float = MAX_LOST

    @property
    def given(self) -> dict[str, object]:
        """What is of files only, by keyword."""
        return {
            "trials": self.trials, "epochs": self.epochs, "trial_columns": self.trial_columns,
            "trial_index_base": self.trial_index_base, "trial_encoding": self.trial_encoding, "trial_sheet": self.trial_sheet,
        }  # fmt: skip

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions that trials must meet."""
        return (self.where,) if isinstance(self.where, str) else tuple(self.where or ())
