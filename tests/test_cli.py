import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from typer.testing import CliRunner

from dfo_bench import __version__
from dfo_bench.cli import app, main
from dfo_bench.exchange import EXPORTS, IMPORTS
from dfo_bench.plugins.registry import KINDS as PLUGINS
from dfo_bench.report.counting import Counting
from dfo_bench.report.figures import KINDS, STYLES
from dfo_bench.report.rules import AXES, STANDARD
from dfo_bench.runs.defaults import BUDGET, DEV_EVERY, SELECTION, Selection
from dfo_bench.runs.journal import Journal
from dfo_bench.store.filenames import JOURNAL, MARKER, SUMMARY
from dfo_bench.store.store import Store
from dfo_bench.sweeps import presets
from tests.toys import header, interrupt, planned

Done = subprocess.CompletedProcess[str]
Call = Callable[..., Done]


def dfo_bench(*arguments: str | Path, cwd: Path) -> Done:
    """Run the command line as a user does, in a process of its own."""
    command = [sys.executable, "-m", "dfo_bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def home(tmp_path: Path, toys: Path) -> Path:
    """Return an empty folder to work in, with the toy plugins declared."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Return the command line as `dfo_bench` runs it, but in this process, which has imported all it needs."""
    monkeypatch.chdir(home)

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["dfo-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(sys.argv, int(ended.value.code or 0), said.out, said.err)

    before = signal.getsignal(signal.SIGTERM)
    yield call
    signal.signal(signal.SIGTERM, before)


def test_the_main_path_from_sweep_to_report(home: Path, call: Call) -> None:
    sweep = ["sweep", "-t", "toy", "-o", "cma", "-o", "random", "-d", "3", "-b", "60", "-s", "0-1", "--store", "demo"]
    done = dfo_bench(*sweep, cwd=home)
    assert done.returncode == 0, done.stderr
    assert "cma · normal" in done.stdout
    assert len([line for line in done.stderr.splitlines() if line.startswith("[")]) == 4

    assert [run["status"] for run in json.loads(call("status", "--store", "demo", "--json").stdout)] == ["finished"] * 4
    assert call("status", "--store", "demo").stdout == "demo: 4 finished\n"

    assert call("report", "--store", "demo").stdout == "demo/report.html\n"
    page = (home / "demo" / "report.html").read_text(encoding="utf-8")
    settings = "-d 3 -b 60 --dev-every 100 -s 0-1 --no-references --store demo"
    assert f"dfo-bench sweep -t toy -o cma -o random -p normal {settings}" in page

    assert call("plot", "curve", "--store", "demo", "--output", "curve.pdf").stdout == "curve.pdf\n"
    assert (home / "curve.pdf").read_bytes().startswith(b"%PDF")
    table = ["plot", "table", "--store", "demo", "--output", "table.tex", "--counting", "worst", "--margin", "0.1"]
    assert call(*table).stdout == "table.tex\n"
    assert r"\toprule" in (home / "table.tex").read_text(encoding="utf-8")
    for arguments, message in {
        ("cd",): "needs 3 methods and 2 blocks (task and seed) that all of them have run, there are 2 and 2",
        ("wins", "--metric", "test_acc"): "no metric of these runs named 'test_acc'",
        ("box", "--budget", "61"): "budget 61 is not within 1 to 60, the smallest on toy",
        ("wins", "--output", "wins.tex"): "cannot write 'wins.tex'; the name must end in .png, .pdf, .svg",
    }.items():
        assert message in call("plot", *arguments, "--store", "demo").stderr


def test_a_yaml_file_describes_a_sweep_and_options_override_it(home: Path, call: Call) -> None:
    (home / "mine.yaml").write_text(
        "tasks: [toy, {name: toy, dim: 6}]\noptimizers: [random]\ndim: 3\nbudget: 40\nseeds: 0-2\nstore: demo\n"
    )
    assert call("sweep", "mine.yaml", "-b", "20", "-s", "5").returncode == 0
    runs = json.loads(call("status", "--store", "demo", "--json").stdout)
    assert [(run["task"], run["budget"], run["seed"]) for run in runs] == [("toy", 20, 5), ("toy:dim=6", 20, 5)]


def test_failed_runs_give_exit_status_one_and_the_error(call: Call) -> None:
    done = call("run", "-t", "toy", "-o", "odd:fail=third", "-b", "60", "--store", "demo")
    assert done.returncode == 1
    assert "failed: RuntimeError: lost my way" in done.stderr
    assert done.stderr.endswith("dfo-bench: 1 of 1 run failed; the same command tries them again\n")
    assert "lost my way" in call("status", "--store", "demo").stdout


def test_a_run_under_way_in_another_process_is_no_failure(home: Path, call: Call) -> None:
    store = Store.create(home / "demo")
    interrupt(planned("toy", "odd", dim=3, budget=60), store.path, after=20)
    (key,) = store
    with Journal(store.path / key / JOURNAL, header()):
        done = call("sweep", "-t", "toy", "-o", "odd", "-d", "3", "-b", "60", "-s", "0-1", "--store", "demo")
    assert done.returncode == 0
    assert "odd on toy, normal, seed 0: under way in another process" in done.stderr
    assert done.stderr.endswith("dfo-bench: 1 of 2 runs under way in another process\n")
    assert sorted(store.runs()["status"]) == ["finished", "unfinished"]


def test_status_keeps_every_digit_of_a_number(home: Path, call: Call) -> None:
    call("run", "-t", "toy", "-o", "start", "--store", "demo")
    (path,) = home.glob(f"demo/*/{SUMMARY}")
    for written, read in {
        "7.4e-15": 7.4e-15,
        "1.7976931348623157e308": 1.7976931348623157e308,
        "Infinity": None,
    }.items():
        path.write_text(re.sub(r'"best_loss": [^,]+', f'"best_loss": {written}', path.read_text()))
        (run,) = json.loads(call("status", "--store", "demo", "--json").stdout)
        assert (run["best_loss"], run["optimum"]) == (read, None)


def test_brackets_in_names_and_errors_are_no_markup(toys: Path, call: Call) -> None:
    plugin = toys / "odd_plugin.py"
    plugin.write_text(plugin.read_text().replace("lost my way", "lost [/my] [bold]way"))
    done = call("run", "-t", "toy", "-o", "odd:fail=third", "-b", "60", "--store", "demo")
    assert done.returncode == 1
    assert "lost [/my] [bold]way" in call("status", "--store", "demo").stdout


def test_a_warning_reads_like_every_other_remark(home: Path, call: Call) -> None:
    call("run", "-t", "toy", "-o", "start", "--store", "demo")
    (path,) = home.glob(f"demo/*/{SUMMARY}")
    path.write_text("{}")
    assert call("status", "--store", "demo").stderr.startswith("dfo-bench: run ")


def interrupted(*command: str, cwd: Path, ready: Callable[[], bool], by: signal.Signals = signal.SIGINT) -> str:
    """Start a command, interrupt it when it is ready, and return what it said; it must end with 130."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dfo_bench", *command],
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
def test_ctrl_c_gives_130_and_a_store_that_resumes(home: Path, by: signal.Signals, call: Call) -> None:
    command = half_done(home, by)
    done = call(*command)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(call("status", "--store", "demo", "--json").stdout)
    assert (run["evaluations"], run["status"], run["attempts"]) == (500, "finished", 2)


def test_status_counts_the_runs_that_wait_for_their_turn(home: Path, call: Call) -> None:
    command = half_done(home)
    (plan,) = home.glob("demo/planned.json")
    data = json.loads(plan.read_text())
    plan.write_text(json.dumps({**data, "runs": [*data["runs"], {**data["runs"][0], "key": "f" * 16}]}))
    assert "demo: 1 unfinished, 1 not begun" in call("status", "--store", "demo").stdout
    rows = json.loads(call("status", "--store", "demo", "--json").stdout)
    assert [row["status"] for row in rows] == ["unfinished", "planned"]
    assert call(*command).returncode == 0


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
        (["run", "-t", "toy", "-o", "cma", "-b", "ten"], "-b/--budget 'ten': input should be a valid integer"),
        (["run", "-t", "toy", "-o", "cma", "-d", "1.5"], "-d/--dim '1.5': input should be a valid integer"),
        (["plot", "wins", "--margin", "x"], "--margin 'x': input should be a valid number"),
        (["check", "optimizer", "cma", "--workers", "0"], "--workers '0': input should be greater than or equal to 1"),
        (
            ["run", "-t", "toy", "-o", "cma", "-b", "1", "-b", "2"],
            "-b/--budget is given 2 times, at last '2'",
        ),
        (["status", "--store", "a", "--store", "b"], "--store is given 2 times, at last 'b'; give it once"),
        (
            ["run", "-t", "toy", "-o", "cma", "-o", "random"],
            "a run has one optimizer, got cma, random; run several with: dfo-bench sweep -o cma -o random ...",
        ),
        (["run", "-t", "toy", "-t", "sphere", "-o", "cma"], "a run has one task, got toy, sphere; run several with"),
        (
            ["run", "-t", "toy", "-o", "cma", "-p", "a", "-p", "b"],
            "a run has one projection, got a, b; run several",
        ),
        (
            ["run", "-t", "toy", "-o", "cma", "-s", "0-4"],
            "a run has one seed, got 0-4; run several with: dfo-bench sweep",
        ),
        (["sweep"], "no tasks; name at least one with -t"),
        (["sweep", "quickstrt"], "did you mean quickstart"),
        (["sweep", "-t", "toy", "-o", "cma", "--selection", "best"], "no selection named 'best'"),
        (["sweep", "no.yaml"], "sweep file no.yaml cannot be read: No such file or directory; write one, or take a p"),
        (["sweep", "-t", "toy", "-o", "cma", "-s", "x"], "seeds 'x': write a whole number or a range"),
        (["sweep", "-t", "toy", "-o", "cma", "-s", "5-2"], "seeds '5-2'"),
        (["list", "optimisers"], "did you mean optimizer"),
        (["plot", "curv"], "no kind named 'curv'; did you mean curve"),
        (["plot", "curve", "--margin", "0.1"], "--margin changes nothing in curve; it is for wins, table"),
        (["plot", "wins", "--margin", "2"], "margin must be a share from 0 to below 1, got 2"),
        (["plot", "wins", "--counting", "wurst"], "no counting named 'wurst'; did you mean worst"),
        (["plot", "wins", "--style", "one-colum"], "no style named 'one-colum'; did you mean one-column"),
        (["plot", "curve", "--against", "token"], "no against named 'token'; did you mean tokens"),
        (["plot", "wins", "--store", "nowhere"], "nowhere does not exist"),
        (["status", "--store", "nowhere"], "nowhere does not exist"),
        (["report", "--store", "nowhere"], "nowhere does not exist"),
        (["export", "promts", "out"], "no format named 'promts'; did you mean prompts"),
        (["export", "prompts", "out", "--store", "nowhere"], "nowhere does not exist"),
        (["import", "ioh", "data"], "no format named 'ioh'; there are: coco, iohprofiler"),
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
def test_wrong_input_is_one_line_with_exit_status_two(
    home: Path, arguments: list[str], message: str, call: Call
) -> None:
    done = call(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(home.iterdir()) == []


def test_a_sweep_file_in_another_encoding_is_refused(home: Path, call: Call) -> None:
    (home / "bad.yaml").write_bytes("tasks: [toy]  # größer".encode("latin-1"))
    done = call("sweep", "bad.yaml")
    assert done.returncode == 2
    assert "bad.yaml cannot be read: 'utf-8' codec can't decode byte 0xf6" in done.stderr
    assert done.stderr.endswith("; save it as UTF-8 text\n")


@pytest.mark.parametrize(
    "text", ["[1, 2]", "tasks: toy", "budget: many", "taskz: [toy]", "tasks: [toy", "dim: 1.5", "selection: best"]
)
def test_a_sweep_file_with_a_mistake_is_one_line(home: Path, text: str, call: Call) -> None:
    (home / "bad.yaml").write_text(text)
    done = call("sweep", "bad.yaml")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "bad.yaml" in done.stderr


def test_a_store_that_cannot_be_written_is_refused(home: Path, call: Call) -> None:
    (home / "file").write_text("")
    done = call("run", "-t", "toy", "-o", "random", "-b", "20", "--store", "file/below")
    assert done.returncode == 2
    assert "file/below cannot be written" in done.stderr


@pytest.mark.parametrize(
    ("command", "output"),
    [("report", "store"), ("report", "store/dfo-bench.json/page.html"), ("plot table", "store/dfo-bench.json/a.png")],
)
def test_what_cannot_be_written_is_refused_with_the_remedy_and_leaves_nothing(
    home: Path, command: str, output: str, call: Call
) -> None:
    call("run", "-t", "toy", "-o", "start", "--store", "store")
    done = call(*command.split(), "--store", "store", "--output", output)
    assert done.returncode == 2
    assert re.search(rf"{output} cannot be written: .*; name another", done.stderr)
    assert [path.name for path in home.iterdir()] == ["store"]


@pytest.mark.parametrize("kind", PLUGINS)
def test_list_names_every_plugin(kind: str, call: Call) -> None:
    listed = json.loads(call("list", f"{kind}s", "--json").stdout)[f"{kind}s"]
    assert set(PLUGINS[kind].names()) == set(listed)
    text = call("list", f"{kind}s").stdout
    assert all(name in text for name in listed)


@pytest.mark.parametrize(
    ("kind", "name", "rows"),
    [
        ("optimizer", "cma", {"popsize": "whole number at least 2 20 how many points are asked at a time."}),
        ("optimizers", "rembo", {"k": "whole number above 0 4 how many embeddings."}),
        (
            "projection",
            "pretrained",
            {"prompts": "text required the file that `dfo-bench export prompts FILE --store DIR` wrote."},
        ),
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


def test_without_arguments_the_help_is_shown_and_the_version_is_told(home: Path, call: Call) -> None:
    alone = dfo_bench(cwd=home)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout == call("--help").stdout
    assert call("--version").stdout == f"dfo-bench {__version__}\n"


def test_the_default_store_is_made_beside_stores_and_says_which_there_are(home: Path, call: Call) -> None:
    command = ["run", "-t", "toy", "-o", "random", "-b", "20", "-d", "3"]
    assert call(*command, "--store", "results/mine").returncode == 0
    (home / "results" / MARKER).write_text(json.dumps({"format": 1}))
    assert call("status").stdout == "results: no runs\nstores in it: results/mine\n"
    (home / "results" / MARKER).unlink()
    assert call(*command).returncode == 0
    assert call("status").stdout == "results: 1 finished\n"


def test_check_exits_by_what_it_finds(call: Call) -> None:
    assert call("check", "optimizer", "odd").returncode == 0
    broken = call("check", "optimizer", "odd:fail=global")
    assert broken.returncode == 1
    assert "global generator" in broken.stdout


COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_list_of_commands_cuts_no_sentence(call: Call) -> None:
    lines = call("--help").stdout.splitlines()
    for name in COMMANDS:
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert re.search(r"\w\.$", line)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(call: Call, command: str) -> None:
    done = call(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"dfo-bench {command}" in done.stdout.partition("Example")[2]
    # Brackets of a metavar's own would double those that say what may be left out.
    assert "[[" not in done.stdout


def test_the_help_of_a_command_names_the_values_and_the_defaults_that_there_are(call: Call) -> None:
    words = {command: " ".join(call(command, "--help").stdout.split()) for command in COMMANDS}
    assert f"FORMAT <{'|'.join([*EXPORTS, 'bundle'])}>" in words["export"]
    assert f"FORMAT <{'|'.join(IMPORTS)}>" in words["import"]
    assert f"kind <{'|'.join(KINDS)}>" in words["plot"]
    assert f"--style <{'|'.join(STYLES)}>" in words["plot"]
    assert f"--against <{'|'.join(AXES)}>" in words["plot"]
    assert f"--selection <{'|'.join(get_args(Selection))}>" in words["sweep"]
    # A line may end at the hyphen of a name.
    assert ", ".join(presets.names()) in words["sweep"].replace("- ", "-")
    for command in ("list", "check", "new"):
        assert all(kind in words[command] for kind in PLUGINS)
    for command in ("plot", "report"):
        assert f"--counting <{'|'.join(Counting)}>" in words[command]
        assert f"[default: {STANDARD.counting}]" in words[command]
    for default in (STANDARD.metric, STANDARD.margin, STANDARD.against):
        assert f"[default: {default}]" in words["plot"]
    for default in (BUDGET, DEV_EVERY, SELECTION, "results", "normal", "1"):
        assert f"[default: {default}]" in words["sweep"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sta", ["status"]),
        ("run -o one_", ["one_plus_one"]),
        ("run -o start -t to", ["toy"]),
        ("sweep -o cma -p pre", ["pretrained"]),
        ("sweep bb", ["bbt", "bbtv2"]),
        ("sweep --selection c", ["current"]),
        ("export co", ["coco"]),
        ("import io", ["iohprofiler"]),
        ("plot c", ["curve", "cd"]),
        ("plot curve --style t", ["two-column"]),
        ("validate par", ["parity"]),
        ("check opt", ["optimizer"]),
        ("list task help", ["helpdesk"]),
    ],
)
def test_the_shell_is_told_what_may_be_written(
    line: str, offered: list[str], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"dfo-bench {line}"
    for name, value in {
        "_DFO_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }.items():
        monkeypatch.setenv(name, value)
    assert call().stdout.split() == offered


def test_the_help_waits_for_no_library_that_takes_long_to_load() -> None:
    code = "import sys, dfo_bench.cli; print({'numpy', 'pandas', 'pyarrow', 'pydantic', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
