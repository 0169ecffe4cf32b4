"""What is said to `run` reaches whoever reads targets and stimuli: keywords are handed on by name, none is lost."""

from inspect import signature

from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.run import _handed_on, run


def test_every_keyword_of_targets_and_of_stimulus_files_is_one_of_run():
    known, own = signature(run).parameters, signature(resolve_target).parameters
    # Made of windows and electrodes, of how regressions are fitted, and of all that is left.
    assert set(own) - set(known) == {"measured", "fitting", "reading"}
    assert set(signature(read_stimuli).parameters) - set(known) == {"source"}
    given = {name: object() for name in known}
    handed = _handed_on(given)
    assert set(handed) == (set(own) | set(signature(read_stimuli).parameters)) & set(known)
    assert all(handed[name] is given[name] for name in handed)


def test_what_is_not_said_means_the_same_to_both():
    known, own = signature(run).parameters, signature(resolve_target).parameters
    shared = set(own) & set(known) - {"target"}
    assert {name: known[name].default for name in shared} == {name: own[name].default for name in shared}
