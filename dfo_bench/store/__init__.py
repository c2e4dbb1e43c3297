"""A folder of runs: its files, and the data frames made of them."""
