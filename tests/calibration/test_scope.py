"""A calibration of scope ``all``: attention's rows under the same scores, allocation, compensation and certificate."""

import json
from dataclasses import replace

import pytest
import torch
from calibration.test_search import Letters, documents, language_model
from tiny_models import tiny_model

from clada_neuro.calibration import search, texts
from clada_neuro.calibration.additions import add_tables
from clada_neuro.calibration.row_worth import SHARES, sensitivity
from clada_neuro.errors import CalibrationError, ModelError
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.policies.registry import DECLARED, make_policy, policy_for, without_tables
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import SITES
from clada_neuro.runtime.scoring import score

ABLE = [name for name, declared in DECLARED.items() if "all" in declared.scopes]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def whole(request, tmp_path_factory):
    """A model and a file of scope all."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (texts, search):
            patch.setattr(module, "LENGTH", 64)
        path = tmp_path_factory.mktemp("whole") / "all.safetensors"
        model = language_model(request.param)
        search.calibrate(model, documents(), path, scope="all", tokens=64 * 48, progress=False)
        yield model, path


def test_policies_meet_their_share_of_all_linear_bytes_on_new_text(whole) -> None:
    model, path = whole
    calibration = load_calibration(model, path, "all")
    fresh = [[0, *Letters()(text).input_ids[:63]] for text in documents(seed=1)]
    assert {"dense", "clada", "no-load", "random-load", "teal", "wina"} <= set(ABLE)
    for name in ABLE:
        target = 0.0 if name == "dense" else 0.4
        found = score(
            model.model, make_policy(name, ffn_layers(model.model), calibration, target), fresh, prefix=32
        )
        mean = float(torch.cat([one.sparsity[32:] for one in found]).mean())
        assert mean == pytest.approx(target, abs=0.02), name
        if target:
            # Every site leaves out a part of its rows, none all of them.
            shares = {
                site: float(torch.cat([one.dropped[site][32:] for one in found]).mean())
                for site in SITES["all"]
            }
            assert all(0.05 < share < 0.95 for share in shares.values()), (name, shares)


def test_the_header_names_scope_and_share(whole) -> None:
    model, path = whole
    calibration = load_calibration(model, path, "all")
    header = calibration.header
    assert (calibration.scope, calibration.share) == ("all", "linear_sparsity")
    assert header["curve"]["linear_sparsity"] == sorted(header["curve"]["linear_sparsity"])
    assert set(header["shares_dropped"]) == set(SITES["all"])
    assert all("linear_sparsity" in row for row in header["certificate"]["frontier"])
    assert "ffn_sparsity" not in json.dumps(header)
    assert "linear_sparsity" in repr(calibration)
    assert without_tables(calibration) == []
    assert not any(name.startswith(("cats", "tt", "scap", "attribution")) for name in calibration.tensors)


def test_nothing_asked_for_is_the_plain_model(whole) -> None:
    model, path = whole
    policy = make_policy("clada", ffn_layers(model.model), load_calibration(model, path, "all"), 0.0)
    ids = [0, *range(5, 45)]
    sparse, dense = (
        score(model.model, one, [ids], prefix=4)[0].surprisal_bits[1:]
        for one in (policy, make_policy("dense", [], None))
    )
    torch.testing.assert_close(sparse, dense, rtol=1e-4, atol=1e-4)


def test_compensation_of_attention_is_the_mean_of_what_its_maps_lose(whole) -> None:
    """On calibration text: what the maps give with it is right on average, without it is not."""
    model, path = whole
    calibration = load_calibration(model, path, "all")
    policy = make_policy("no-load", ffn_layers(model.model), calibration, 0.4)
    without = replace(policy, mean_at={})
    maps = ffn_layers(model.model)[0].attention
    ids = torch.tensor([[0, *Letters()(text).input_ids[:63]] for text in documents()])

    def mean_error(rule) -> float:
        given: list[torch.Tensor] = []
        lost: list[torch.Tensor] = []
        weight = maps.qkv_weight
        with attach(model.model, rule) as session, torch.no_grad():
            hook = maps.qkv[0].register_forward_pre_hook(lambda m, args: given.append(args[0]))
            session.begin(len(ids))
            scale = torch.full(ids.shape, rule.base_scale)
            scale[:, :32] = 0
            session.plan(scale, torch.zeros(ids.shape, dtype=torch.bool))
            dense: list[torch.Tensor] = []
            unmasked = model.model.get_submodule(
                "model.layers.0.input_layernorm" if "llama" in model.name else "transformer.h.0.ln_1"
            ).register_forward_hook(lambda m, a, y: dense.append(y))
            model.model(ids)
            lost.append(((dense[0] - given[0]) @ weight.t())[:, 32:].mean((0, 1)))
            hook.remove(), unmasked.remove()
            stands_in = rule.attention_compensation(0, "qkv", session.state)
        stands_in = 0 if stands_in is None else stands_in[:, 32:].mean((0, 1))
        return float((lost[0] - stands_in).norm() / lost[0].norm())

    assert mean_error(policy) < 0.5 < mean_error(without)


def test_scopes_do_not_mix(whole, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = whole
    with pytest.raises(
        CalibrationError, match=r"was made for scope all, scope ffn asked for; give --scope all"
    ):
        load_calibration(model, path)
    with pytest.raises(CalibrationError, match=r"no calibration of scope all ships .*--scope all --text"):
        load_calibration(model, None, "all")
    with pytest.raises(
        CalibrationError, match=r"policy 'cats' leaves attention dense; with scope all there are dense, clada"
    ):
        make_policy("cats", ffn_layers(model.model), load_calibration(model, path, "all"))
    with pytest.raises(CalibrationError, match="policy 'griffin' leaves attention dense"):
        policy_for(model, "griffin", scope="all")
    with pytest.raises(CalibrationError, match="scope 'attention' given, ffn or all expected"):
        policy_for(model, "clada", scope="attention")
    with pytest.raises(CalibrationError, match="shares over feed-forward blocks alone"):
        search.calibrate(
            model, documents(), tmp_path / "c.safetensors", scope="all", allocation="equal-error"
        )
    for module in (texts, search):
        monkeypatch.setattr(module, "LENGTH", 64)
    with pytest.raises(CalibrationError, match="was made for scope all"):
        load_calibration(model, path, "ffn")


def test_an_architecture_without_these_maps_is_refused_before_any_work(tmp_path, monkeypatch) -> None:
    for module in (texts, search):
        monkeypatch.setattr(module, "LENGTH", 64)
    model = language_model()
    for layer in model.model.model.layers:
        layer.self_attn.o_proj = torch.nn.Sequential(layer.self_attn.o_proj)
    with pytest.raises(ModelError, match=r"attention holds a Sequential.*scope ffn"):
        search.calibrate(model, documents(), tmp_path / "c.safetensors", scope="all", tokens=64 * 48)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_what_the_certificate_does_not_cover_says_what_it_costs(whole) -> None:
    model, path = whole
    calibration = load_calibration(model, path, "all")
    certificate = {
        **calibration.header["certificate"], "linear_sparsity": 0.4, "bound_nats": 0.1,
        "frontier": [
            {"asked": 0.4, "linear_sparsity": 0.401, "loss_nats": 0.08, "upper_bound_nats": 0.09},
            {"asked": 0.45, "linear_sparsity": 0.45, "loss_nats": 0.12, "upper_bound_nats": 0.135},
        ],
    }  # fmt: skip
    covered = replace(calibration, header={**calibration.header, "certificate": certificate})
    assert covered.uncovered(0.4) is None
    said = covered.uncovered(0.5)
    assert said == (
        "sparsity 0.5 asked for, the certificate (loss up to 0.1 nats per token) covers linear_sparsity up to 0.4; at 0.45 "
        "it measured +0.120 nats per token (upper bound 0.135 at confidence 0.95)"
    )
    none = replace(
        covered, header={**covered.header, "certificate": {**certificate, "linear_sparsity": None}}
    )
    assert "covers no sparsity that was tested in order; at 0.4 it measured +0.080" in none.uncovered(0.25)
    none.save(path.with_name("none.safetensors"))
    with pytest.warns(UserWarning, match=r"sparsity 0.3 asked for, .* at 0.4 it measured \+0.080"):
        policy_for(model, "clada", 0.3, path.with_name("none.safetensors"), "all")


def test_tables_join_a_calibration_in_its_own_scope(whole, tmp_path, monkeypatch) -> None:
    for module in (texts, search):
        monkeypatch.setattr(module, "LENGTH", 64)
    model, path = whole
    calibration = load_calibration(model, path, "all")
    kept = {name: table for name, table in calibration.tensors.items() if not name.startswith("teal_")}
    added = add_tables(
        model, replace(calibration, tensors=kept), documents(), tmp_path, tokens=64 * 48, progress=False
    )
    assert set(added.added) == {"teal"}
    assert {name for name in added.tensors if name.startswith("teal_")} == {
        f"teal_{site}" for site in SITES["all"]
    }


def test_gradients_at_attention_are_those_of_a_nudge() -> None:
    """A row's weight is the root mean square of the loss gradient there: the same as that of its input map's bias."""
    model = tiny_model("gpt2")
    tokens = torch.randint(3, 97, (4, 48), generator=torch.Generator().manual_seed(0))
    found = sensitivity(model, tokens, 0, lambda done: None, "all")
    assert set(found.weights) == set(found.losses) == set(SITES["all"])
    for site in SITES["all"]:
        assert (found.losses[site].diff(dim=1) >= -1e-6).float().mean() > 0.8  # more rows cost more
        assert found.losses[site].shape == (2, len(SHARES))
    alone = sensitivity(model, tokens, 0, lambda done: None)
    assert all(torch.equal(alone.weights[site], found.weights[site]) for site in SITES["ffn"])
