"""Policies that came later join a finished calibration, and nothing that was there moves."""

import json
from dataclasses import replace

import pytest
import torch
from calibration.test_search import documents, language_model

from clada_neuro.artifacts import package_data
from clada_neuro.calibration import search, texts
from clada_neuro.calibration.additions import add_tables
from clada_neuro.errors import CalibrationError
from clada_neuro.evaluation.contestants import contestants
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.artifact import Calibration, load_calibration, read_calibration
from clada_neuro.policies.registry import make_policy, without_aside, without_tables

LATER = ("chess", "m-countdown", "wina-orthogonal", "attribution", "scap", "larosa", "r-sparse", "wisparse")
TOP = ("larosa", "wina-orthogonal")  # keep as many rows of each token, without thresholds


def of_before(calibration: Calibration) -> Calibration:
    """The calibration as it was made when these policies were not there."""
    kept = {name: t for name, t in calibration.tensors.items() if not name.startswith(LATER)}
    return replace(calibration, tensors=kept)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, its calibration from before, and the file to which policies were added."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (texts, search):
            patch.setattr(module, "LENGTH", 64)
        folder, model = tmp_path_factory.mktemp("added"), language_model()
        whole = search.calibrate(model, documents(), folder / "c.safetensors", tokens=64 * 48, progress=False)
        of_before(whole).save(folder / "before.safetensors")
        before = load_calibration(model, folder / "before.safetensors")
        found = add_tables(model, before, documents(), folder / "parts", tokens=64 * 48, progress=False)
        found.save(folder / "after.safetensors")
        yield model, before, folder


def test_only_what_is_missing_is_added_and_the_rest_is_bit_equal(made) -> None:
    model, before, folder = made
    assert [declared.name for declared in without_tables(before)] == list(LATER)
    after = load_calibration(model, folder / "after.safetensors")
    assert without_tables(after) == []
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())
    assert {name.split("_")[0] for name in set(after.tensors) - set(before.tensors)} == set(LATER)
    assert {**after.header, "added": None} == {**before.header, "added": None}
    assert set(after.added) == set(LATER)


def test_what_was_computed_before_belongs_to_the_same_calibration(made) -> None:
    model, before, folder = made
    after = load_calibration(model, folder / "after.safetensors")
    assert after.identity == before.identity
    moved = {**after.tensors, "hidden_thresholds": after.tensors["hidden_thresholds"] * 1.01}
    assert replace(after, tensors=moved).identity != before.identity


def test_added_tables_are_those_of_a_whole_calibration(made) -> None:
    model, _, folder = made
    whole, after = (load_calibration(model, folder / f"{name}.safetensors") for name in ("c", "after"))
    for name in set(after.tensors):
        assert torch.equal(after.tensors[name], whole.tensors[name]), name
    layers = ffn_layers(model.model)
    for name in LATER:
        rules = [make_policy(name, layers, calibration, 0.4) for calibration in (whole, after)]
        held = "dropped" if name in TOP else "thresholds"
        site = rules[0].sites[0]
        torch.testing.assert_close(*(getattr(rule, held)[site] for rule in rules))


def test_rotations_lie_beside_the_file_on_this_computer_alone(made, tmp_path, monkeypatch) -> None:
    model, _, folder = made
    after = load_calibration(model, folder / "after.safetensors")
    assert not [name for name in after.tensors if "rotation" in name]
    layers = ffn_layers(model.model)
    rotation = make_policy("larosa", layers, after, 0.4).rotation
    assert rotation.dtype == torch.float32
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(24).expand(2, -1, -1), rtol=0, atol=1e-5)
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path))
    assert [declared.name for declared in without_aside(after)] == ["larosa"]
    with pytest.raises(
        CalibrationError,
        match=r"policy 'larosa' needs a table that is too large.*; calibrate here with clada-neuro calibrate",
    ):
        make_policy("larosa", layers, after, 0.4)
    held = add_tables(model, after, documents(), tmp_path / "parts", tokens=64 * 48, progress=False)
    assert (held.identity, held.header) == (after.identity, after.header)
    assert set(held.tensors) - set(after.tensors) == {"larosa_rotation_aside"}
    held.save(tmp_path / "copy.safetensors")
    assert without_aside(after) == []
    assert torch.equal(make_policy("larosa", layers, after, 0.4).rotation, rotation)


def test_a_policy_that_needs_more_than_tables_is_refused_by_name(made) -> None:
    model, _, folder = made
    whole = load_calibration(model, folder / "c.safetensors")
    lacking = replace(
        whole, tensors={name: t for name, t in whole.tensors.items() if not name.startswith("tt_")}
    )
    assert [declared.name for declared in without_tables(lacking)] == ["tt"]
    with pytest.raises(
        CalibrationError, match=r"policy 'tt' needs tt_reach beside its tables.*; calibrate again"
    ):
        add_tables(model, lacking, documents(), folder / "refused", tokens=64 * 48, progress=False)


def test_results_of_added_policies_are_told_apart_by_their_own_tables(made) -> None:
    model, _, folder = made
    found = contestants(model, ["clada", "scap"], [0.4], folder / "after.safetensors")
    assert [one.added for one in found] == [
        None,
        read_calibration(folder / "after.safetensors").added["scap"],
    ]
    assert len({one.calibration for one in found}) == 1


def test_a_calibration_of_before_says_what_it_lacks(made) -> None:
    model, before, _ = made
    with pytest.raises(
        CalibrationError, match=r"nothing of policy 'scap' \(input, hidden\): it was made before"
    ):
        make_policy("scap", ffn_layers(model.model), before, 0.4)


def test_the_shipped_calibration_is_the_one_that_results_were_made_with() -> None:
    (path,) = (one for one in package_data("calibration").glob("*.safetensors") if ".all" not in one.suffixes)
    shipped = read_calibration(path)
    assert shipped.identity == "dab7305145f80712"  # as analyses/results/zero_shot/zero_shot.md has it
    assert set(shipped.added) == set(LATER)
    json.dumps(shipped.header)
