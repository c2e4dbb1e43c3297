import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfo_bench import parameters, registry
from dfo_bench.component import Component, parse
from dfo_bench.core import Cost, Dense, InputError, Points, Task
from dfo_bench.lm import TextTask
from dfo_bench.spec import streams
from tests.tiny_lm import build, reviews, write

DIM = 3 * 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with the task sst2."""
    folder = tmp_path_factory.mktemp("data")
    write(folder / "sst2" / "train.jsonl", reviews(8))
    write(folder / "sst2" / "test.jsonl", reviews(5))
    return folder


def make(name: str, seed: int = 0, **params: Any) -> TextTask:
    task = registry.construct("task", parameters.resolve("task", Component(name, params)), rngs=streams(seed))
    assert isinstance(task, TextTask)
    return task


def small(folder: Path, tiny: str, seed: int = 0, **params: Any) -> TextTask:
    return make("sst2", seed, **{"data_dir": str(folder), "model": tiny, "shots": 4, "prompt_tokens": 3, **params})


def points(n: int, dim: int = DIM) -> Points:
    return Dense(np.random.default_rng(1).standard_normal((n, dim)))


@pytest.mark.parametrize("head", ["embedding", "masked"])
@pytest.mark.parametrize("mode", ["add", "cat"])
@pytest.mark.parametrize("loss", ["ce", "hinge", "perf"])
def test_every_head_mode_and_loss_evaluates_and_measures(
    folder: Path, model: str, head: str, mode: str, loss: str
) -> None:
    task = small(folder, model, head=head, mode=mode, loss=loss)
    assert (task.space.dim, task.splits, task.metric, task.tolerance) == (DIM, ("dev", "test"), "accuracy", 1e-5)
    values = task.evaluate(points(5))
    assert values.shape == (5,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    np.testing.assert_allclose(task.evaluate(points(5)[2:3]), values[2:3], atol=1e-5)
    scores, cost = task.measure(task.space.start, "test")
    assert sorted(scores) == ["accuracy", "loss"]
    assert cost.examples == 10


def test_the_perf_loss_on_dev_is_minus_its_accuracy(folder: Path, model: str) -> None:
    scores, _ = small(folder, model, loss="perf").measure(points(1), "dev")
    assert scores["loss"] == -scores["accuracy"]


def test_a_seed_fixes_the_split_and_another_changes_it(folder: Path, model: str) -> None:
    values = [small(folder, model, seed).evaluate(points(2)) for seed in (0, 0, 1)]
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_a_candidate_that_is_not_finite_has_loss_nan_and_the_others_their_own(folder: Path, model: str) -> None:
    task = small(folder, model, loss="perf")
    x = points(3).dense()
    x[1, 0] = np.nan
    values = task.evaluate(Dense(x))
    assert np.isnan(values).tolist() == [False, True, False]


def test_the_step_is_the_spread_of_the_word_embeddings(folder: Path, model: str) -> None:
    task = small(folder, model)
    assert task.space.scale == pytest.approx(0.5, rel=0.05)
    assert not task.space.bounded
    assert not task.space.start.dense().any()


@pytest.mark.parametrize(("mode", "lead"), [("add", " . "), ("cat", "")])
def test_the_cost_counts_what_a_service_would_see(tmp_path: Path, model: str, mode: str, lead: str) -> None:
    rows = [{"text": f"{word} film", "label": label} for word, label in [("bad", "no"), ("good", "yes")] * 2]
    train = write(tmp_path / "train.jsonl", rows)
    task = make("text", train=str(train), model=model, shots=1, prompt_tokens=3, mode=mode)
    up = len("bad film") + len("good film")
    tokens = 2 * (len(["[CLS]", "[SEP]"]) + 3 + len(lead.split()) + 2)
    assert task.cost == Cost(2, tokens, up, up + 4 * DIM, 4 * 2 * 2)
    assert task.truncated("train") == 0


def test_long_texts_are_cut_and_counted(tmp_path: Path, model: str) -> None:
    rows = [{"text": f"{word} film" * size, "label": word} for word in ("bad", "good") for size in (1, 40)]
    task = make("text", train=str(write(tmp_path / "train.jsonl", rows)), model=model, shots=1, prompt_tokens=3)
    assert task.truncated("train") + task.truncated("dev") == 2
    assert np.isfinite(task.evaluate(points(2))).all()


def test_contents_follow_the_data_and_the_model_not_their_paths(tmp_path: Path, folder: Path, model: str) -> None:
    elsewhere = tmp_path / "copy"
    for split in ("train", "test"):
        path = elsewhere / "sst2" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / "sst2" / f"{split}.jsonl").read_bytes())
    copied = str(build(tmp_path / "model"))
    assert small(elsewhere, copied).contents == small(folder, model).contents
    write(elsewhere / "sst2" / "test.jsonl", reviews(6))
    assert small(elsewhere, copied).contents != small(folder, model).contents


def test_the_data_folder_of_the_environment_is_read(folder: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFO_BENCH_DATA", str(folder))
    task = make("sst2", model=model, shots=4, prompt_tokens=3)
    assert task.contents == small(folder, model).contents


def test_text_takes_csv_labels_of_its_own_and_a_template(tmp_path: Path, model: str) -> None:
    table = tmp_path / "train.csv"
    table.write_text("text,label\n" + "".join(f"{w} film {i},{w}\n" for w in ("bad", "good") for i in range(2)))
    own = make("text", train=str(table), model=model, shots=1, prompt_tokens=3)
    assert (own.labels, own.texts, own.splits) == (("bad", "good"), ("bad", "good"), ("dev",))
    assert sorted(own.contents) == ["model", "train"]
    with pytest.raises(NotImplementedError, match="no split 'test'"):
        own.measure(own.space.start, "test")
    words = json.dumps({"good": "great", "bad": "awful"})
    written = parse(f'text:train={table},model={model},shots=1,prompt_tokens=3,head=masked,words={words},'
                    'template="{text} it was [MASK]"')  # fmt: skip
    task = registry.construct("task", parameters.resolve("task", written), rngs=streams(0))
    assert task.words == ("awful", "great")
    assert np.isfinite(task.evaluate(points(2))).all()


def test_text_takes_pairs(tmp_path: Path, model: str) -> None:
    rows = [{"text_a": w, "text_b": f"film {i}", "label": w} for w in ("bad", "good") for i in range(2)]
    train = str(write(tmp_path / "train.jsonl", rows))
    for head in ("embedding", "masked"):
        assert np.isfinite(
            make("text", train=train, model=model, head=head, shots=1, prompt_tokens=3).evaluate(points(1))
        )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"shots": 0}, "shots must be at least 1, got 0"),
        ({"shots": 5}, r"shots=5 needs 10 examples a class.* has 8; pass shots=4"),
        ({"prompt_tokens": 0}, "prompt_tokens must be at least 1, got 0"),
        ({"prompt_tokens": 30, "model": "POSITIONS 33"}, r"leaves no room.*pass at most prompt_tokens=\d"),
        ({"prompt_tokens": 60, "mode": "cat", "model": "POSITIONS 33"}, "leaves no room"),
        ({"head": "causal"}, "embedding"),
        ({"mode": "replace"}, "add"),
        ({"loss": "mse"}, "hinge"),
        ({"data_dir": "/nowhere"}, r"no data file /nowhere/sst2/train\.jsonl"),
        ({"model": "/nowhere"}, "neither a folder nor reachable"),
    ],
)
def test_bad_parameters_are_refused_with_a_remedy(
    tmp_path: Path, folder: Path, model: str, params: dict[str, Any], message: str
) -> None:
    if params.get("model") == "POSITIONS 33":
        params = {**params, "model": str(build(tmp_path / "short", positions=33))}
    with pytest.raises(InputError, match=message):
        small(folder, model, **params)


def test_bad_texts_are_refused_with_a_remedy(tmp_path: Path, model: str) -> None:
    one = write(tmp_path / "one.jsonl", [{"text": "x", "label": "a"}] * 4)
    with pytest.raises(InputError, match="needs two labels or more"):
        make("text", train=str(one), model=model, shots=1)
    two = write(tmp_path / "two.jsonl", [{"text": "x", "label": label} for label in "abab"])
    with pytest.raises(InputError, match=r"two\.jsonl:1: unknown label 'a'; the labels are: b, c"):
        make("text", train=str(two), words={"b": "b", "c": "c"}, model=model, shots=1)
    other = write(tmp_path / "other.jsonl", [{"text": "x", "label": "z"}])
    with pytest.raises(InputError, match=r"other\.jsonl:1: unknown label 'z'"):
        make("text", train=str(two), test=str(other), model=model, shots=1)
    with pytest.raises(InputError, match="begin with the same token"):
        make(
            "text",
            train=str(two),
            words={"a": "good", "b": "goodly"},
            head="masked",
            model=model,
            shots=1,
            prompt_tokens=3,
        )


def test_without_a_folder_or_the_hub_the_remedy_is_a_folder(model: str) -> None:
    with pytest.raises(InputError, match=r"pass data_dir=FOLDER or set DFO_BENCH_DATA"):
        make("agnews", model=model)


def test_the_shipped_task_runs_on_the_default_model_as_padded_forwards_would() -> None:
    task = make("helpdesk", shots=2, prompt_tokens=4, head="embedding")
    x = task.space.scale * np.random.default_rng(0).standard_normal((3, task.space.dim))
    np.testing.assert_allclose(task.evaluate(Dense(x)), padded(task, x), atol=1e-5)
    assert task.splits == ("dev", "test")


def padded(task: Any, x: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """Return the losses of one padded forward per candidate with the stock model."""
    from dfo_bench.lm import models

    loaded = models.load("", "embedding")
    inputs, labels = task._inputs("train"), loaded.tokenizer(list(task.texts), padding=True, return_tensors="pt")
    batch = loaded.tokenizer.pad({"input_ids": [list(text.ids) for text in inputs]}, return_tensors="pt")
    classes = torch.tensor([task.labels.index(row.label) for row in task._rows["train"]])

    def embed(ids: torch.Tensor, seen: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        def put(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            output[:, 1 : 1 + len(prompt)] += prompt
            return output

        with loaded.embeddings.register_forward_hook(put):
            last = loaded.model(input_ids=ids, attention_mask=seen).last_hidden_state
        mean = (last * seen[:, :, None]).sum(1) / seen.sum(1, keepdim=True)
        return torch.nn.functional.normalize(mean, dim=1)

    out = []
    with torch.inference_mode():
        targets = embed(labels["input_ids"], labels["attention_mask"], torch.zeros(0, 384))
        for prompt in torch.tensor(x, dtype=torch.float32).view(len(x), -1, 384):
            logits = 20 * embed(batch["input_ids"], batch["attention_mask"], prompt) @ targets.T
            out.append(float(torch.nn.functional.cross_entropy(logits, classes)))
    return out


def test_the_masked_model_beside_the_project_runs_agnews_as_measured_there(shared: Path) -> None:
    task: Task = make(
        "agnews",
        data_dir=str(shared / "data"),
        model=str(shared / "models" / "minilm-mlm"),
        head="masked",
        prompt_tokens=10,
        shots=2,
    )
    assert task.space.scale == pytest.approx(0.060, abs=0.001)
    assert 1.0 < task.evaluate(task.space.start)[0] < 2.5
