"""SNLI: whether one sentence follows from another (Bowman et al., 2015)."""

from dfo_bench.lm import DatasetTask, Hub


class SNLI(DatasetTask):
    """Entailment, neither, or contradiction, three classes."""

    folder = "snli"
    labels = ("entailment", "neutral", "contradiction")
    words = ("Yes", "Maybe", "No")
    embedding_texts = (
        "The second sentence follows from the first.",
        "The second sentence may be true or not.",
        "The second sentence contradicts the first.",
    )
    template = "{text_a} ? [MASK] , {text_b}"
    causal_template = "{text_a} {text_b} Does the second sentence follow from the first? The answer is"
    embedding_template = "{text_a} {text_b}"
    hub = Hub("stanfordnlp/snli", fields=(("premise", "text_a"), ("hypothesis", "text_b")))
