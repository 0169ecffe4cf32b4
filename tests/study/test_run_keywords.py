"""What is said to `run` reaches whoever reads targets and stimuli: keywords are handed on by name, none is lost."""

from dataclasses import fields
from inspect import signature

from clada_neuro.scale.setting import Setting
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.study.asked import Asked
from clada_neuro.study.fitting import Fitting
from clada_neuro.study.how import How
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.response_files import ResponseFiles
from clada_neuro.study.run import _reading, _record, run


def test_every_keyword_of_targets_and_of_stimulus_files_is_one_of_run():
    known, own = signature(run).parameters, signature(resolve_target).parameters
    assert set(own) - set(known) == {"files", "asked", "reading"}  # the two records, and how stimuli are read
    assert set(signature(Asked.of).parameters) - set(known) == {"fitting"}
    names = set(signature(read_stimuli).parameters)
    assert names - set(known) == {"source"}
    given = {name: object() for name in known}
    handed = _reading(given)
    assert set(handed) == names & set(known)
    assert all(handed[name] is given[name] for name in handed)


def test_records_hold_keywords_under_their_names():
    known = signature(run).parameters
    made = {Setting: {"folder", "top_k"}, How: {"setting", "models", "decided"}, Fitting: set(), ResponseFiles: {"measured"}}  # fmt: skip
    for kind, others in made.items():
        assert {field.name for field in fields(kind)} - set(known) == others
    for kind, own in ((Setting, {"language", "model"}), (ResponseFiles, set()), (Fitting, {"contrasts"})):
        same = {field.name: field.default for field in fields(kind) if field.name in set(known) - own}
        assert same == {name: known[name].default for name in same}
    found = _record(How, {name: name for name in known}, setting=1, models=(), decided={}, jobs=2)
    assert (found.full, found.influence, found.maps, found.jobs) == ("full", "influence", "maps", 2)
