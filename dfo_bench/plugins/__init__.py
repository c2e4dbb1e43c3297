"""Plugins: from a written name to a class and its parameters."""
