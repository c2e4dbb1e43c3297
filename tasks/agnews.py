"""AG News: the topic of a news item (Zhang, Zhao & LeCun, 2015)."""

from dfo_bench.lm import DatasetTask, Hub


class AGNews(DatasetTask):
    """Topic of a news item, four classes."""

    folder = "agnews"
    labels = ("World", "Sports", "Business", "Tech")
    words = ("World", "Sports", "Business", "Tech")
    answers = ("world", "sports", "business", "tech")
    texts = ("World News", "Sports News", "Business News", "Tech News")
    template = "[MASK] News: {text}"
    answer = "{text} The news above is about"
    hub = Hub("fancyzhx/ag_news")
