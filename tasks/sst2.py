"""SST-2: the sentiment of phrases from film reviews (Socher et al., 2013)."""

from dfo_bench.lm import Hub

from ._sentiment import Sentiment


class SST2(Sentiment):
    """Sentiment of a phrase, two classes; test is GLUE's validation set, whose labels are public."""

    folder = "sst2"
    hub = Hub("stanfordnlp/sst2", test="validation", fields=(("sentence", "text"),))
