"""One run on the terminal: what it is, how it went, and what its prompt is near to."""

import re
from pathlib import Path

import pytest

from dfo_bench.errors import InputError
from dfo_bench.report.show import show as write
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.text_runs import run
from tests.tiny_lm import Zoo
from tests.toys import interrupt, planned


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def show(store: Store, run: str = "best") -> str:
    return write(store.view(run))


def _toy(store: Store, optimizer: str = "odd", task: str = "toy", seed: int = 0) -> str:
    return execute(planned(task, optimizer, dim=3, budget=40, seed=seed), store.path).key


def test_a_run_is_shown_by_a_beginning_of_its_key_with_curve_scores_and_cost(store: Store, toys: Path) -> None:
    key = _toy(store)
    text = show(store, key[:10])
    assert text == show(store, key)
    for part in (f"run {key}: odd on toy, normal, seed 0", "finished, 40 of 40", "test closeness", "1,200, and "):
        assert part in text
    head, *drawn = re.findall(r"^  [ \d.]{5,} ([▁▂▃▄▅▆▇█ ]+)$", text, re.MULTILINE)
    assert head.startswith("█")
    assert len(drawn) == 7
    assert len(drawn[-1]) == 60
    assert max(map(len, text.splitlines())) <= 80


def test_the_best_search_of_test_functions_is_that_of_the_lowest_loss(store: Store, toys: Path) -> None:
    keys = {_toy(store, seed=seed) for seed in range(3)}
    best = store.runs().set_index("key")["best_loss"].idxmin()
    assert best in keys
    assert show(store).startswith(f"run {best}")
    _toy(store, task="toy:dim=6")
    with pytest.raises(InputError, match="has searches of 2 tasks; name a run by its key"):
        show(store)


def test_a_failed_run_says_why_and_an_unfinished_one_how_far(store: Store, toys: Path) -> None:
    failed = _toy(store, "odd:fail=third")
    assert "lost my way" in show(store, failed)
    interrupt(planned("toy", "odd", dim=3, budget=60), store.path, after=20)
    (other,) = set(store) - {failed}
    assert "unfinished, 20 of 60" in show(store, other)
    with pytest.raises(InputError, match="has no finished search"):
        show(store)


def test_the_step_that_was_found_is_among_the_events_of_a_run(store: Store, toys: Path) -> None:
    text = show(store, _toy(store, task="toy:steps=true"))
    assert re.search(r"^  event +alpha=auto: [\d.]+$", text, re.MULTILINE)


def test_a_run_without_a_loss_has_no_picture(store: Store, toys: Path) -> None:
    assert "best loss over" not in show(store, _toy(store, "odd:fail=constructor"))


def test_the_words_nearest_to_a_prompt_are_named_where_it_is_made_of_word_embeddings(store: Store, zoo: Zoo) -> None:
    causal = {"head": "causal", "mode": "inputs_embeds"}
    key = run(store, zoo.folder("gpt2"), "random", **causal).key
    text = show(store)
    assert text.startswith(f"run {key}")
    assert len(re.findall(r"^ {4} +\d  \S+", text, re.MULTILINE)) == 3
    assert re.search(r"test accuracy +0?\.?\d+ \(95 % .* to .*, 12 rows\)", text)
    added = run(store, zoo.folder("gpt2"), "random", head="causal", mode="add").key
    assert "nearest words: none, for mode=add" in show(store, added)
    with pytest.raises(InputError, match=f"2 tasks; show the best of one: .*{key}"):
        show(store)


def test_a_prompt_whose_model_is_gone_is_shown_without_its_words(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    key = run(store, zoo.folder("gpt2"), "random", head="causal", mode="inputs_embeds").key
    (tmp_path / "train.jsonl").unlink()
    assert "nearest words: not known, " in show(store, key)
