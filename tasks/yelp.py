"""Yelp polarity: whether a customer review is favourable (Zhang, Zhao & LeCun, 2015)."""

from dfo_bench.lm import Hub

from ._sentiment import Sentiment


class Yelp(Sentiment):
    """Sentiment of a customer review, two classes; reviews are long, and cut to what the model takes."""

    folder = "yelp"
    hub = Hub("fancyzhx/yelp_polarity", line_break=r"\n")
