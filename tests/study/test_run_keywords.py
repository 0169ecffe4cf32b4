"""What is said to `run` reaches whoever reads targets and stimuli: keywords are handed on by name, none is lost."""

from dataclasses import fields
from inspect import signature

from clada_neuro.scale.setting import Setting
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.study.fitting import Fitting
from clada_neuro.study.how import How
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.run import _handed_on, _record, run


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


def test_records_hold_keywords_under_their_names():
    known = signature(run).parameters
    made = {Setting: {"folder", "top_k"}, How: {"setting", "models", "decided"}, Fitting: set()}
    for kind, others in made.items():
        assert {field.name for field in fields(kind)} - set(known) == others
    same = {field.name: field.default for field in fields(Setting)} | {"language": None, "model": None}
    assert all(known[name].default == same[name] for name in set(same) & set(known))
    found = _record(How, {name: name for name in known}, setting=1, models=(), decided={}, jobs=2)
    assert (found.full, found.influence, found.maps, found.jobs) == ("full", "influence", "maps", 2)
