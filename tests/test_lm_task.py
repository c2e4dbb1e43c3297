import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfo_bench.core import Array, Cost, Dense, InputError, Points, Task
from dfo_bench.lm import TextTask, data, models
from dfo_bench.lm.calibration import Calibration, calibrate
from dfo_bench.lm.losses import LOSSES, ce
from dfo_bench.plugins.component import Component, parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.spec import streams
from tests import plain_lm
from tests.tiny_lm import EVERYWHERE, Zoo, build, modes, reviews, write

TOKENS, SIZE = 3, 16
DIM = TOKENS * SIZE
READERS = [("bert", "embedding"), ("bert", "masked"), ("gpt2", "causal"), ("t5", "seq2seq"), ("bart", "seq2seq")]
CASES = [(name, head, mode) for name, head in READERS for mode in modes(head)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with the tasks sst2 and mrpc."""
    folder = tmp_path_factory.mktemp("data")
    write(folder / "sst2" / "train.jsonl", reviews(8))
    write(folder / "sst2" / "test.jsonl", reviews(5))
    for split, count in (("train", 8), ("test", 5)):
        pairs = [
            {"text_a": f"the film {i}", "text_b": f"it was {word}", "label": label}
            for i in range(count)
            for word, label in (("bad", "not_equivalent"), ("the film", "equivalent"))
        ]
        write(folder / "mrpc" / f"{split}.jsonl", pairs)
    return folder


def make(name: str, seed: int = 0, **params: Any) -> TextTask:
    task = resolve(TASKS, Component(name, params)).construct(rngs=streams(seed))
    assert isinstance(task, TextTask)
    return task


def small(folder: Path, model: str, seed: int = 0, name: str = "sst2", **params: Any) -> TextTask:
    return make(name, seed, **{"data_dir": str(folder), "model": model, "shots": 4, "prompt_tokens": TOKENS, **params})


def points(n: int, dim: int = DIM) -> Points:
    return Dense(np.random.default_rng(1).standard_normal((n, dim)))


@pytest.mark.parametrize(("name", "head", "mode"), CASES)
def test_every_head_mode_and_loss_evaluates_and_measures(
    folder: Path, zoo: Zoo, name: str, head: str, mode: str
) -> None:
    for loss in (*LOSSES, "perf") if mode == "add" else ("ce",):
        task = small(folder, zoo.folder(name), head=head, mode=mode, loss=loss)
        blocks = {"deep": 2, "prefix": 4}.get(mode, 1)
        assert (task.space.dim, task.space.blocks, task.tolerance) == (blocks * DIM, blocks, 1e-5)
        assert (task.splits, task.metric) == (("dev", "test"), "accuracy")
        x = points(5, blocks * DIM)
        values = task.evaluate(x)
        assert values.shape == (5,)
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
        assert loss == "perf" or values.std() > 1e-4
        np.testing.assert_allclose(task.evaluate(x[2:3]), values[2:3], rtol=0, atol=1e-5)
        scores, cost = task.measure(task.space.start, "test")
        assert sorted(scores) == ["accuracy", "calibrated_accuracy", "calibrated_loss", "loss"]
        assert cost.examples == 10
        on_dev, _ = task.measure(x[:1], "dev")
        assert loss != "perf" or on_dev["loss"] == -on_dev["accuracy"]


@pytest.mark.parametrize("kind", ["bias", "affine"])
def test_a_calibrated_task_scores_what_a_map_fitted_on_the_train_outputs_makes_of_the_logits(
    folder: Path, zoo: Zoo, kind: Calibration
) -> None:
    plain = small(folder, zoo.folder(), head="masked")
    task = small(folder, zoo.folder(), head="masked", calibrate=kind)
    x = points(3)
    train, test = plain.logits(x, "train"), plain.logits(x, "test")
    classes = {split: np.array([row.label == "positive" for row in task.rows(split)], int) for split in task.splits}
    classes["train"] = np.array([row.label == "positive" for row in task.rows("train")], int)
    on_train, on_test = calibrate(kind, train, classes["train"], test)
    np.testing.assert_allclose(task.evaluate(x), ce(on_train, classes["train"]), atol=1e-6)
    assert (task.evaluate(x) <= plain.evaluate(x) + 1e-6).all()
    scores, cost = task.measure(x[1:2], "test")
    assert scores["accuracy"] == (on_test[1].argmax(axis=1) == classes["test"]).mean()
    assert scores["loss"] == pytest.approx(ce(on_test[1:2], classes["test"])[0], abs=1e-6)
    plain_scores, plain_cost = plain.measure(x[1:2], "test")
    assert [scores[f"plain_{name}"] for name in ("accuracy", "loss")] == [plain_scores[n] for n in ("accuracy", "loss")]
    assert cost == plain_cost
    if kind == "bias":
        assert [plain_scores[f"calibrated_{n}"] for n in ("accuracy", "loss")] == [scores["accuracy"], scores["loss"]]


def test_calibration_enters_the_key_of_a_run_only_where_there_is_one() -> None:
    keys = [str(resolve(TASKS, Component("sst2", params)).keyed()) for params in ({}, {"calibrate": "none"})]
    assert keys[0] == keys[1]
    assert "calibrate" not in keys[0]
    assert "calibrate=bias" in str(resolve(TASKS, Component("sst2", {"calibrate": "bias"})).keyed())


TEMPLATES = {"masked": "{} . It was [MASK] .", "causal": "{} . The sentiment is", "seq2seq": "{} . It was [MASK] ."}


@pytest.mark.parametrize(("name", "head", "mode"), [case for case in CASES if case[1] != "embedding"])
def test_without_a_prompt_the_loss_is_the_models_own_on_the_bare_template(
    folder: Path, zoo: Zoo, name: str, head: str, mode: str
) -> None:
    task = small(folder, zoo.folder(name), head=head, mode=mode, prompt_tokens=0)
    assert (task.space.dim, len(task.space.start)) == (0, 1)
    loaded = zoo.load(name, head)
    tokenizer, mask = loaded.tokenizer, loaded.tokenizer.mask_token or "<extra_id_0>"
    words = (" negative", " positive") if head == "causal" else ("bad", "great")
    labels = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    losses = []
    for row in task.rows("train"):
        ids = tokenizer(TEMPLATES[head].format(row.texts[0]).replace("[MASK]", mask))["input_ids"]
        inputs, at = {"input_ids": torch.tensor([ids])}, -1
        if head == "masked":
            at = ids.index(tokenizer.mask_token_id)
        if head == "seq2seq":
            written = ids[: ids.index(tokenizer.mask_token_id)] if name == "bart" else tokenizer(mask)["input_ids"][:1]
            inputs["decoder_input_ids"] = torch.tensor([[loaded.model.config.decoder_start_token_id, *written]])
        with torch.inference_mode():
            scores = loaded.model(**inputs).logits[0, at, labels].double()
        losses.append(-scores.log_softmax(0)[("negative", "positive").index(row.label)].item())
    for x in (task.space.start, points(2, 0)):
        np.testing.assert_allclose(task.evaluate(x), np.mean(losses), rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", EVERYWHERE)
def test_what_prompts_returns_is_what_meets_the_model(folder: Path, zoo: Zoo, mode: str) -> None:
    task = small(folder, zoo.folder("gpt2"), head="causal", mode=mode)
    blocks = models.load(zoo.folder("gpt2"), "causal").blocks
    x = points(4, task.space.dim)
    prompts = task.prompts(x)
    coordinates = x.dense().reshape(4, -1, TOKENS, SIZE)
    if mode == "deep":
        scales = np.array(task.local.mode.block_scales(text.ids for text in task.inputs("train")))
        assert scales[0] == task.space.scale
        assert scales[1] > 1.5 * scales[0]
        expected = coordinates * (scales / task.space.scale)[:, None, None]
    else:
        expected = coordinates[:, 0]
    assert prompts.shape == expected.shape
    assert prompts.dtype == np.float32
    np.testing.assert_allclose(prompts, expected, rtol=1e-6)

    # The first call of a block is that of the prompt, once a candidate.
    entered: list[torch.Tensor] = []
    with blocks[0].ln_1.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0])):
        task.evaluate(x)
        met = entered[0]
        entered.clear()
        task.evaluate(Dense(np.zeros((4, task.space.dim))))
    found = (met - entered[0])[:, :TOKENS]
    np.testing.assert_allclose(found, prompts[:, 0] if mode == "deep" else prompts, rtol=0, atol=1e-5)
    if mode == "deep":
        left: list[torch.Tensor] = []
        entered.clear()
        with (
            blocks[0].register_forward_hook(lambda module, inputs, output: left.append(output)),
            blocks[1].ln_1.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0])),
        ):
            task.evaluate(x)
        found = (entered[0] - left[0])[:, :TOKENS]
        np.testing.assert_allclose(found, prompts[:, 1], rtol=0, atol=1e-5)


def test_a_prompt_before_the_text_is_not_taken_for_the_token_that_an_encoder_pools(
    tmp_path: Path, folder: Path
) -> None:
    model = build(tmp_path / "encoder")
    (model / "1_Pooling").mkdir()
    (model / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    task, loaded = small(folder, str(model), mode="cat"), models.load(str(model), "embedding")
    x, labels = points(2), [plain_lm.embedding(loaded, text) for text in task.embedding_texts]
    expected = [
        [plain_lm.logits(loaded, "embedding", "cat", prompt, text, labels, 1) for text in task.inputs("train")]
        for prompt in torch.tensor(task.prompts(x))
    ]
    np.testing.assert_allclose(task.logits(x, "train"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "head", "gap"), [("bert", "masked", " "), ("gpt2", "causal", "\n")])
def test_solved_examples_of_every_class_stand_before_every_text(
    tmp_path: Path, folder: Path, name: str, head: str, gap: str
) -> None:
    model = str(build(tmp_path / "long", name, max_position_embeddings=512))
    bare = small(folder, model, head=head, prompt_tokens=0)
    task = small(folder, model, head=head, prompt_tokens=0, demonstrations=2)
    tokenizer, words = models.load(model, head).tokenizer, {"negative": "bad", "positive": "great"}
    solved = data.demonstrations(task.rows("train"), task.labels, 2)
    assert sorted(row.label for row in solved) == ["negative"] * 2 + ["positive"] * 2
    shown = ""
    for row in solved:
        text = TEMPLATES[head].format(row.texts[0])
        shown += (text.replace("[MASK]", words[row.label]) if head == "masked" else f"{text} {row.label}") + gap
    for split in ("train", "dev", "test"):
        for row, encoded in zip(task.rows(split), task.inputs(split), strict=True):
            whole = shown + TEMPLATES[head].format(row.texts[0])
            assert list(encoded.ids) == tokenizer(whole)["input_ids"]
            assert encoded.text_bytes == len(whole.encode())
    assert task.cost.tokens > 2 * bare.cost.tokens
    assert task.evaluate(points(1, 0)) != bare.evaluate(points(1, 0))


def test_the_metric_of_a_task_with_a_positive_label_is_its_f1(folder: Path, zoo: Zoo) -> None:
    task = small(folder, zoo.folder(), name="mrpc", head="masked", loss="perf")
    assert task.metric == "f1"
    x = points(8)
    for i in range(8):
        scores, _ = task.measure(x[i : i + 1], "test")
        assert {"accuracy", "f1", "loss"} < set(scores)
        assert scores["loss"] == -scores["f1"]
        guesses = task.logits(x[i : i + 1], "test")[0].argmax(axis=1)
        truth = np.array([row.label == "equivalent" for row in task.rows("test")])
        hits = ((guesses == 1) & truth).sum()
        assert scores["f1"] == pytest.approx(2 * hits / ((guesses == 1).sum() + truth.sum()))


@pytest.mark.parametrize("mode", ["add", "deep"])
@pytest.mark.parametrize(("name", "head"), READERS)
def test_half_precision_keeps_its_stated_tolerance_in_any_batching(
    folder: Path, zoo: Zoo, name: str, head: str, mode: str
) -> None:
    task = small(folder, zoo.folder(name), head=head, mode=mode, precision="bfloat16")
    x = Dense(task.space.scale * points(7, task.space.dim).dense())
    together = task.evaluate(x)
    alone = np.concatenate([task.evaluate(x[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=task.tolerance)
    assert task.tolerance == 0.05
    assert np.array_equal(together, task.evaluate(x))


@pytest.mark.parametrize(("head", "name", "spaced"), [("masked", "roberta", False), ("causal", "qwen2", True)])
def test_a_leading_space_is_left_to_causal_models_unless_asked_for(
    folder: Path, zoo: Zoo, head: str, name: str, spaced: bool
) -> None:
    left_out, same, other = (
        small(folder, zoo.folder(name), head=head, leading_space=value).evaluate(points(2))
        for value in (None, spaced, not spaced)
    )
    assert np.array_equal(left_out, same)
    assert not np.allclose(left_out, other, atol=1e-3)


def test_a_seed_fixes_the_split_and_another_changes_it(folder: Path, zoo: Zoo) -> None:
    values = [small(folder, zoo.folder(), seed).evaluate(points(2)) for seed in (0, 0, 1)]
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 3e38])
@pytest.mark.parametrize("mode", ["add", "deep"])
def test_a_candidate_that_is_not_finite_has_loss_nan_and_the_others_their_own(
    folder: Path, zoo: Zoo, mode: str, value: float
) -> None:
    task = small(folder, zoo.folder(), mode=mode, loss="perf")
    x = points(3, task.space.dim).dense()
    x[1, -1] = value
    values = task.evaluate(Dense(x))
    assert np.isnan(values).tolist() == [False, True, False]
    assert np.isnan(task.evaluate(Dense(x[1:2]))).all()
    np.testing.assert_array_equal(values[[0, 2]], task.evaluate(points(3, task.space.dim))[[0, 2]])


def test_the_search_starts_at_the_bare_model_and_a_step_is_the_spread_of_the_word_embeddings(
    folder: Path, zoo: Zoo
) -> None:
    task = small(folder, zoo.folder(), initial=None)
    assert task.space.scale == pytest.approx(zoo.load("bert", "embedding").words.double().std().item())
    assert not task.space.bounded
    assert not task.space.start.dense().any()


@pytest.mark.parametrize(("mode", "lead"), [("add", " . "), ("deep", " . "), ("cat", ""), ("inputs_embeds", "")])
def test_the_cost_counts_what_a_service_would_see(tmp_path: Path, zoo: Zoo, mode: str, lead: str) -> None:
    rows = [{"text": f"{word} film", "label": label} for word, label in [("bad", "no"), ("good", "yes")] * 2]
    train = write(tmp_path / "train.jsonl", rows)
    task = make("text", train=str(train), model=zoo.folder(), shots=1, prompt_tokens=3, mode=mode)
    up = len("bad film") + len("good film")
    tokens = 2 * (len(["[CLS]", "[SEP]"]) + 3 + len(lead.split()) + 2)
    assert task.cost == Cost(2, tokens, up, up + 4 * task.space.dim, 4 * 2 * 2)
    assert task.truncated("train") == 0


@pytest.mark.parametrize(("name", "head"), READERS)
def test_long_texts_are_cut_and_counted(tmp_path: Path, zoo: Zoo, name: str, head: str) -> None:
    rows = [{"text": f"{word} film" * size, "label": word} for word in ("bad", "good") for size in (1, 400)]
    task = make(
        "text",
        train=str(write(tmp_path / "train.jsonl", rows)),
        model=zoo.folder(name),
        head=head,
        shots=1,
        prompt_tokens=3,
        mode="cat",
    )
    cut = task.truncated("train") + task.truncated("dev")
    # T5 has no positions to run out of.
    assert cut == (0 if name == "t5" else 2)
    counts = {split: task.truncated(split) for split in ("train", "dev")}
    assert task.events == [f"{n} of 2 {split} texts are cut to 61 tokens" for split, n in counts.items() if n]
    assert np.isfinite(task.evaluate(points(2))).all()
    assert np.isfinite(task.measure(task.space.start, "dev")[0]["loss"])


def test_contents_follow_the_data_and_the_model_not_their_paths(tmp_path: Path, folder: Path, zoo: Zoo) -> None:
    elsewhere = tmp_path / "copy"
    for split in ("train", "test"):
        path = elsewhere / "sst2" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / "sst2" / f"{split}.jsonl").read_bytes())
    copied = str(build(tmp_path / "model"))
    assert small(elsewhere, copied).contents == small(folder, zoo.folder()).contents
    write(elsewhere / "sst2" / "test.jsonl", reviews(6))
    assert small(elsewhere, copied).contents != small(folder, zoo.folder()).contents


def test_the_data_folder_of_the_environment_is_read(folder: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFO_BENCH_DATA", str(folder))
    task = make("sst2", model=zoo.folder(), shots=4, prompt_tokens=3)
    assert task.contents == small(folder, zoo.folder()).contents


def test_text_takes_csv_labels_of_its_own_and_a_template(tmp_path: Path, zoo: Zoo) -> None:
    table = tmp_path / "train.csv"
    table.write_text("text,label\n" + "".join(f"{w} film {i},{w}\n" for w in ("bad", "good") for i in range(2)))
    own = make("text", train=str(table), model=zoo.folder(), shots=1, prompt_tokens=3)
    assert (own.labels, own.embedding_texts, own.splits) == (("bad", "good"), ("bad", "good"), ("dev",))
    assert sorted(own.contents) == ["model", "train"]
    with pytest.raises(NotImplementedError, match="no split 'test'"):
        own.measure(own.space.start, "test")
    words = json.dumps({"good": "great", "bad": "awful"})
    written = parse(f'text:train={table},model={zoo.folder()},shots=1,prompt_tokens=3,head=masked,words={words},'
                    'template="{text} it was [MASK]"')  # fmt: skip
    task = resolve(TASKS, written).construct(rngs=streams(0))
    assert isinstance(task, TextTask)
    assert task.shown_words == ("awful", "great")
    assert np.isfinite(task.evaluate(points(2))).all()


@pytest.mark.parametrize(("name", "head"), READERS)
def test_text_takes_pairs(tmp_path: Path, zoo: Zoo, name: str, head: str) -> None:
    rows = [{"text_a": w, "text_b": f"film {i}", "label": w} for w in ("bad", "good") for i in range(2)]
    train = str(write(tmp_path / "train.jsonl", rows))
    task = make("text", train=train, model=zoo.folder(name), head=head, shots=1, prompt_tokens=3)
    assert np.isfinite(task.evaluate(points(1))).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"shots": 0}, "shots=0: input should be greater than or equal to 1"),
        ({"shots": 5}, r"shots=5 needs 10 examples per class.* has 8; pass shots=4"),
        ({"prompt_tokens": -1}, "prompt_tokens=-1: input should be greater than or equal to 0"),
        ({"demonstrations": -1}, "demonstrations=-1: input should be greater than or equal to 0"),
        ({"demonstrations": 5, "head": "masked"}, r"demonstrations=5 .*; pass demonstrations=4 or shots=5"),
        (
            {"demonstrations": 1},
            "demonstrations and the reference in_context need label words, which head=embedding has not",
        ),
        ({"demonstrations": 4, "head": "masked"}, "demonstrations=4 leave no room for text.*; pass fewer"),
        (
            {"prompt_tokens": 30, "mode": "add", "model": "33 positions"},
            r"no room .*; pass at most prompt_tokens=\d+$",
        ),
        ({"prompt_tokens": 60, "mode": "cat", "model": "33 positions"}, r"; pass at most prompt_tokens=30$"),
        ({"prompt_tokens": 0, "head": "masked", "model": "6 positions"}, "pass another model: the template alone"),
        (
            {"prompt_tokens": 31, "mode": "add"},
            r"ids 1000 to 1030 .* knows 1030; .*prompt_tokens or mode=cat",
        ),
        ({"head": "causal"}, "is a bert, which has no head=causal; pass head=embedding or head=masked"),
        ({"head": "ranking"}, "embedding"),
        ({"mode": "replace"}, "inputs_embeds"),
        ({"mode": "prefix", "head": "masked"}, "mode=prefix is offered for decoders with head=causal.*head is masked"),
        ({"mode": "after"}, "mode=after is offered for decoders with head=causal.*; pass head=causal and the name of"),
        ({"loss": "mse"}, "hinge"),
        ({"precision": "int8"}, "bfloat16"),
        ({"data_dir": "/nowhere"}, r"no data file /nowhere/sst2/train\.jsonl"),
        ({"model": "/nowhere"}, "neither a folder nor reachable"),
    ],
)
def test_bad_parameters_are_refused_in_one_line_with_a_remedy(
    tmp_path: Path, folder: Path, zoo: Zoo, params: dict[str, Any], message: str
) -> None:
    if params.get("model", "").endswith(" positions"):
        positions = int(params["model"].split()[0])
        params = {**params, "model": str(build(tmp_path / "short", max_position_embeddings=positions))}
    with pytest.raises(InputError, match=message) as refusal:
        small(folder, **{"model": zoo.folder(), **params})
    assert "\n" not in str(refusal.value)


def test_the_most_prompt_tokens_that_a_refusal_names_are_taken(tmp_path: Path, folder: Path) -> None:
    model = str(build(tmp_path / "short", max_position_embeddings=33))
    for mode, head in (("add", "embedding"), ("cat", "masked"), ("deep", "masked")):
        with pytest.raises(InputError) as refusal:
            small(folder, model, mode=mode, head=head, prompt_tokens=30 if mode != "cat" else 60)
        most = int(str(refusal.value).rpartition("=")[2])
        small(folder, model, mode=mode, head=head, prompt_tokens=most)
        with pytest.raises(InputError, match="leaves no room"):
            small(folder, model, mode=mode, head=head, prompt_tokens=most + 1)


def test_bad_texts_are_refused_with_a_remedy(tmp_path: Path, zoo: Zoo) -> None:
    model = zoo.folder()
    one = write(tmp_path / "one.jsonl", [{"text": "x", "label": "a"}] * 4)
    with pytest.raises(InputError, match=r"needs examples of two labels or more, .* has only: a"):
        make("text", train=str(one), model=model, shots=1)
    two = write(tmp_path / "two.jsonl", [{"text": "x", "label": label} for label in "abab"])
    with pytest.raises(InputError, match=r"words must name the labels, with .*; it lacks a; not there are c"):
        make("text", train=str(two), words={"b": "b", "c": "c"}, model=model, shots=1)
    other = write(tmp_path / "other.jsonl", [{"text": "x", "label": "z"}])
    with pytest.raises(InputError, match=r"other\.jsonl:1: unknown label 'z'"):
        make("text", train=str(two), test=str(other), model=model, shots=1)
    empty = write(tmp_path / "empty.jsonl", [{"text": " ", "label": "a"}])
    with pytest.raises(InputError, match=r"empty\.jsonl:1: field 'text' is ' '; it must be text that is not empty"):
        make("text", train=str(two), test=str(empty), model=model, shots=1)


def test_a_test_set_that_the_template_does_not_fit_is_refused_before_anything_is_spent(
    tmp_path: Path, zoo: Zoo
) -> None:
    train = write(tmp_path / "train.jsonl", [{"text": "x", "label": label} for label in "abab"])
    test = write(tmp_path / "test.jsonl", [{"text_a": "x", "text_b": "y", "label": "a"}])
    with pytest.raises(InputError, match=r"template '\{text\}' has no \{text_a\}, which .*test\.jsonl:1 has"):
        make("text", train=str(train), test=str(test), model=zoo.folder(), shots=1, prompt_tokens=3)


@pytest.fixture(scope="module")
def knowing_more(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a model whose tokenizer knows a token, "zz", for which there is no embedding."""
    folder = build(tmp_path_factory.mktemp("models") / "bert")
    tokenizer = models.load(str(folder), "masked").tokenizer
    tokenizer.add_tokens(["zz"])
    tokenizer.save_pretrained(str(folder))
    models._load.cache_clear()
    return str(folder)


NO_EMBEDDING = "the token 'zz' has the id 1030, and model '.*' has embeddings for ids below 1030; leave the token out"


@pytest.mark.parametrize("mode", EVERYWHERE)
@pytest.mark.parametrize("head", ["embedding", "masked"])
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_token_without_an_embedding_is_refused_before_anything_is_spent_wherever_it_stands(
    tmp_path: Path, knowing_more: str, split: str, head: str, mode: str
) -> None:
    rows = [{"text": f"{word} film {i}", "label": word} for i in range(4) for word in ("bad", "good")]
    files = {"train": write(tmp_path / "train.jsonl", rows), "test": write(tmp_path / "test.jsonl", rows)}
    params: dict[str, Any] = {"model": knowing_more, "shots": 2, "prompt_tokens": 3, "head": head, "mode": mode}
    task = make("text", train=str(files["train"]), test=str(files["test"]), **params)
    assert np.isfinite(task.evaluate(points(1, task.space.dim))).all()
    last = rows[-1] if split == "test" else next(r for r in rows if r["text"] == task.rows(split)[-1].texts[0])
    path = files["test" if split == "test" else "train"]
    write(path, [{**row, "text": f"{row['text']} zz"} if row is last else row for row in rows])
    with pytest.raises(InputError, match=rf"{path}:{rows.index(last) + 1}: {NO_EMBEDDING}"):
        make("text", train=str(files["train"]), test=str(files["test"]), **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"head": "masked", "template": "zz [MASK] {text}"}, rf"train\.jsonl:\d: {NO_EMBEDDING}"),
        ({"head": "masked", "words": {"a": "good", "b": "zz"}}, f"label word 'zz': {NO_EMBEDDING}"),
        ({"head": "embedding", "words": {"a": "good", "b": "a zz"}}, f"label text 'a zz': {NO_EMBEDDING}"),
    ],
)
def test_a_template_or_a_word_without_an_embedding_is_refused(
    tmp_path: Path, knowing_more: str, params: dict[str, Any], message: str
) -> None:
    train = write(tmp_path / "train.jsonl", [{"text": "x", "label": label} for label in "abab"])
    with pytest.raises(InputError, match=message):
        make("text", train=str(train), model=knowing_more, shots=1, prompt_tokens=3, **params)


def test_labels_words_and_templates_that_look_the_same_are_the_same(tmp_path: Path, zoo: Zoo) -> None:
    composed, apart = ("n\u00e9gatif", "positif"), ("ne\u0301gatif", "positif")
    train = write(tmp_path / "train.jsonl", [{"text": f"a {i}", "label": composed[i % 2]} for i in range(4)])
    test = write(tmp_path / "test.jsonl", [{"text": f"b {i}", "label": apart[i % 2]} for i in range(4)])
    tasks = [
        make(
            "text",
            train=str(train),
            test=str(test),
            model=zoo.folder(),
            shots=1,
            prompt_tokens=0,
            template="{text} \u00e9" if words is composed else "{text} e\u0301",
            words=dict(zip(words, words, strict=True)),
        )
        for words in (composed, apart)
    ]
    for task in tasks:
        assert task.labels == task.embedding_texts == composed
        assert task.inputs("test") == tasks[0].inputs("test")
        assert sorted({row.label for row in task.rows("test")}) == list(composed)


def test_a_prefix_begins_as_the_first_train_ids_and_is_scaled_by_block(folder: Path, zoo: Zoo) -> None:
    task = small(folder, zoo.folder("llama"), head="causal", mode="prefix", initial=None)
    assert task._prompts.steps is not None
    first = [i for text in task.inputs("train") for i in text.ids][:TOKENS]
    (start,) = task.prompts(task.space.start)
    np.testing.assert_allclose(start, task.local.mode.written(first), rtol=1e-5, atol=1e-6)
    scales = np.array(task.local.mode.block_scales(text.ids for text in task.inputs("train"))).reshape(2, 2, 1, 1)
    moved = task.prompts(Dense(task.space.start.dense() + task.space.scale))[0] - start
    np.testing.assert_allclose(moved, np.broadcast_to(scales, moved.shape), rtol=1e-4)
    assert task.space.meaning == ""
    # A prompt of many tokens begins as the train texts over and over.
    assert (
        small(folder, zoo.folder("gpt2"), head="causal", mode="prefix", prompt_tokens=40, shots=1, initial=None)
        .space.start.dense()
        .any()
    )


def test_a_prompt_after_the_text_needs_a_template_that_goes_on(tmp_path: Path, zoo: Zoo) -> None:
    train = write(tmp_path / "train.jsonl", [{"text": "x", "label": label} for label in "abab"])
    given: dict[str, Any] = {
        "train": str(train),
        "head": "causal",
        "model": zoo.folder("gpt2"),
        "shots": 1,
        "mode": "after",
    }
    with pytest.raises(InputError, match=r"'it is \{text\} ' ends with the text.*; pass a template that goes on after"):
        make("text", template="it is {text} ", prompt_tokens=3, **given)
    task = make("text", template="{text} was", prompt_tokens=3, **given)
    assert task.inputs("train")[0].end == len(task.inputs("train")[0].ids) - 1


def test_a_prompt_after_the_text_costs_a_service_every_token(folder: Path, zoo: Zoo) -> None:
    after, before = (small(folder, zoo.folder("llama"), head="causal", mode=m) for m in ("after", "inputs_embeds"))
    assert after.cost == before.cost
    assert after.space.meaning != before.space.meaning


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"words": {"a": "good", "b": "goodly"}}, "'good' and 'goodly' begin with the same token 'good'; choose"),
        ({"words": {"a": "good", "b": "日本"}}, "label word '日本' has no token in model .*; choose another word"),
        ({"template": "{text} it was"}, r"must hold \[MASK\] exactly once for head=masked"),
        ({"template": "[MASK] {text} [MASK]"}, r"must hold \[MASK\] exactly once for head=masked"),
        ({"template": "{text_a} [MASK]"}, r"has no \{text\}, which .*train\.jsonl:\d has"),
    ],
)
def test_words_and_templates_that_do_not_serve_are_refused(
    tmp_path: Path, zoo: Zoo, params: dict[str, Any], message: str
) -> None:
    train = write(tmp_path / "train.jsonl", [{"text": "x", "label": label} for label in "abab"])
    with pytest.raises(InputError, match=message):
        make("text", train=str(train), head="masked", model=zoo.folder(), shots=1, prompt_tokens=3, **params)


def test_without_a_folder_or_the_hub_the_remedy_is_a_folder(zoo: Zoo) -> None:
    with pytest.raises(InputError, match=r"pass data_dir=FOLDER or set DFO_BENCH_DATA"):
        make("agnews", model=zoo.folder())


def test_the_shipped_task_runs_on_the_default_model_as_padded_forwards_would() -> None:
    task = make("helpdesk", shots=2, prompt_tokens=4, mode="add", include_prompt=True)
    x = task.space.scale * np.random.default_rng(0).standard_normal((3, task.space.dim))
    np.testing.assert_allclose(task.evaluate(Dense(x)), padded(task, x), atol=1e-5)
    assert task.splits == ("dev", "test")


def padded(task: Any, x: Array) -> list[float]:
    """Return the losses of one padded forward per candidate with the stock model."""
    loaded = models.load("", "embedding")
    inputs, labels = (
        task.inputs("train"),
        loaded.tokenizer(list(task.embedding_texts), padding=True, return_tensors="pt"),
    )
    batch = loaded.tokenizer.pad({"input_ids": [list(text.ids) for text in inputs]}, return_tensors="pt")
    classes = torch.tensor([task.labels.index(row.label) for row in task.rows("train")])

    def embed(ids: torch.Tensor, seen: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        def put(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            output[:, 1 : 1 + len(prompt)] += prompt
            return output

        with loaded.model.embeddings.register_forward_hook(put):
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


def test_texts_that_are_cut_are_told_in_the_events_of_the_run(tmp_path: Path, zoo: Zoo) -> None:
    rows = [{"text": f"{word} film " * size, "label": word} for word in ("bad", "good") for size in (1, 40)]
    task = make("text", train=str(write(tmp_path / "train.jsonl", rows)), model=zoo.folder(), shots=1, prompt_tokens=3)
    task.measure(task.space.start, "dev")
    cut = {split: task.truncated(split) for split in ("train", "dev")}
    assert sum(cut.values()) == 2
    assert [event.split(" texts")[0] for event in task.events] == [f"{n} of 2 {split}" for split, n in cut.items() if n]


@pytest.mark.parametrize("words", [{"a": "same", "b": "same"}, {"a": "one", "b": " "}])
def test_label_texts_that_are_one_or_empty_are_refused(tmp_path: Path, zoo: Zoo, words: dict[str, str]) -> None:
    train = write(tmp_path / "train.jsonl", [{"text": "x", "label": label} for label in "abab"])
    with pytest.raises(InputError, match="label texts must be different, and none empty"):
        make("text", train=str(train), words=words, model=zoo.folder(), shots=1, prompt_tokens=3)
