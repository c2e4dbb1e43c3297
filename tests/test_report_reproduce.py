import pandas as pd

from dfo_bench.report.page.reproduce import commands
from tests.frames import one_task, run


def test_the_commands_make_every_run_again() -> None:
    runs, _, _ = one_task(
        *(run(optimizer=o, seed=s, dim=5, budget=9) for o in ("cma", "random") for s in (0, 1)),
        run(optimizer="start", dim=5),
        run(optimizer="cma", dim=5, budget=9, selection="current"),
    )
    sweep = "dfo-bench sweep -t sphere"
    assert commands(runs, "a b") == [
        f"{sweep} -o start -p normal -d 5 -b 1 --dev-every 100 -s 0 --no-references --store 'a b'",
        f"{sweep} -o cma -p normal -d 5 -b 9 --dev-every 100 --selection current -s 0 --no-references --store 'a b'",
        f"{sweep} -o cma -o random -p normal -d 5 -b 9 --dev-every 100 -s 0-1 --no-references --store 'a b'",
    ]


def test_references_are_named_without_a_projection() -> None:
    runs = pd.DataFrame([run(optimizer=name, projection="reference", dim=0, budget=1) for name in ("knn", "manual")])
    assert commands(runs, "demo") == [
        "dfo-bench sweep -t sphere -o knn -o manual -d 0 -b 1 --dev-every 100 -s 0 --no-references --store demo"
    ]


def test_seeds_far_apart_are_written_one_by_one_and_span_no_memory() -> None:
    runs = pd.DataFrame([run(seed=seed) for seed in (17, 1998237465, 2147483648, 4294967296)])
    (command,) = commands(runs, "demo")
    assert command.endswith("-s 17 -s 1998237465 -s 2147483648 -s 4294967296 --no-references --store demo")
