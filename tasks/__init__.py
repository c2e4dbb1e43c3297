"""The tasks that come with dfo-bench: one file each, its file name is its name."""

if not __name__.startswith("dfo_bench."):
    raise ImportError("this folder is dfo_bench.tasks; look a task up by its name")
