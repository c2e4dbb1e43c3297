"""The names of the files and folders of a store."""

MARKER = "dfo-bench.json"
"""The file that makes a folder a store."""

PLAN = "planned.json"
PRICES = "prices.json"
RACES = "races.json"
CHECKSUMS = "SHA256SUMS"
CACHES = "cache"
PACKS = "packed"

JOURNAL, TOLD, CURVE, SUMMARY = "journal.jsonl", "journal.f32", "curve.parquet", "summary.json"
"""What the folder of a run holds: the first two while it is under way, the others when it has ended.

TOLD is there where an optimizer is told more than losses, and holds that.
"""
