"""Sweeps that come with dfo-bench: `dfo-bench sweep NAME`."""
