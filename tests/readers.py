"""Other people's readers of our files, as they are; each skips its test where it is not installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

_COCOPP = """
import json, socket, sys, warnings

def refuse(*arguments, **given):
    raise OSError("no test reaches a network")

socket.getaddrinfo = refuse  # cocopp looks for its archives as soon as it is imported
warnings.simplefilter("ignore")
import cocopp

cocopp.genericsettings.verbose = False
found = [
    {
        "algorithm": one.algId,
        "function": one.funcId,
        "dim": one.dim,
        "suite": one.suite_name,
        "comment": one.comment,
        "instances": list(one.instancenumbers),
        "said": [int(n) for n in one.readmaxevals],
        "final": [float(y) for y in one.finalfunvals],
        "curves": one.funvals.tolist(),
    }
    for folder in sys.argv[2:]
    for one in cocopp.load(folder)
]
open(sys.argv[1], "w").write(json.dumps(found))
"""


def cocopp(root: Path) -> pd.DataFrame:
    """Return what cocopp loads from the folders in `root`, one row a function and dimension of an algorithm.

    In a process of its own: it changes the settings of matplotlib.
    """
    for name in ("cocopp", "six"):
        if not importlib.util.find_spec(name):
            pytest.skip(f"needs {name}, which dfo-bench[dev] installs")
    out = root.parent / "cocopp.json"
    folders = sorted(str(path) for path in root.iterdir() if path.is_dir())
    environment = {**os.environ, "XDG_CACHE_HOME": str(root.parent / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", _COCOPP, str(out), *folders],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return pd.DataFrame(json.loads(out.read_text()))


def iohinspector(root: Path, *, monotonic: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the overview, and the rows that iohinspector loads with its columns beside them."""
    for name in ("iohinspector", "polars"):
        if not importlib.util.find_spec(name):
            pytest.skip(f"needs {name}, which `make test` installs")
    manager: Any = _manager().DataManager()
    manager.add_folder(str(root))
    overview = manager.overview.to_dicts()
    rows = manager.load(monotonic=monotonic, include_meta_data=True).to_dicts()
    return pd.DataFrame(overview), pd.DataFrame(rows)


def _manager() -> ModuleType:
    """Import iohinspector's reader without its plots, and so without what these require."""
    if "iohinspector" not in sys.modules:
        spec = importlib.util.find_spec("iohinspector")
        assert spec
        sys.modules["iohinspector"] = importlib.util.module_from_spec(spec)
    return importlib.import_module("iohinspector.manager")
