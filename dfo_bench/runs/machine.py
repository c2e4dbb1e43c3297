"""The process and its machine: versions, hardware, git revision, memory."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

import dfo_bench

_REPORTED = (
    *("numpy", "scipy", "torch", "transformers", "openvino", "cma", "optuna", "nevergrad"),
    *("evosax", "jaxlib", "optimagic"),
)


def peak_memory() -> int:
    """Return the most memory this process has held so far, in bytes: the runs that it made before count, too."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    # On Linux only the second choice: there it begins at what the parent held when it started this process.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def peak_device_memory() -> int | None:
    """Return the same of tensors on the CUDA device; None where there is none in use."""
    torch = sys.modules.get("torch")
    peak: int | None = torch.cuda.max_memory_allocated() if torch and torch.cuda.is_initialized() else None
    return peak


@dataclass(frozen=True)
class Provenance:
    """What a run was made on."""

    versions: Mapping[str, str]
    platform: str
    cpu: str
    cores: int | None
    git: str | None
    """The revision of a checkout, with "+" where it had uncommitted changes; None of an installed package."""
    ended: str
    """The time in UTC, in ISO 8601."""
    backend: str = ""
    """What computed the task, where there is a choice."""


def provenance(backend: str = "") -> Provenance:
    """Return what this process runs on, its task computed by `backend`."""
    root = Path(dfo_bench.__file__).resolve().parent.parent
    versions = {"python": platform.python_version(), "dfo-bench": dfo_bench.__version__}
    versions |= {name: _version(name) for name in _REPORTED if name in sys.modules}
    return Provenance(
        versions,
        platform.platform(),
        _cpu(),
        os.cpu_count(),
        _git(root) if (root / "setup.cfg").is_file() else None,
        datetime.now(UTC).isoformat(timespec="seconds"),
        backend,
    )


_version = cache(version)
"""The version of an installed distribution; its metadata is parsed once, not for every run."""


@cache
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


@cache
def _git(root: Path) -> str | None:
    """Return the revision of a checkout, with "+" where it has uncommitted changes."""
    try:
        revision = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True)
        changes = subprocess.run(["git", "-C", root, "status", "--porcelain", "-uno"], capture_output=True)
    except OSError:
        return None
    return revision.stdout.decode().strip() + ("+" if changes.stdout else "") if revision.returncode == 0 else None
