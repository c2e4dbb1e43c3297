"""Yelp polarity: whether a customer review is favourable (Zhang, Zhao & LeCun, 2015)."""

from dfo_bench.lm import DatasetTask, Hub


class Yelp(DatasetTask):
    """Sentiment of a customer review, two classes; reviews are long, and cut to what the model takes."""

    folder = "yelp"
    labels = ("negative", "positive")
    words = ("bad", "great")
    answers = ("negative", "positive")
    texts = ("It was bad.", "It was great.")
    template = "{text} . It was [MASK] ."
    answer = "{text} . The sentiment is"
    hub = Hub("fancyzhx/yelp_polarity", line_break=r"\n")
