"""Errors that a user can act on.

Each message is one line: what arrived, what was expected, what to do. The command line prints it and
exits with code 2; any other exception is a defect and exits with 1.
"""


class CladaNeuroError(Exception):
    """Something in the user's input or environment must change before the work can go on."""


class StimulusError(CladaNeuroError):
    """A stimulus file cannot be read or a stimulus contradicts itself."""


class AlignmentError(CladaNeuroError):
    """Words, tokens or trials cannot be matched."""


class ModelError(CladaNeuroError):
    """A model, tokenizer or policy cannot be loaded or is not supported."""


class CalibrationError(CladaNeuroError):
    """A calibration is missing, belongs to another model, or cannot hold its bound."""


class FitError(CladaNeuroError):
    """A regression cannot be specified or estimated."""


class DataError(CladaNeuroError):
    """A data set, table or output folder is missing, damaged or of another version."""


class ArgumentError(CladaNeuroError, TypeError):
    """A public function was called with an argument of a wrong kind, an unknown one, or one too few."""


class IncompleteError(CladaNeuroError):
    """Part of the work failed; the rest was delivered and the same command tries the missing part again."""


def did_you_mean(name: str, known: list[str], likeness: float = 0.6) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known name of at least this likeness, else an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1, cutoff=likeness)
    return f" (did you mean '{close[0]}'?)" if close else ""
