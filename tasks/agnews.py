"""AG News: the topic of a news item (Zhang, Zhao & LeCun, 2015)."""

from dfo_bench.lm import Hub, TextTask


class AGNews(TextTask):
    """Topic of a news item, four classes."""

    folder = "agnews"
    labels = ("World", "Sports", "Business", "Tech")
    words = ("World", "Sports", "Business", "Tech")
    texts = ("World News", "Sports News", "Business News", "Tech News")
    template = "[MASK] News: {text}"
    hub = Hub("fancyzhx/ag_news")
