"""How long the command line takes to start, as a multiple of the CPU seconds of `python -c "import numpy"`.

Each command is a process of its own, several rounds in turn. Run: python benchmarks/startup.py
"""

import os
import statistics
import subprocess
import sys
import tempfile

from _timing import machine

ROUNDS = 7
COMMAND = [sys.executable, "-m", "dfo_bench.cli"]


def cpu_seconds(command: list[str]) -> float:
    """Return the user and system seconds of a process."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        store = f"{folder}/store"
        subprocess.run(
            [*COMMAND, "sweep", "-t", "sphere", "-o", "random", "-o", "cma", "-d", "3", "-b", "40", "--store", store],
            check=True,
            capture_output=True,
        )
        commands = {
            "import numpy": [sys.executable, "-c", "import numpy"],
            "--help": [*COMMAND, "--help"],
            "list": [*COMMAND, "list"],
            "status": [*COMMAND, "status", "--store", store],
        }
        taken = {name: [cpu_seconds(command) for _ in range(ROUNDS)] for name, command in commands.items()}
    reference = statistics.median(taken["import numpy"])
    for name, seconds in taken.items():
        middle = statistics.median(seconds)
        print(f"{name}: {middle:.2f} s of CPU, {middle / reference:.2f} of import numpy")
