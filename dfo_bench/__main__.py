"""`python -m dfo_bench` is `dfo-bench`."""

from dfo_bench.cli import main

main()
