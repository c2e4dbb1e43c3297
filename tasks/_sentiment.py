"""What the tasks on sentiment share: the labels, and the templates of Black-Box Tuning (arXiv 2201.03514)."""

from dfo_bench.lm import DatasetTask


class Sentiment(DatasetTask):
    """Whether a text speaks well of its subject, two classes."""

    labels = ("negative", "positive")
    words = ("bad", "great")
    causal_words = ("negative", "positive")
    embedding_texts = ("It was bad.", "It was great.")
    template = "{text} . It was [MASK] ."
    causal_template = "{text} . The sentiment is"
