"""dfo-bench: derivative-free optimizers compared on black-box language models.

>>> store = dfo_bench.sweep(tasks=["helpdesk"], optimizers=["cma", "random"], budget=300, store="results/demo")
>>> store.runs()
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfo_bench.exchange.bundles import load
    from dfo_bench.report.seed_tables import tables
    from dfo_bench.report.show import show
    from dfo_bench.service.serve import serve
    from dfo_bench.store.merge import merge
    from dfo_bench.store.store import Store
    from dfo_bench.sweeps.request import SweepRequest
    from dfo_bench.sweeps.sweep import estimate, sweep

__version__ = "0.1.0"
__all__ = ["Store", "SweepRequest", "__version__", "estimate", "load", "merge", "serve", "show", "sweep", "tables"]

# In a checkout the plugin folders stand beside this package; setup.cfg maps them into it when it is installed.
_checkout = Path(__file__).resolve().parent.parent
if (_checkout / "setup.cfg").is_file():
    __path__.append(str(_checkout))

_HOMES = {
    "Store": "dfo_bench.store.store",
    "SweepRequest": "dfo_bench.sweeps.request",
    "estimate": "dfo_bench.sweeps.sweep",
    "load": "dfo_bench.exchange.bundles",
    "merge": "dfo_bench.store.merge",
    "serve": "dfo_bench.service.serve",
    "show": "dfo_bench.report.show",
    "sweep": "dfo_bench.sweeps.sweep",
    "tables": "dfo_bench.report.seed_tables",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use: listing plugins must not load pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dfo_bench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
