"""The table of docs/four-sets.md: what prompt search adds on four sets, at the defaults of this commit.

Runs what the store lacks of the preset `four-sets`, and prints Markdown. `sst2` and `agnews` come from the folder that
DFO_BENCH_DATA names, or from the hub.
"""

import sys
from subprocess import run

from dfo_bench import Store
from dfo_bench.report.titles import name_tasks
from dfo_bench.report.worth import worth
from dfo_bench.sweeps.config import read_sweep

TEST = 1
"""The column of test in the table of an answer."""

STORE = sys.argv[1] if len(sys.argv) > 1 else str(read_sweep("four-sets").store)

run([sys.executable, "-m", "dfo_bench", "sweep", "four-sets", "--store", STORE], check=True)
store = Store(STORE)
answered = worth(name_tasks(store.runs()), store.predictions())
# What guessing gives differs from set to set; the class that test has most of says as much.
tests = [
    {row[0].text: row[TEST].text for row in one.table.rows if not row[0].text.startswith("guessing")}
    for one in answered
]
assert all(one.table.columns[TEST].startswith("test") for one in answered)
methods = list(dict.fromkeys(name for test in tests for name in test))
print("| test, in % |", " | ".join(f"{one.task}, {one.table.columns[TEST].split(', ')[1]}" for one in answered), "|")
print("| --- |", " | ".join("---:" for _ in answered), "|")
for name in methods:
    print(f"| {name} |", " | ".join(test.get(name, "—") for test in tests), "|")
print()
for one in answered:
    print(f"- **{one.task}.** {one.answer}")
commit = run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()
print(f"\nMade at commit {commit}, by its defaults.")
