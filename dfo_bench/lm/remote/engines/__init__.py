"""Engines that are not of this package, each asked in its own language."""
