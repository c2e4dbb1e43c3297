"""Sweeps and compactions that die at random moments and are resumed: everything must be as if nobody had died.

A process dies by os._exit at a change it makes to the file system: before it, after it, or, of a write, with half of
it done. First every moment of one sweep is counted; then KILLS sweeps die, half of them at a moment drawn from all, the
others at one drawn from the rare ones (a run's last lines, its curve, its summary, the journal's removal). What dies
once may die again when it resumes. Each store must open in between, and end with the evaluations, losses, bests,
digests and measurements of a sweep that nobody killed; a death may cost one batch, and that must be counted.
Then a compaction, and a reader that writes its cache, die at every moment they have.

Run: python benchmarks/fire.py [KILLS [SEED]]
"""

import multiprocessing
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import dfo_bench
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Listener

TASK = '''
from pathlib import Path
from dfo_bench.core import Anchor, Array, Cost, Points, Rngs, Space, Task


class Burning(Task):
    """A shifted sphere in three blocks, with dev and test, that notes what it is asked for."""

    metric, splits = "closeness", ("dev", "test")

    def __init__(self, *, rngs: Rngs, log: str = "") -> None:
        self.space = Space(12, -2.0, 2.0, Anchor.origin(12), 1.0, 3)
        self.shift, self.log = rngs("shift").uniform(-1, 1, 12), log

    def evaluate(self, points: Points) -> Array:
        with open(self.log, "a") as file:
            file.write("".join(f"{digest}\\n" for digest in points.digests()))
        return ((points.dense() - self.shift) ** 2).sum(axis=1)

    def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
        loss = float(((point.dense()[0] - self.shift - len(split) / 10) ** 2).sum())
        return {"loss": loss, "closeness": 1 / (1 + loss)}, Cost(examples=10)
'''

AXES: dict[str, Any] = {
    "optimizers": ["cma", "random", "sre:stages=2", "one_plus_one"],
    "dim": 3,
    "budget": 30,
    "dev_every": 10,
    "seeds": range(2),
}
BATCH = 20
"""The largest batch of these optimizers: what a kill may cost."""

DIED = 9
CALLS = Path("calls")


def sweep(path: Path) -> None:
    # The log is named relative to the working folder, so that every sweep has the same keys.
    dfo_bench.sweep(tasks=["burning:log=calls"], store=path, listener=Listener(), **AXES)


def compact(path: Path) -> None:
    Store(path).compact()


def read(path: Path) -> None:
    store = Store(path)
    store.runs(), store.measures(), store.curves(improvements=True)


def dying(work: Callable[[Path], None], path: Path, moment: int | None) -> tuple[bool, list[str]]:
    """Work in a process that dies at a moment (never where None); say whether it died, and list the moments passed."""
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_burn, args=(work, path, moment, theirs))
    process.start()
    theirs.close()
    try:
        passed: list[str] = ours.recv()
    except EOFError:
        passed = []
    process.join()
    if process.exitcode not in (0, DIED):
        raise RuntimeError(f"a child ended with {process.exitcode}")
    return process.exitcode == DIED, passed


def _burn(work: Callable[[Path], None], path: Path, moment: int | None, pipe: Any) -> None:
    passed: list[str] = []

    def at(name: str) -> bool:
        passed.append(name)
        return len(passed) - 1 == moment

    def guarded(name: str, change: Callable[..., Any], half: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def changed(target: Any, *rest: Any, **given: Any) -> Any:
            what = f"{name} {_what(target, rest)}"
            if at(f"before {what}"):
                os._exit(DIED)
            if half and at(f"half of {what}"):
                half(target, *rest, **given)
                os._exit(DIED)
            result = change(target, *rest, **given)
            if at(f"after {what}"):
                os._exit(DIED)
            return result

        return changed

    write, write_table, write_text = os.write, pq.write_table, Path.write_text

    def half_table(table: Any, target: Any, **given: Any) -> None:
        write_table(table, target, **given)
        os.truncate(target, os.stat(target).st_size // 2)

    os.write = guarded("write", write, lambda fd, data: write(fd, data[: len(data) // 2]))
    pq.write_table = guarded("write table", write_table, half_table)
    Path.write_text = guarded(  # type: ignore[method-assign]
        "write text",
        write_text,
        lambda file, text, encoding: file.write_bytes(text[: len(text) // 2].encode(encoding)),
    )
    for name in ("replace", "rename", "unlink", "rmdir", "mkdir", "ftruncate"):
        setattr(os, name, guarded(name, getattr(os, name)))
    work(path)
    # The pipe writes by os.write, too.
    os.write = write
    pipe.send(passed)
    os._exit(0)


def _what(target: Any, rest: tuple[Any, ...]) -> str:
    """Name the file of a change without its folder."""
    if isinstance(target, int):
        target = os.readlink(f"/proc/self/fd/{target}")
    elif not isinstance(target, str | os.PathLike):
        target = rest[0]
    name = Path(target).name
    return "KEY" if len(name.strip(".").partition(".")[0]) == 16 else name


def facts(path: Path) -> list[pd.DataFrame]:
    """Return what no kill may change; times, memory, attempts and what was repaid it may."""
    store = Store(path)
    runs = store.runs()
    changing = [c for c in runs if str(c).endswith("seconds") or c in ("ended", "attempts", "repaid", "peak_memory")]
    curves = [store.curves(improvements=improvements) for improvements in (False, True)]
    summaries = [summary for key in store if (summary := store.summary(key))]
    kept = [{"incumbent": summary.incumbent, "selected": summary.selected} for summary in summaries]
    return [
        runs.drop(columns=changing),
        *(curve.drop(columns=["task_seconds", "optimizer_seconds"]) for curve in curves),
        store.measures(),
        pd.DataFrame(kept).astype(str),
    ]


def differs(path: Path, expected: list[pd.DataFrame]) -> bool:
    return not all(one.equals(other) for one, other in zip(facts(path), expected, strict=True))


def survive(path: Path, moment: int, rng: np.random.Generator, expected: list[pd.DataFrame]) -> tuple[int, int, str]:
    """Let a sweep die, and maybe what resumes it, too; return deaths, repaid evaluations, and what is wrong."""
    CALLS.unlink(missing_ok=True)
    deaths = 0
    next_death: int | None = moment
    while dying(sweep, path, next_death)[0]:
        deaths += 1
        if (path / "dfo-bench.json").exists():
            Store(path).runs()
        next_death = int(rng.integers(2 * moment + 2)) if rng.random() < 0.5 else None
    repaid = len(CALLS.read_text(encoding="utf-8").split()) - int(expected[0]["evaluations"].sum())
    counted = int(Store(path).runs()["repaid"].sum())
    wrong = "the store differs" if differs(path, expected) else ""
    if not 0 <= repaid <= min(counted, BATCH * deaths):
        wrong += f"; {repaid} evaluations were paid again and {counted} counted, in {deaths} deaths"
    return deaths, repaid, wrong


def sweeps(folder: Path, kills: int, seed: int) -> int:
    """Let sweeps die at random moments; return in how many something was wrong."""
    _, passed = dying(sweep, folder / "whole", None)
    expected, rng = facts(folder / "whole"), np.random.default_rng(seed)
    rare = [i for i in range(len(passed)) if any("write journal" not in name for name in passed[i : i + 3])]
    print(f"{len(expected[0])} runs, {len(expected[1])} evaluations, {len(passed)} moments, {len(rare)} of them rare")
    where: Counter[str] = Counter()
    deaths = repaid = bad = 0
    for number in range(kills):
        moment = int(rng.choice(rare) if number % 2 else rng.integers(len(passed)))
        more, again, wrong = survive(folder / "killed", moment, rng, expected)
        where[passed[moment]] += 1
        deaths, repaid, bad = deaths + more, repaid + again, bad + bool(wrong)
        if wrong:
            print(f"killed {passed[moment]} (moment {moment}): {wrong}", flush=True)
        shutil.rmtree(folder / "killed")
        if number % 20 == 19:
            print(f"{number + 1} of {kills}", file=sys.stderr, flush=True)
    for name, count in where.most_common():
        print(f"{count:4} x {name}")
    print(
        f"{kills} sweeps killed, {deaths} deaths with those that died again, {repaid} evaluations repaid, {bad} wrong"
    )
    return bad


def every_moment(work: Callable[[Path], None], folder: Path) -> int:
    """Let work on a finished store die at every moment it has; return after how many something was wrong."""
    expected = facts(folder / "whole")
    shutil.rmtree(folder / "whole" / "cache")
    bad = moment = 0
    died = True
    while died:
        shutil.copytree(folder / "whole", folder / "killed")
        died, _ = dying(work, folder / "killed", moment)
        wrong = differs(folder / "killed", expected)
        dying(work, folder / "killed", None)
        wrong |= differs(folder / "killed", expected)
        bad += wrong
        moment += 1
        shutil.rmtree(folder / "killed")
    print(f"{work.__name__} killed at each of its {moment - 1} moments, {bad} wrong")
    return bad


def declare(folder: Path) -> None:
    """Make the task known, as an installed package would."""
    info = folder / "burning-1.dist-info"
    info.mkdir(parents=True)
    (folder / "burning_plugin.py").write_text(TASK, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: burning\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[dfo_bench.tasks]\nburning = burning_plugin\n", encoding="utf-8")
    sys.path.insert(0, str(folder))


if __name__ == "__main__":
    kills, seed = (int(text) for text in [*sys.argv[1:], *["200", "0"][len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        declare(Path(name) / "plugin")
        wrong = sweeps(Path(name), kills, seed) + every_moment(compact, Path(name)) + every_moment(read, Path(name))
    sys.exit(1 if wrong else 0)
