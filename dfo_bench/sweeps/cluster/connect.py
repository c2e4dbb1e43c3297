"""A sweep's connection to Ray: refused, before anything is paid, where its nodes are not as this machine is."""

import hashlib
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import dfo_bench
from dfo_bench.errors import InputError
from dfo_bench.sweeps.request import CLUSTER

_TIMEOUT_S = 10.0
"""How long a cluster may take to answer at all."""

_PROBE_S = 120.0
"""How long its nodes may take to say what they have installed: a node's first process takes some seconds to start."""


_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0", "GRPC_VERBOSITY": "ERROR"}
"""Of Ray, unless somebody has set them: no word to its makers, and no new cluster in the place of one that is lost."""


@contextmanager
def connected(cluster: str) -> Iterator[bool]:
    """Be connected to a cluster, an own one or that at an address; a connection that is there is used, and stays.

    Gives whether the cluster is this machine alone, for this sweep. Raise InputError where Ray is not installed, where
    nobody answers, and where the cluster's nodes have not the Python and the dfo-bench that are here.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(
            f"cluster {cluster} needs Ray, and {error.name} is missing; pip install 'dfo-bench[ray]'"
        ) from error
    if ray.is_initialized():
        _check_nodes(ray)
        yield False
        return
    address = os.environ.get("RAY_ADDRESS") or "local" if cluster == "ray" else cluster
    _connect(ray, address)
    try:
        if address != "local":
            _check_nodes(ray)
        yield address == "local"
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    remote = re.fullmatch(CLUSTER, address)
    if named := remote or re.fullmatch(r"(?P<host>[^:/\s]+):(?P<port>\d{1,5})", address):
        try:
            socket.create_connection((named["host"], int(named["port"])), _TIMEOUT_S).close()
        except (OSError, OverflowError) as error:
            port = "that of the Ray Client, 10001" if remote else "the head's, 6379"
            raise InputError(
                f"nobody answers at {address}: {error}; start the cluster (ray start --head), or correct the address; "
                f"the port is {port} unless set otherwise"
            ) from error
    quiet: dict[str, Any] = {} if remote else {"include_dashboard": False, "logging_level": logging.ERROR}
    # What it says at every start, whatever level it is given; the second passes on what its server says.
    for name in ("ray.client_builder", "ray.util.client.logsclient"):
        logging.getLogger(name).setLevel(logging.ERROR)
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        try:
            ray.init(address, log_to_driver=False, **quiet)
        except ConnectionAbortedError:
            # The head starts a server per client, and that may die while it starts on a busy machine.
            ray.shutdown()
            ray.init(address, log_to_driver=False, **quiet)
    except Exception as error:
        # Of many kinds: RuntimeError for other versions, ConnectionError, and gRPC's own.
        raise InputError(
            f"the cluster at {address} cannot be joined: {' '.join(str(error).split())}; install the same Python and "
            "Ray on both sides, and see that the address and the token are right"
        ) from error
    if main:
        # Ray ends the process; a sweep ends as after Ctrl-C.
        signal.signal(signal.SIGTERM, before)


def _here() -> tuple[str, str, str]:
    """Return the versions of Python and dfo-bench, and the digest of its sources."""
    files: dict[str, bytes] = {}
    # In a checkout the plugins stand beside the package, else in it.
    for package, within in (
        ("dfo_bench", Path()),
        ("dfo_bench.optimizers", Path("optimizers")),
        ("dfo_bench.tasks", Path("tasks")),
    ):
        file = import_module(package).__file__
        assert file
        root = Path(file).parent
        files |= {str(within / path.relative_to(root)): path.read_bytes() for path in root.rglob("*.py")}
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name} {hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return "{}.{}".format(*sys.version_info), dfo_bench.__version__, f"of digest {total.hexdigest()[:8]}"


def _check_nodes(ray: Any) -> None:
    """Raise InputError where a node has another Python or another dfo-bench than there is here."""

    # A function within a function travels whole: it says so where dfo-bench is missing.
    def ask() -> tuple[str, str, str]:
        import sys

        try:
            from dfo_bench.sweeps.cluster import connect
        except ImportError as error:
            return "{}.{}".format(*sys.version_info), f"missing ({error})", ""
        return connect._here()

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    remote = ray.remote(ask)
    asked = [
        remote.options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)
        ).remote()
        for node in nodes
    ]
    try:
        answers = ray.get(asked, timeout=_PROBE_S)
    except ray.exceptions.RayError as error:
        raise InputError(
            f"the cluster's nodes do not say what they have installed: {' '.join(str(error).split())}; see that they "
            "are well (ray status)"
        ) from error
    for node, found in zip(nodes, answers, strict=True):
        for what, there, here in zip(("Python", "dfo-bench", "sources of dfo-bench"), found, _here(), strict=True):
            if there != here:
                raise InputError(
                    f"node {node['NodeManagerAddress']} of the cluster has {what} {there}, and here is {here}; install "
                    "the same on all nodes"
                )
