"""AG News: the topic of a news item (Zhang, Zhao & LeCun, 2015)."""

from dfo_bench.lm import DatasetTask, Hub


class AGNews(DatasetTask):
    """Topic of a news item, four classes."""

    folder = "agnews"
    labels = ("World", "Sports", "Business", "Tech")
    words = ("World", "Sports", "Business", "Tech")
    causal_words = ("world", "sports", "business", "tech")
    embedding_texts = ("World News", "Sports News", "Business News", "Tech News")
    template = "[MASK] News: {text}"
    causal_template = "{text} The news above is about"
    hub = Hub("fancyzhx/ag_news")
