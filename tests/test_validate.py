"""`dfo-bench validate`: the authors' recording, synthetic ones of other sizes, and folders that are none."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import RobertaConfig, RobertaForMaskedLM

from dfo_bench import cli, validate
from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins.component import Component, parse

PARITY = Path(__file__).parent / "data" / "parity"

Arrays = dict[str, Any]


def rows(folder: Path) -> list[validate.Row]:
    return list(validate.rows(Component("parity", {"fixture": str(folder)})))


def changed(folder: Path, mode: str, change: Callable[[Arrays], object]) -> Path:
    """Change a recording's arrays."""
    path = folder / f"{mode}.npz"
    arrays = dict(np.load(path))
    change(arrays)
    np.savez(path, **arrays)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the authors' recording."""
    return Path(shutil.copytree(PARITY, tmp_path / "parity"))


def record(folder: Path, modes: tuple[str, ...], *, hidden: int, tokens: int, labels: int, texts: int) -> Path:
    """Record a stock model module by module, all texts in one padded batch."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = RobertaConfig(
            vocab_size=2400,
            hidden_size=hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=2 * hidden,
            max_position_embeddings=80,
            initializer_range=0.25,
            type_vocab_size=1,
        )
        model: Any = RobertaForMaskedLM(config)
    model.eval().requires_grad_(False).set_attn_implementation("eager")
    model.save_pretrained(folder / "model")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(PARITY / "model" / name, folder / "model")
    rng = np.random.default_rng(1)
    z, A = rng.normal(size=(3, 10)), rng.normal(size=(tokens * hidden, 10)).astype(np.float32) / 3
    label_ids = rng.choice(np.arange(200, 900), labels, replace=False)
    classes = rng.integers(labels, size=texts)
    for mode in modes:
        slots = list(range(1000, 1000 + tokens)) if mode == "add" else []
        lengths = rng.integers(4, 20, size=texts)
        sentences = [[0, *slots, *rng.integers(1100, 2400, size=n).tolist(), 4, 2] for n in lengths]
        longest = max(map(len, sentences))
        ids = np.array([sentence + [1] * (longest - len(sentence)) for sentence in sentences])
        seen = (ids != 1).astype(np.int64)
        mask_pos = seen.sum(axis=1) - 2
        logits = []
        for prompt in torch.tensor((z @ A.T).reshape(-1, tokens, hidden), dtype=torch.float32):
            rows, mask, before = model.roberta.embeddings(input_ids=torch.tensor(ids)), torch.tensor(seen), 0
            if mode == "add":
                rows[:, 1 : 1 + tokens] += prompt
            else:
                rows = torch.cat([prompt.expand(texts, -1, -1), rows], dim=1)
                mask, before = torch.nn.functional.pad(mask, (tokens, 0), value=1), tokens
            hidden_mask = (1 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            last = model.roberta.encoder(rows, attention_mask=hidden_mask).last_hidden_state
            scores = model.lm_head(last[torch.arange(texts), torch.tensor(mask_pos) + before])
            logits.append(scores[:, torch.tensor(label_ids)])
        targets = torch.tensor(classes)
        np.savez(
            folder / f"{mode}.npz",
            z=z,
            A=A,
            input_ids=ids,
            attention_mask=seen,
            mask_pos=mask_pos,
            labels=label_ids[classes],
            label_ids=label_ids,
            loss_ce=[torch.nn.functional.cross_entropy(x, targets) for x in logits],
            # PyTorch divides by the number of classes.
            loss_hinge=[labels * torch.nn.functional.multi_margin_loss(x, targets, margin=2) for x in logits],
            loss_perf=[-(x.argmax(1) == targets).float().mean() for x in logits],
            logits2=torch.stack(logits),
        )
    return folder


def test_the_recording_of_the_authors_program_is_matched() -> None:
    found = rows(PARITY)
    names = ("loss_ce", "loss_hinge", "loss_perf", "logits2")
    assert [row.what for row in found] == [f"{mode} {name}" for mode in ("add", "cat") for name in names]
    assert all(row.matched for row in found), found
    # The losses are held to what the recording promises, the logits to what fp32 can keep.
    assert all(row.tolerance == 1e-5 for row in found if row.what.endswith(("ce", "hinge")))
    assert all(row.tolerance < 1e-4 for row in found)


@pytest.mark.parametrize(
    ("hidden", "tokens", "labels", "texts"), [(16, 1, 2, 3), (24, 5, 3, 7), (64, 12, 14, 6)], ids=str
)
def test_recordings_of_other_sizes_are_matched(
    tmp_path: Path, hidden: int, tokens: int, labels: int, texts: int
) -> None:
    found = rows(record(tmp_path, ("add", "cat"), hidden=hidden, tokens=tokens, labels=labels, texts=texts))
    assert len(found) == 8
    assert all(row.matched for row in found), found


def test_one_mode_is_enough(copy: Path) -> None:
    (copy / "add.npz").unlink()
    assert {row.what.split()[0] for row in rows(copy)} == {"cat"}


def one_candidate(arrays: Arrays) -> None:
    arrays["z"][3, 5] += 0.01


@pytest.mark.parametrize("mode", ["add", "cat"])
def test_a_candidate_that_is_another_is_not_matched(copy: Path, mode: str) -> None:
    missed = [row.what for row in rows(changed(copy, mode, one_candidate)) if not row.matched]
    assert missed == [f"{mode} loss_ce", f"{mode} loss_hinge", f"{mode} logits2"]


@pytest.mark.parametrize("name", ["loss_ce", "loss_hinge", "loss_perf", "logits2"])
def test_a_figure_that_is_another_is_not_matched(copy: Path, name: str) -> None:
    def change(arrays: Arrays) -> None:
        arrays[name].flat[-1] -= 1e-4

    missed = [row for row in rows(changed(copy, "cat", change)) if not row.matched]
    assert [row.what for row in missed] == [f"cat {name}"]
    assert missed[0].difference == pytest.approx(1e-4, rel=0.2)


def test_a_figure_that_is_no_number_is_not_matched(copy: Path) -> None:
    def change(arrays: Arrays) -> None:
        arrays["loss_ce"][2] = np.nan

    assert [row.what for row in rows(changed(copy, "add", change)) if not row.matched] == ["add loss_ce"]


def put(name: str, value: Callable[[Any], Any]) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: value(arrays[name])})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda arrays: arrays.pop("labels"), "lacks labels; it must hold z, A"),
        (put("A", lambda rows: rows[:, 1:]), r"A has shape \(1600, 63\); it must be \(D, 64\)"),
        (put("loss_ce", lambda loss: loss[:, None]), r"loss_ce has shape \(6, 1\); it must be \(6\)"),
        (put("logits2", lambda logits: logits[:, :, :1]), r"logits2 .* must be \(6, 16, 2\)"),
        (put("z", lambda z: z[:0]), "none of them 0"),
        (put("A", lambda rows: rows[1:]), "A has 1599 rows, which is no multiple of the model's hidden size 32"),
        (put("input_ids", lambda ids: ids + 2000), "a token id is 4399, and the model knows 0 to 2399"),
        (put("labels", lambda labels: labels + 1), "labels holds ids that label_ids does not"),
        (put("mask_pos", lambda at: at + 500), "mask_pos points to where attention_mask is not 1"),
        (put("mask_pos", lambda at: at - 100), "mask_pos points to where attention_mask is not 1"),
        (put("attention_mask", lambda seen: seen * 0), "mask_pos points to where attention_mask is not 1"),
        (put("A", lambda rows: np.tile(rows, (2, 1))), "has no room for 100 prompt slots"),
        (put("z", lambda z: np.full(z.shape, "many")), "cannot be read as NumPy's .npz"),
        (put("z", lambda z: z.astype(object)), "cannot be read as NumPy's .npz"),
    ],
)
def test_what_does_not_fit_is_refused(copy: Path, change: Callable[[Arrays], object], problem: str) -> None:
    changed(copy, "add", change)
    with pytest.raises(InputError, match=problem):
        rows(copy)


def test_a_text_too_long_for_its_model_is_refused(copy: Path) -> None:
    changed(copy, "cat", put("A", lambda rows: np.tile(rows, (10, 1))))
    with pytest.raises(InputError, match="a text of 40 tokens and a prompt of 500 are more than 512"):
        rows(copy)


def test_a_folder_that_is_no_recording_is_refused(copy: Path) -> None:
    (copy / "cat.npz").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"cat\.npz cannot be read as NumPy's \.npz: .*; copy it again"):
        rows(copy)
    (copy / "cat.npz").write_bytes((PARITY / "cat.npz").read_bytes()[:100_000])
    with pytest.raises(InputError, match="copy it again"):
        rows(copy)
    shutil.rmtree(copy / "model")
    with pytest.raises(InputError, match=r"holds no model/; name a folder with model/ and add\.npz, cat\.npz or both"):
        rows(copy)
    with pytest.raises(InputError, match=r"holds no add\.npz or cat\.npz"):
        rows(copy / "nowhere")


@pytest.mark.parametrize(
    ("text", "error", "problem"),
    [
        ("partiy:fixture=.", UnknownNameError, "no validation named 'partiy'; did you mean parity"),
        ("parity:fixtures=.", UnknownNameError, "no parameter of validation parity named 'fixtures'; did you mean"),
        ("parity", InputError, r"needs fixture; write parity:fixture=\.\.\."),
        ("parity:fixture=[1]", InputError, r"fixture=\[1\]: input should be a valid string"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_computed(
    text: str, error: type[InputError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        validate.rows(parse(text))


def test_the_command_says_what_matched_and_exits_0_1_or_2(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*ids: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["dfo-bench", "validate", *ids])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (ended.value.code, *capsys.readouterr())

    good = f"parity:fixture={PARITY}"
    status, out, err = command(good)
    assert (status, err) == (0, "")
    assert [line.split()[6] for line in out.splitlines()[2:]] == ["yes"] * 8

    status, out, err = command(f"parity:fixture={changed(copy, 'add', one_candidate)}", good)
    assert (status, err) == (1, "dfo-bench: figures that are not matched: 3\n")
    assert [line.split()[6] for line in out.splitlines() if line.startswith(("add", "cat"))].count("yes") == 13

    status, out, err = command(good, "party")
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_without_names_all_that_need_no_parameter_are_run_and_the_others_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "free.py").write_text(
        "from dfo_bench.validate import Row\n"
        "def free(*, seeds: int = 2):\n"
        "    yield Row('half', 0.5, 0.5, 0.0, 0.1, True, f'{seeds} seeds')\n"
    )
    (tmp_path / "bound.py").write_text("def bound(*, fixture: str):\n    yield from ()\n")
    monkeypatch.setattr(validate, "__path__", [str(tmp_path)])
    monkeypatch.setattr(sys, "argv", ["dfo-bench", "validate"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "half" in said.out
    assert "2 seeds" in said.out
    assert said.err == "dfo-bench: left out, because they need a parameter: bound:fixture=...\n"
