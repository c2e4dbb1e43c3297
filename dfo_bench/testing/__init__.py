"""The contract kit: checks that a plugin keeps its contract, for anybody's tests."""

from dfo_bench.testing.kit import CHECKS, check_plugin, findings, race, reports

__all__ = ["CHECKS", "check_plugin", "findings", "race", "reports"]
