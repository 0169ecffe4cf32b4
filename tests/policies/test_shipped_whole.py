"""The calibration of scope ``all`` that ships for the embedded model, beside that of feed-forward blocks alone."""

import pytest
import torch
from command_line import clada

import clada_neuro as cn
from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.artifact import MAX_BYTES, load_calibration, shipped_calibration
from clada_neuro.policies.registry import OFFSET, make_policy
from clada_neuro.runtime.policy import SITES
from clada_neuro.runtime.scoring import score

TEXT = (
    "Most of the letters that she kept in the drawer had been written by people whom she had never met, and "
)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load_model("smollm2")


def test_it_is_found_by_its_scope_and_small_and_states_what_it_costs(model: LanguageModel) -> None:
    path = shipped_calibration(model.weights_hash, "all")
    assert path.name == f"{model.weights_hash}.all.safetensors"
    assert path.stat().st_size <= MAX_BYTES
    calibration = load_calibration(model, scope="all")
    assert calibration.scope == "all"
    certificate = calibration.header["certificate"]
    assert certificate["documents"] == certificate["texts"] >= 12
    assert calibration.identity == "156c0829d5e388b7"  # as analyses/results/whole_model/whole_model.md has it
    assert certificate["linear_sparsity"] is None
    assert [row["upper_bound_nats"] <= certificate["bound_nats"] for row in certificate["frontier"]] == [
        False,
        True,
        True,
    ]
    assert set(OFFSET) == set(calibration.header["offsets"])
    assert set(calibration.header["shares_dropped"]) == set(SITES["all"])


def test_the_file_of_feed_forward_blocks_stays_what_it_was(model: LanguageModel) -> None:
    assert load_calibration(model).identity == "dab7305145f80712"


def test_a_full_budget_is_the_plain_model(model: LanguageModel) -> None:
    ids = [0, *model.tokenizer(TEXT).input_ids]
    found = [
        score(model.model, cn.policy(model, name, sparsity, scope="all"), [ids], prefix=4)[0]
        for name, sparsity in (("clada", 0.0), ("dense", 0.4))
    ]
    torch.testing.assert_close(found[0].surprisal_bits[1:], found[1].surprisal_bits[1:], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["clada", "teal", "wina"])
def test_rows_of_every_site_are_left_out_and_the_text_is_still_read(model: LanguageModel, name: str) -> None:
    ids = [0, *model.tokenizer(2 * TEXT).input_ids]
    policy = make_policy(name, ffn_layers(model.model), load_calibration(model, scope="all"), 0.4)
    sparse, dense = (
        score(model.model, one, [ids], prefix=8)[0] for one in (policy, cn.policy(model, "dense"))
    )
    assert float(sparse.sparsity[8:].mean()) == pytest.approx(0.4, abs=0.06)
    assert all(0.05 < float(share[8:].mean()) < 0.95 for share in sparse.dropped.values())
    rise = (sparse.surprisal_bits - dense.surprisal_bits)[9:].mean()
    assert float(rise) < 2.0  # bits; a mask that is wrong costs more than ten


def test_generate_on_the_command_line_says_both_shares(model: LanguageModel, capsys) -> None:
    given = ("--scope", "all", "--max-new-tokens", 12, "--sparsity", 0.4)
    uncovered = r"0\.4 asked for, the certificate \(loss up to 0\.1 nats per token\) covers no .* at 0\.4 it measured \+0\.091"
    with pytest.warns(UserWarning, match=uncovered):  # the command line prints it as a note
        done = clada(capsys, "generate", "The capital of France is", *given)
    assert done.code == 0, done.err
    assert "[clada: linear sparsity 0." in done.out
    assert ", FFN sparsity 0." in done.out
