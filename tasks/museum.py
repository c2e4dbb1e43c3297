"""Objects of a town museum: a second small set that comes with dfo-bench (see data/museum/README.md)."""

from pathlib import Path

from dfo_bench.lm import DatasetTask


class Museum(DatasetTask):
    """What kind of object an entry of an inventory is about, eight classes; the set's licence is MIT."""

    folder = "museum"
    labels = ("clothing", "money", "music", "arms", "science", "toys", "tools", "tableware")
    words = ("clothes", "money", "music", "weapons", "science", "toys", "tools", "dishes")
    embedding_texts = (
        "something to wear",
        "a coin or other money",
        "a musical instrument",
        "a weapon or armour",
        "a scientific instrument",
        "a toy or a game",
        "a tool of a trade",
        "something to eat or drink from",
    )
    template = "[MASK] : {text}"
    causal_template = "{text} This object belongs with the"
    shipped = Path(__file__).with_name("data")
