"""The base of the tasks on sentiment: labels, and the templates of Black-Box Tuning (arXiv 2201.03514)."""

from dfo_bench.lm import DatasetTask


class Sentiment(DatasetTask):
    """Sentiment of a text, two classes."""

    labels = ("negative", "positive")
    words = ("bad", "great")
    causal_words = ("negative", "positive")
    embedding_texts = ("It was bad.", "It was great.")
    template = "{text} . It was [MASK] ."
    causal_template = "{text} . The sentiment is"
