"""Sweeps that come with dfo-bench: `dfo-bench sweep NAME`."""

from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of all presets."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))
