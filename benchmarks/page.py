"""The report of a big sweep: how large its page is, and how long a browser takes to open it.

10 optimizers x 7 tasks x 10 seeds x 8,000 calls, made up: the curves improve ever more rarely, as real ones do.
Needs Debian's chromium and the package playwright for the second part.
"""

import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from _timing import machine
from playwright.sync_api import sync_playwright

from dfo_bench.report.page.page import build_page

OPTIMIZERS, TASKS, SEEDS, CALLS, DEV_EVERY = 10, 7, 10, 8000, 100
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def sweep() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return runs, the improvements of their curves, and measures."""
    rng = np.random.default_rng(0)
    runs, curves, measures = [], [], []
    at = np.arange(DEV_EVERY, CALLS + 1, DEV_EVERY)
    for number, (task, optimizer, seed) in enumerate(product(range(TASKS), range(OPTIMIZERS), range(SEEDS))):
        key = f"{number:016x}"
        calls = np.arange(1, CALLS + 1)
        losses = 0.6 + 0.8 * np.exp(-calls / (400 * (1 + optimizer))) + rng.exponential(0.02, CALLS)
        best = np.minimum.accumulate(losses)
        seconds = {
            "task_seconds": 0.02 * calls * rng.lognormal(0, 0.2),
            "optimizer_seconds": 0.001 * calls * (1 + optimizer),
        }
        table = pd.DataFrame({"evaluation": calls, "loss": losses, "best": best, "digest": "", **seconds})
        curves.append(table[best < np.concatenate([[np.inf], best[:-1]])].assign(key=key))
        scores = {"accuracy": np.round(32 * (1.4 - best[at - 1])) / 32, "loss": best[at - 1] + 0.1}
        for metric, values in scores.items():
            score = {"key": key, "evaluation": at, "split": "dev", "metric": metric, "value": values}
            measures.append(pd.DataFrame(score))
        each = {"examples": 64, "tokens": 1900 + 10 * seed, "bytes_up_z": 8000, "bytes_up_prompt": 40000 + seed}
        row = {
            "key": key, "task": f"task{task}", "optimizer": f"optimizer{optimizer}", "projection": "normal",
            "dim": 500, "budget": CALLS, "seed": seed, "dev_every": DEV_EVERY, "selection": "incumbent",
            "status": "finished", "error": "", "best_loss": best[-1], "evaluations": CALLS, "optimum": np.nan,
            "baseline": False, "sees": "losses",
            "attempts": 1, "repaid": 0, "discarded": 0, "peak_memory": 1e9, "bytes_down": 1024 * CALLS,
        }  # fmt: skip
        row |= {name: cost * CALLS for name, cost in each.items()}
        row |= {name: clock[-1] for name, clock in seconds.items()}
        row |= {f"{split}_{metric}": values[-1] for split in ("dev", "test") for metric, values in scores.items()}
        runs.append(row)
    return pd.DataFrame(runs), pd.concat(curves, ignore_index=True), pd.concat(measures, ignore_index=True)


def main() -> None:
    """Build the page, open it, and print a line for each."""
    runs, curves, measures = sweep()
    print(machine())
    print(f"{len(runs)} runs of {CALLS:,} calls, {len(curves):,} improvements, {len(measures):,} measurements")
    began = time.process_time()
    page = build_page(runs, curves, measures, title="big", commands=[], provenance={})
    print(f"built in {time.process_time() - began:.1f} s of CPU: {len(page.encode()) / 1e6:.1f} MB")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(3):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            meter = tab.context.new_cdp_session(tab)
            meter.send("Performance.enable", {"timeDomain": "threadTicks"})
            began = time.perf_counter()
            tab.goto(path.as_uri())
            tab.wait_for_selector(".plot .main-svg")
            wall = time.perf_counter() - began
            counts = {one["name"]: one["value"] for one in meter.send("Performance.getMetrics")["metrics"]}
            print(
                f"opened, first figures drawn: {wall:.1f} s, {counts['TaskDuration']:.1f} s of CPU of its main thread"
            )
            tab.close()
        browser.close()


if __name__ == "__main__":
    main()
