import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dfo_bench import __version__
from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.plugins.registry import KINDS
from dfo_bench.store.filenames import MARKER
from dfo_bench.sweeps.config import presets

Done = subprocess.CompletedProcess[str]


def dfo_bench(*arguments: str | Path, cwd: Path) -> Done:
    """Run the command line as a user does, in a folder of its own."""
    command = [sys.executable, "-m", "dfo_bench.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def home(tmp_path: Path, toys: Path) -> Path:
    """Return an empty folder to work in, with the toy plugins declared."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_the_main_path_from_sweep_to_report(home: Path) -> None:
    sweep = ["sweep", "-t", "toy", "-o", "cma", "-o", "random", "-d", "3", "-b", "60", "-s", "0-1", "--store", "demo"]
    done = dfo_bench(*sweep, cwd=home)
    assert done.returncode == 0, done.stderr
    assert "cma · normal" in done.stdout
    assert len([line for line in done.stderr.splitlines() if line.startswith("[")]) == 4

    status = dfo_bench("status", "--store", "demo", "--json", cwd=home)
    assert [run["status"] for run in json.loads(status.stdout)] == ["finished"] * 4
    assert "4 finished" in dfo_bench("status", "--store", "demo", cwd=home).stdout

    report = dfo_bench("report", "--store", "demo", cwd=home)
    assert report.stdout.strip() == "demo/report.html"
    page = (home / "demo" / "report.html").read_text()
    assert "dfo-bench sweep -t toy -o cma -o random -p normal -d 3 -b 60 --dev-every 100 -s 0-1 --store demo" in page

    plot = dfo_bench("plot", "curve", "--store", "demo", "--output", "curve.pdf", cwd=home)
    assert plot.returncode == 0, plot.stderr
    assert (home / "curve.pdf").read_bytes().startswith(b"%PDF")
    table = ["plot", "table", "--store", "demo", "--output", "table.tex", "--counting", "worst", "--margin", "0.1"]
    assert dfo_bench(*table, cwd=home).stdout == "table.tex\n"
    assert r"\toprule" in (home / "table.tex").read_text()
    for arguments, message in {
        ("cd",): "needs 3 methods and 2 blocks (task and seed) that all of them have run, there are 2 and 2",
        ("wins", "--metric", "test_acc"): "no metric of these runs named 'test_acc'",
        ("box", "--budget", "61"): "budget 61 is not within 1 to 60, the smallest on toy",
        ("wins", "--output", "wins.tex"): "cannot write 'wins.tex'; the name must end in .png, .pdf, .svg",
    }.items():
        refused = CliRunner().invoke(app, ["plot", *arguments, "--store", str(home / "demo")])
        assert isinstance(refused.exception, InputError)
        assert message in str(refused.exception)


def test_a_yaml_file_describes_a_sweep_and_options_override_it(home: Path) -> None:
    (home / "mine.yaml").write_text(
        "tasks: [toy, {name: toy, dim: 6}]\noptimizers: [random]\ndim: 3\nbudget: 40\nseeds: 0-2\nstore: demo\n"
    )
    assert dfo_bench("sweep", "mine.yaml", "-b", "20", "-s", "5", cwd=home).returncode == 0
    runs = json.loads(dfo_bench("status", "--store", "demo", "--json", cwd=home).stdout)
    assert [(run["task"], run["budget"], run["seed"]) for run in runs] == [("toy", 20, 5), ("toy:dim=6", 20, 5)]


def test_failed_runs_give_exit_status_one_and_the_error(home: Path) -> None:
    done = dfo_bench("run", "-t", "toy", "-o", "odd:fail=third", "-b", "60", "--store", "demo", cwd=home)
    assert done.returncode == 1
    assert "failed: RuntimeError: lost my way" in done.stderr
    assert "lost my way" in dfo_bench("status", "--store", "demo", cwd=home).stdout


def test_brackets_in_names_and_errors_are_no_markup(home: Path, toys: Path) -> None:
    plugin = toys / "odd_plugin.py"
    plugin.write_text(plugin.read_text().replace("lost my way", "lost [/my] [bold]way"))
    done = dfo_bench("run", "-t", "toy", "-o", "odd:fail=third", "-b", "60", "--store", "demo", cwd=home)
    assert done.returncode == 1
    assert "lost [/my] [bold]way" in dfo_bench("status", "--store", "demo", cwd=home).stdout


def interrupted(*command: str, cwd: Path, ready: Callable[[], bool], by: signal.Signals = signal.SIGINT) -> str:
    """Start a command, interrupt it when it is ready, and return what it said; it must end with 130."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dfo_bench.cli", *command],
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job is started with Ctrl-C ignored, and so would be all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not ready():
        os.sched_yield()
    process.send_signal(by)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in stderr
    return stderr


def half_done(home: Path, by: signal.Signals = signal.SIGINT) -> list[str]:
    """Interrupt a run in its middle, and return the command that goes on with it."""
    command = ["run", "-t", "toy:pause=0.02", "-o", "odd", "-d", "3", "-b", "500", "--store", "demo"]

    def under_way() -> bool:
        return any(p.read_bytes().count(b"\n") > 4 for p in home.glob("demo/*/journal.jsonl"))

    assert "the same command goes on from here" in interrupted(*command, cwd=home, ready=under_way, by=by)
    return command


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_gives_130_and_a_store_that_resumes(home: Path, by: signal.Signals) -> None:
    command = half_done(home, by)
    done = dfo_bench(*command, cwd=home)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(dfo_bench("status", "--store", "demo", "--json", cwd=home).stdout)
    assert (run["evaluations"], run["status"], run["attempts"]) == (500, "finished", 2)


def test_status_counts_the_runs_that_wait_for_their_turn(home: Path) -> None:
    command = half_done(home)
    (plan,) = home.glob("demo/planned.json")
    data = json.loads(plan.read_text())
    plan.write_text(json.dumps({**data, "runs": [*data["runs"], {**data["runs"][0], "key": "f" * 16}]}))
    assert "demo: 1 unfinished, 1 not begun" in dfo_bench("status", "--store", "demo", cwd=home).stdout
    rows = json.loads(dfo_bench("status", "--store", "demo", "--json", cwd=home).stdout)
    assert [row["status"] for row in rows] == ["unfinished", "planned"]
    assert dfo_bench(*command, cwd=home).returncode == 0


def test_ctrl_c_on_a_watched_report_gives_130_and_a_page_that_rests(home: Path) -> None:
    half_done(home)
    page = home / "demo" / "report.html"
    watched: list[bool] = []

    def written() -> bool:
        if page.exists():
            watched.append('data-refresh="10"' in page.read_text())
        return bool(watched)

    said = interrupted("report", "--store", "demo", "--watch", cwd=home, ready=written)
    assert said == "dfo-bench: stopped\n"
    assert watched == [True]
    assert 'data-refresh="0"' in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "-t", "toy", "-o", "cmaa"], "no optimizer named 'cmaa'; did you mean cma"),
        (["run", "-t", "toy", "-o", "cma", "-b", "0"], "budget must be at least 1, got 0"),
        (["run", "-t", "toy", "-o", "cma", "-d", "99"], "dim 99 is above the 12 of task toy"),
        (["run", "-t", "toy"], "Missing option"),
        (
            ["run", "-t", "toy", "-o", "cma", "-s", "0-4"],
            "a run has one seed, got 0-4; run several with: dfo-bench sweep",
        ),
        (["sweep"], "no tasks; name at least one with -t"),
        (["sweep", "quickstrt"], "did you mean quickstart"),
        (["sweep", "-t", "toy", "-o", "cma", "--selection", "best"], "no selection named 'best'"),
        (["sweep", "no.yaml"], "sweep file no.yaml cannot be read"),
        (["sweep", "-t", "toy", "-o", "cma", "-s", "x"], "seeds 'x': write a whole number or a range"),
        (["sweep", "-t", "toy", "-o", "cma", "-s", "5-2"], "seeds '5-2'"),
        (["list", "optimisers"], "did you mean optimizer"),
        (["plot", "curv"], "no kind of plot named 'curv'; did you mean curve"),
        (["plot", "curve", "--margin", "0.1"], "--margin changes nothing in curve; it is for wins, table"),
        (["plot", "wins", "--margin", "2"], "margin must be a share from 0 to below 1, got 2"),
        (["plot", "wins", "--counting", "wurst"], "did you mean worst"),
        (["plot", "wins", "--store", "nowhere"], "nowhere does not exist"),
        (["status", "--store", "nowhere"], "nowhere does not exist"),
        (["report", "--store", "nowhere"], "nowhere does not exist"),
        (["export", "promts", "out"], "no format named 'promts'; did you mean prompts"),
        (["export", "prompts", "out", "--store", "nowhere"], "nowhere does not exist"),
        (["import", "ioh", "data"], "no format named 'ioh'; there are: iohprofiler"),
        (["import", "iohprofiler", "nowhere"], "nowhere has no IOHprofiler_*.json"),
        (["sql", "from runs", "--store", "nowhere"], "nowhere does not exist"),
        (["check", "optimizr", "cma"], "did you mean optimizer"),
        (["check", "optimizer", "cmaa"], "did you mean cma"),
        (["new", "optimizer", "random"], "optimizer 'random' exists already"),
        (["new", "optimizer", "My-Search"], "cannot be a plugin's name"),
        (["frobnicate"], "No such command"),
        (["run", "-t", "text:train=no.jsonl", "-o", "cma"], "no data file no.jsonl"),
        (["run", "-t", "helpdesk:model=no/such-model", "-o", "cma"], "is neither a folder nor reachable"),
        (["run", "-t", "helpdesk:shots=500", "-o", "cma"], "shots=500 needs"),
    ],
)
def test_wrong_input_is_one_line_with_exit_status_two(home: Path, arguments: list[str], message: str) -> None:
    done = dfo_bench(*arguments, cwd=home)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["[1, 2]", "tasks: toy", "budget: many", "taskz: [toy]", "tasks: [toy", "dim: 1.5", "selection: best"]
)
def test_a_sweep_file_with_a_mistake_is_one_line(home: Path, text: str) -> None:
    (home / "bad.yaml").write_text(text)
    done = dfo_bench("sweep", "bad.yaml", cwd=home)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "bad.yaml" in done.stderr


def test_a_store_that_cannot_be_written_is_refused(home: Path) -> None:
    (home / "file").write_text("")
    done = dfo_bench("run", "-t", "toy", "-o", "random", "-b", "20", "--store", "file/below", cwd=home)
    assert done.returncode == 2
    assert "file/below cannot be written" in done.stderr


@pytest.mark.parametrize("output", ["store", "store/dfo-bench.json/page.html"])
def test_a_page_that_cannot_be_written_is_refused_and_leaves_nothing(home: Path, output: str) -> None:
    dfo_bench("run", "-t", "toy", "-o", "start", "--store", "store", cwd=home)
    done = dfo_bench("report", "--store", "store", "--output", output, cwd=home)
    assert done.returncode == 2
    assert f"{output} cannot be written" in done.stderr
    assert [path.name for path in home.iterdir()] == ["store"]


@pytest.mark.parametrize("kind", KINDS)
def test_list_names_every_plugin(home: Path, kind: str) -> None:
    listed = json.loads(dfo_bench("list", f"{kind}s", "--json", cwd=home).stdout)[f"{kind}s"]
    assert set(KINDS[kind].names()) == set(listed)
    text = dfo_bench("list", f"{kind}s", cwd=home).stdout
    assert all(name in text for name in listed)


@pytest.mark.parametrize(
    ("kind", "name", "rows"),
    [
        ("optimizer", "cma", {"popsize": "whole number at least 2 20 how many points are asked at a time."}),
        ("optimizers", "rembo", {"k": "whole number above 0 4 how many embeddings."}),
        ("projection", "normal", {"alpha": "number above 0 1.0 multiplies the step that a unit z makes."}),
        ("tasks", "sphere", {"effective": "whole number above 0 10 how many coordinates matter."}),
    ],
)
def test_list_shows_what_a_plugin_takes(kind: str, name: str, rows: dict[str, str]) -> None:
    text = CliRunner().invoke(app, ["list", kind, name]).stdout
    shown = {words[0]: " ".join(words[1:]) for line in text.splitlines() if (words := line.split())}
    assert rows.items() <= shown.items()
    listed = json.loads(CliRunner().invoke(app, ["list", kind, name, "--json"]).stdout)
    assert {key: " ".join(listed[key].values()) for key in rows} == rows


def test_list_says_what_an_installed_plugin_is_without_importing_it(home: Path) -> None:
    text = dfo_bench("list", "optimizer", cwd=home).stdout
    assert ["odd", "Random search that misbehaves."] in [line.rstrip().split(None, 1) for line in text.splitlines()]


def test_without_arguments_the_help_is_shown_and_the_version_is_told(home: Path) -> None:
    alone = dfo_bench(cwd=home)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout == dfo_bench("--help", cwd=home).stdout
    assert dfo_bench("--version", cwd=home).stdout == f"dfo-bench {__version__}\n"


def test_the_default_store_is_made_beside_stores_and_says_which_there_are(home: Path) -> None:
    command = ["run", "-t", "toy", "-o", "random", "-b", "20", "-d", "3"]
    assert dfo_bench(*command, "--store", "results/mine", cwd=home).returncode == 0
    (home / "results" / MARKER).write_text(json.dumps({"format": 1}))
    assert dfo_bench("status", cwd=home).stdout == "results: no runs\nstores in it: results/mine\n"
    (home / "results" / MARKER).unlink()
    assert dfo_bench(*command, cwd=home).returncode == 0
    assert dfo_bench("status", cwd=home).stdout == "results: 1 finished\n"


def test_check_exits_by_what_it_finds(home: Path) -> None:
    assert dfo_bench("check", "optimizer", "odd", cwd=home).returncode == 0
    broken = dfo_bench("check", "optimizer", "odd:fail=global", cwd=home)
    assert broken.returncode == 1
    assert "global generator" in broken.stdout


def test_the_help_of_sweep_names_every_preset(home: Path) -> None:
    done = dfo_bench("sweep", "--help", cwd=home)
    assert all(name in done.stdout for name in presets())


def test_every_command_has_help_with_an_example(home: Path) -> None:
    for command in ("list", "run", "sweep", "status", "report", "plot", "export", "import", "sql", "check", "new"):
        done = dfo_bench(command, "--help", cwd=home)
        assert done.returncode == 0
        assert "Example" in done.stdout
