"""The projections that come with dfo-bench: one file each, its file name is its name."""
