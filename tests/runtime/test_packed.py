"""Packed weights serve a model's next sequence, follow its weights and go with it; PyTorch's threads sleep meanwhile."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import torch
from tiny_models import VOCABULARY, tiny_model

from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.kernels import packed as packing
from clada_neuro.runtime.kernels.packed import MOST, packed
from clada_neuro.runtime.runner import compiled

PROMPT = torch.randint(0, VOCABULARY, (9,), generator=torch.Generator().manual_seed(4))


@pytest.fixture(autouse=True)
def empty():
    packing._kept.clear()
    yield
    packing._kept.clear()


def next_logits(model, policy=None, context=32) -> torch.Tensor:
    with compiled(model, policy or Dense(), PROMPT, context) as runner, torch.no_grad():
        runner.prefill()
        token = torch.tensor([5])
        runner.observe(token)
        return runner.step(token)[0].clone()


def expected(model) -> torch.Tensor:
    return model(torch.cat([PROMPT, torch.tensor([5])])[None]).logits[0, -1]


def test_a_second_sequence_finds_the_weights_packed_whatever_the_first_chose():
    model = tiny_model("llama")
    with packed(model, 32) as first:
        pass
    next_logits(model, Griffin(sparsity=0.5))
    with packed(model, 32) as second:
        assert second is first
    torch.testing.assert_close(next_logits(model), expected(model), rtol=1e-4, atol=1e-4)


def test_longer_sequences_get_room():
    model = tiny_model("llama")
    short = next_logits(model, context=10)
    with packed(model, 10) as step:
        pass
    assert torch.equal(next_logits(model, context=300), short)
    with packed(model, 300) as longer:
        assert longer is step
    ids = torch.randint(0, VOCABULARY, (60,), generator=torch.Generator().manual_seed(1))
    with compiled(model, Dense(), ids[:9], 60) as runner, torch.no_grad():
        runner.prefill()
        for token in ids[9:, None]:
            runner.observe(token)
            found = runner.step(token)[0]
    torch.testing.assert_close(found, model(ids[None]).logits[0, -1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", ["in place", "behind the back", "another tensor"])
def test_changed_weights_are_packed_anew(change):
    model = tiny_model("llama")
    before = next_logits(model)
    down = model.model.layers[1].mlp.down_proj
    if change == "in place":
        down.weight.view(-1)[7] += 3
    elif change == "behind the back":
        down.weight.data.mul_(-1)
    else:
        down.weight = torch.nn.Parameter(down.weight * -1, requires_grad=False)
    after = next_logits(model)
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, expected(model), rtol=1e-4, atol=1e-4)


def test_what_is_kept_is_little_and_goes_with_the_model(monkeypatch):
    models = [tiny_model("llama") for _ in range(MOST + 2)]
    for model in models:
        next_logits(model)
    assert list(packing._kept) == models[-MOST:]
    step = weakref.ref(packing._kept[models[-1]][1])
    gone = weakref.ref(models[-1])
    del models, model
    gc.collect()
    assert gone() is None
    assert step() is None
    monkeypatch.setattr(packing, "_PART_OF_FREE_MEMORY", 0)
    model = tiny_model("llama")
    next_logits(model)
    assert model not in packing._kept


def test_two_threads_have_a_copy_each():
    model = tiny_model("llama")
    with packed(model, 32) as one:
        found = []
        other = threading.Thread(target=lambda: found.append(next_logits(model)))
        other.start()
        other.join()
        with packed(model, 32) as two:
            assert two is not one
    torch.testing.assert_close(found[0], expected(model), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_packs_for_itself():
    # In a process of its own: forking one with other threads may hang.
    script = """
import os, sys
sys.path.insert(0, "tests")
from runtime.test_packed import next_logits, packing
from tiny_models import tiny_model
model = tiny_model("llama")
next_logits(model)
assert len(packing._kept) == 1
child = os.fork()
if child == 0:
    os._exit(len(packing._kept))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(packing._kept) == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads' times are read from /proc")
def test_between_two_tokens_no_thread_of_pytorch_works_or_waits():
    # In a process of its own, whose environment lets them wait by spinning. Counting so many neurons is worth threads.
    script = """
import sys, threading, time
from pathlib import Path
sys.path.insert(0, "tests")
import torch
from runtime.test_decode import Letters
from tiny_models import tiny_model, tiny_policy
from clada_neuro.models.loading import LanguageModel
from clada_neuro.runtime.decode import generate
from transformers import AutoConfig, AutoModelForCausalLM
torch.set_num_threads(2)
config = tiny_model("llama").config
config.num_hidden_layers, config.intermediate_size = 40, 2048
config.eos_token_id = None
model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
policy = tiny_policy(model, gamma=0.3, kappa=0.1)
class Writing(Letters):
    def decode(self, ids, **options): return "x" * len(ids)
language_model = LanguageModel("tiny", model, Writing(), 0, "hash")
def others():
    own = {thread.native_id for thread in threading.enumerate()}
    tasks = [task for task in Path("/proc/self/task").iterdir() if int(task.name) not in own]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
def stream(row, piece):
    if not used:
        time.sleep(1)  # the prompt's workers fall asleep
    used.append(others())
    threads.append(torch.get_num_threads())
for options in ({}, {"temperature": 1.0, "top_p": 0.9}):
    used, threads = [], []
    generate(language_model, "a prompt", policy, max_new_tokens=24, stream=stream, **options)
    assert len(used) > 20, used
    assert used[0] > 1e5  # the prompt had workers
    assert used[-1] - used[0] < 1e5, (used[-1] - used[0], options)
    assert set(threads) == {1}
    assert torch.get_num_threads() == 2
"""
    free = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, env=free)
