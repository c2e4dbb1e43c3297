"""`adam`: the steps of torch on the gradients that it is told, from the start, in scales of the space."""

from typing import Any

import numpy as np
import pytest
import torch
from peft import PromptTuningConfig, TaskType, get_peft_model

from dfo_bench.core import Array, Dense, GradientOptimizer, Space
from dfo_bench.lm import TextTask
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.runs.assembly import assemble
from dfo_bench.store.store import Store
from dfo_bench.testing.bowl import evaluated
from tests.test_peft import AUTO, label_logits
from tests.text_runs import planned
from tests.tiny_lm import Zoo

START = np.array([[1.0, -2.0, 0.5]])
FREE = Space(3, None, None, Dense(START), 0.5)


def adam(space: Space = FREE, **params: Any) -> GradientOptimizer:
    cls = OPTIMIZERS.load("adam")
    assert issubclass(cls, GradientOptimizer)
    return cls(space, budget=60, rng=np.random.default_rng(0), **params)


def slopes(x: Array) -> Array:
    return 2 * (x - 0.7)


def test_it_takes_the_steps_of_torch() -> None:
    theirs = torch.tensor(START[0], requires_grad=True)
    reference = torch.optim.Adam([theirs], lr=0.25 * 0.5)
    optimizer = adam(learning_rate=0.25)
    for unit in np.logspace(-6, 6, 20):
        x = optimizer.ask()
        assert x.shape == (1, 3)
        assert x[0] == pytest.approx(theirs.detach().numpy(), rel=1e-9)
        optimizer.tell(x, np.zeros(1), unit * slopes(x))
        theirs.grad = torch.from_numpy(unit * slopes(x)[0])
        reference.step()


def test_the_first_point_is_the_start_and_the_first_step_the_learning_rate_downhill() -> None:
    optimizer = adam()
    first = optimizer.ask()
    np.testing.assert_array_equal(first, START)
    optimizer.tell(first, np.ones(1), slopes(first))
    default = OPTIMIZERS.parameters(type(optimizer))["learning_rate"].default
    np.testing.assert_allclose(optimizer.ask() - first, -default * 0.5 * np.sign(slopes(first)))


def test_from_where_an_evaluation_fails_it_goes_back_half_the_way() -> None:
    optimizer = adam(learning_rate=1.0)
    first = optimizer.ask()
    optimizer.tell(first, np.ones(1), slopes(first))
    second = optimizer.ask()
    optimizer.tell(second, np.full(1, np.inf), np.zeros((1, 3)))
    third = optimizer.ask()
    np.testing.assert_allclose(third, (first + second) / 2)
    optimizer.tell(third, np.full(1, np.inf), np.zeros((1, 3)))
    np.testing.assert_allclose(optimizer.ask(), (first + third) / 2)


def test_a_start_that_fails_is_asked_for_again() -> None:
    optimizer = adam()
    for _ in range(3):
        x = optimizer.ask()
        np.testing.assert_array_equal(x, START)
        optimizer.tell(x, np.full(1, np.inf), np.zeros((1, 3)))


def test_it_stays_inside_the_box() -> None:
    optimizer = adam(Space(3, -1.0, 1.0, Dense(np.array([[0.9, -0.9, 0.0]])), 1.0), learning_rate=1.0)
    for _ in range(5):
        x = optimizer.ask()
        assert (np.abs(x) <= 1).all()
        optimizer.tell(x, np.ones(1), -np.ones((1, 3)))
    assert (optimizer.ask() == 1).all()


@pytest.mark.parametrize(
    ("model", "head", "kind"),
    [
        ("llama", "causal", TaskType.CAUSAL_LM),
        ("gpt2", "causal", TaskType.CAUSAL_LM),
        ("gemma3_text", "causal", TaskType.CAUSAL_LM),
        ("roberta", "masked", TaskType.FEATURE_EXTRACTION),
        ("bert", "masked", TaskType.FEATURE_EXTRACTION),
        ("t5", "seq2seq", TaskType.SEQ_2_SEQ_LM),
        ("bart", "seq2seq", TaskType.SEQ_2_SEQ_LM),
    ],
)
def test_under_the_identity_it_is_prompt_tuning_as_peft_does_it(
    store: Store, zoo: Zoo, model: str, head: str, kind: TaskType
) -> None:
    spec = planned(
        store,
        zoo.folder(model),
        "adam:learning_rate=0.05",
        "identity",
        head=head,
        mode="inputs_embeds",
        prompt_tokens=3,
        initial=None,
    )
    assembly, loaded = assemble(spec), zoo.load(model, head)
    task, optimizer = assembly.task, assembly.optimizer()
    assert isinstance(task, TextTask)
    tuned, prompt = prompt_tuning(zoo.folder(model), head, kind)
    theirs = torch.optim.Adam([prompt], lr=0.05 * task.space.scale)
    labels = torch.tensor([task.labels.index(row.label) for row in task.rows("train")])
    for _ in range(10):
        points = optimizer.ask()
        losses, *told = evaluated(assembly.oracle, points)
        optimizer.tell(losses, *told)
        theirs.zero_grad()
        logits = torch.stack([label_logits(tuned, task, loaded, text) for text in task.inputs("train")])
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        np.testing.assert_allclose(points.dense()[0], prompt.detach().flatten(), rtol=0, atol=1e-5)
        np.testing.assert_allclose(losses, loss.item(), rtol=0, atol=1e-5)
        theirs.step()
    assert np.abs(points.dense()).max() > 3 * 0.05 * task.space.scale


def prompt_tuning(folder: str, head: str, kind: TaskType) -> tuple[Any, torch.Tensor]:
    """Return a model under PEFT's prompt tuning, and its prompt, which begins at 0."""
    base = AUTO[head].from_pretrained(folder, dtype=torch.float32)
    tuned: Any = get_peft_model(
        base, PromptTuningConfig(task_type=kind, num_virtual_tokens=3, num_transformer_submodules=1)
    ).eval()
    prompt = tuned.prompt_encoder["default"].embedding.weight
    torch.nn.init.zeros_(prompt)
    return tuned, prompt
