"""The prices of tokens: a file of a store with a price per million of them for each task, as its runs name it.

It changes no run and no key, so it may come after the runs, and change.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dfo_bench.errors import InputError, StoreError
from dfo_bench.runs.columns import MONEY
from dfo_bench.store.atomic import write_text
from dfo_bench.store.filenames import PRICES

if TYPE_CHECKING:
    import pandas as pd

MILLION = 1_000_000


def check_price(price: float) -> None:
    """Raise InputError for what is no price."""
    if not 0 <= price < math.inf:
        raise InputError(f"price must be a number per million tokens, 0 or more, got {price!r}")


def write_price(store: Path, tasks: Iterable[str], price: float) -> None:
    """Set the price of tasks; those of others stay. Raise InputError for what is no price."""
    check_price(price)
    write_prices(store, read_prices(store) | dict.fromkeys(tasks, price))


def write_prices(store: Path, known: Mapping[str, float]) -> None:
    """Write the price of every task that has one."""
    write_text(store / PRICES, json.dumps(dict(known), indent=1, sort_keys=True) + "\n")


def read_prices(store: Path) -> dict[str, float]:
    """Return the price of every task that has one."""
    path = store / PRICES
    try:
        return {str(task): float(price) for task, price in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged; delete it, and give --price again") from error


def write_money(number: float) -> str:
    """1234.5 -> 1,234.50, 0.00123 -> 0.0012, in the currency of a price."""
    return f"{number:,.2f}" if number >= 0.1 else f"{number:.2g}"


def add_money(runs: "pd.DataFrame", store: Path) -> "pd.DataFrame":
    """Return the frame `runs` with what each run has cost, dev and test included, where a task of it has a price."""
    prices = runs["task"].map(read_prices(store)).astype(float)
    if prices.isna().all() or "tokens" not in runs:
        return runs
    return runs.assign(**{MONEY: prices * (runs["tokens"] + runs["measuring_tokens"]) / MILLION})
