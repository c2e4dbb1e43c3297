"""SST-2: the sentiment of phrases from film reviews (Socher et al., 2013)."""

from dfo_bench.lm import DatasetTask, Hub


class SST2(DatasetTask):
    """Sentiment of a phrase, two classes; test is GLUE's validation set, whose labels are public."""

    folder = "sst2"
    labels = ("negative", "positive")
    words = ("bad", "great")
    answers = ("negative", "positive")
    texts = ("It was bad.", "It was great.")
    template = "{text} . It was [MASK] ."
    answer = "{text} . The sentiment is"
    hub = Hub("stanfordnlp/sst2", test="validation", fields=(("sentence", "text"),))
