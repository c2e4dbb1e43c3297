"""RTE: whether a sentence follows from a passage (Dagan, Glickman & Magnini, 2005; the GLUE edition)."""

from dfo_bench.lm import DatasetTask, Hub


class RTE(DatasetTask):
    """Entailment or not, two classes; test is GLUE's validation set, whose labels are public."""

    folder = "rte"
    labels = ("entailment", "not_entailment")
    words = ("Yes", "No")
    embedding_texts = (
        "The last sentence follows from the text before it.",
        "The last sentence does not follow from the text before it.",
    )
    template = "{text_a} ? [MASK] , {text_b}"
    causal_template = "{text_a} {text_b} Does the last sentence follow from the text before it? The answer is"
    embedding_template = "{text_a} {text_b}"
    hub = Hub(
        "nyu-mll/glue", config="rte", test="validation", fields=(("sentence1", "text_a"), ("sentence2", "text_b"))
    )
