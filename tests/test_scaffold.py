"""What `dfo-bench new` writes: it keeps its contract as it is, and installs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.plugins.parameters import prose
from dfo_bench.plugins.registry import KINDS
from dfo_bench.plugins.scaffold import write_plugin
from dfo_bench.testing import check_plugin

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("kind", KINDS)
def test_new_writes_a_plugin_that_keeps_its_contract(in_tmp: Path, kind: str) -> None:
    said = CliRunner().invoke(app, ["new", kind, "my_own"]).stdout
    assert said.startswith(f"my_own/my_own.py\ntry it with: dfo-bench check {kind} my_own/my_own.py\n")
    check_plugin(kind, "my_own/my_own.py")
    cls = KINDS[kind].load("my_own/my_own.py")
    assert all(parameter.meaning for parameter in KINDS[kind].parameters(cls).values())
    assert "put your own in its place" in prose(cls, ())


def test_what_new_writes_outside_a_checkout_is_a_package_with_its_entry_point_and_its_test(in_tmp: Path) -> None:
    pytest.importorskip("setuptools")
    write_plugin(KINDS["optimizer"], "my_own")
    # What pip does with it, without the network and an environment of its own.
    build = "import setuptools.build_meta as backend; backend.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd="my_own", check=True, capture_output=True)
    (wheel,) = in_tmp.glob("my_own-0.1.0-*.whl")
    zipfile.ZipFile(wheel).extractall("site")
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(in_tmp / "my_own" / "test_my_own.py")]
    environment = {"PYTHONPATH": f"{in_tmp / 'site'}:{ROOT}"}
    done = subprocess.run(test, cwd=in_tmp / "site", env=environment, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout


def test_in_a_checkout_the_file_stands_in_the_folder_of_its_kind(in_tmp: Path) -> None:
    for path in ("setup.cfg", "dfo_bench/core.py", "tasks/_.py", "dfo_bench/projections/_.py"):
        (in_tmp / path).parent.mkdir(parents=True, exist_ok=True)
        (in_tmp / path).touch()
    assert write_plugin(KINDS["task"], "mine") == (Path("tasks/mine.py"), "try it with: dfo-bench check task mine")
    assert write_plugin(KINDS["projection"], "mine")[0] == Path("dfo_bench/projections/mine.py")
    with pytest.raises(InputError, match=r"tasks/mine.py cannot be written: File exists; choose another name"):
        write_plugin(KINDS["task"], "mine")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-search", "use lower-case letters, digits and _"),
        ("class", "use lower-case letters, digits and _"),
        ("cma", r"optimizer 'cma' exists already \(.*cma.py\); choose another name"),
        ("space", "the class of 'space' would be Space, which dfo_bench.core has"),
    ],
)
def test_a_name_that_no_plugin_can_have_is_refused(in_tmp: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_plugin(KINDS["optimizer"], name)
    assert not list(in_tmp.iterdir())
