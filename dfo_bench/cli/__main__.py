"""`python -m dfo_bench.cli` is `dfo-bench`."""

from dfo_bench.cli import main

main()
