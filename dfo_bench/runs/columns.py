"""The columns of a store's frames `runs`, `curves` and `measures`.

A score is a column of `runs`, too: `dev_accuracy` is the metric `accuracy` on dev, at the evaluation that dev selects.
"""

from collections.abc import Iterable

GROUP = ["task", "optimizer", "projection", "dim", "budget", "dev_every", "selection"]
"""What names a group of runs that differ only in their seed."""

REFERENCE = "reference"
"""What stands for the projection of a reference, which has none."""

RUN = [*GROUP, "seed"]
"""What names a run, in the order in which `runs` is sorted."""

STATE = ["status", "error", "best_loss", "evaluations", "optimum", "baseline", "sees", "metric"]
"""How a run stands; `baseline` is whether its optimizer only ever evaluates one point, so that nothing is searched.

`sees` is what its method is told: losses, outputs, features, gradients or weights. `metric` is the one by which dev
selects, "" where there is none.
"""

CALLS = ["examples", "tokens", "bytes_up_z", "bytes_up_prompt", "bytes_down"]
"""What an evaluation costs where the task is a service, summed over the run; see `dfo_bench.core.Cost`."""

SECONDS = ["task_seconds", "optimizer_seconds", "measuring_seconds", "task_cpu_seconds", "optimizer_cpu_seconds"]

MEMORY = ["peak_memory", "peak_device_memory"]

SENT = ["sent_up", "sent_down"]
"""The bytes that evaluations really sent to a service and got back, headers apart; nan where they asked none."""

MADE = ["backend", "ended", "data"]
"""What computed the task, of its parameter of that name: it changes no result beyond rounding, but the seconds.

`ended` is when, in ISO 8601; of one under way, when its journal was last written. `data` is a digest of the contents of
train, dev, test and model, "" where the task names no files.
"""

ROWS = ["train_rows", "dev_rows", "test_rows"]
"""How many texts each split has, 0 where it is not known or has not been scored."""

WORDS = ["repeats", "prompt"]
"""How many evaluations came to what was known and cost no call, which are in none of CALLS; and the selected candidate
as text, where it is some."""

CHECKED = ["checks"]
"""What was to be known of the task before the run began, a line each."""

MONEY = "money"
"""What the tokens of a run cost, those of dev and test included; only where its store knows a price."""

RACE = ["race_margin", "race_seeds"]
"""Within what share of the larger loss methods tie, and the most seeds; only where methods raced, and nan elsewhere."""

TROUBLES = ["attempts", "repaid", "discarded", "lost"]

SPLITS = ["dev", "test"]

CURVE = ["key", "evaluation", "loss", "best", "digest", "task_seconds", "optimizer_seconds"]

PREDICTIONS = ["key", "split", "metric", "rows", "truth", "predicted"]

MEASURE = ["key", "evaluation", "split", "metric", "value"]

RUNS = [
    "key",
    *RUN,
    *STATE,
    *CALLS,
    *SECONDS,
    *MEMORY,
    *SENT,
    *MADE,
    *ROWS,
    *CHECKED,
    *WORDS,
    *TROUBLES,
    *(f"measuring_{cost}" for cost in CALLS),
]
"""All columns of `runs` but the scores."""


def scores(columns: Iterable[str], split: str) -> list[str]:
    """Return those of the columns of `runs` that are scores on a split."""
    return [column for column in columns if column.startswith(f"{split}_") and column not in RUNS]


def meets(metric: str) -> str:
    """Return the column of `runs` that a metric of this name would hide; "" where there is none."""
    return next((column for split in SPLITS if (column := f"{split}_{metric}") in RUNS), "")
