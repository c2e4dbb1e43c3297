"""DBpedia: what kind of thing an encyclopaedia article is about (Zhang, Zhao & LeCun, 2015)."""

from dfo_bench.lm import DatasetTask, Hub


class DBpedia(DatasetTask):
    """Kind of thing that the opening of an article describes, 14 classes; its title is not shown."""

    folder = "dbpedia"
    labels = (
        "Company",
        "EducationalInstitution",
        "Artist",
        "Athlete",
        "OfficeHolder",
        "MeanOfTransportation",
        "Building",
        "NaturalPlace",
        "Village",
        "Animal",
        "Plant",
        "Album",
        "Film",
        "WrittenWork",
    )
    words = (
        "Company",
        "Education",
        "Artist",
        "Athlete",
        "Office",
        "Transportation",
        "Building",
        "Natural",
        "Village",
        "Animal",
        "Plant",
        "Album",
        "Film",
        "Written",
    )
    causal_words = tuple(word.lower() for word in words)
    embedding_texts = (
        "Company",
        "Educational Institution",
        "Artist",
        "Athlete",
        "Office Holder",
        "Means of Transportation",
        "Building",
        "Natural Place",
        "Village",
        "Animal",
        "Plant",
        "Album",
        "Film",
        "Written Work",
    )
    template = "[ Category: [MASK] ] {text}"
    causal_template = "{text} The text above is about"
    lead = " "
    hub = Hub("fancyzhx/dbpedia_14", fields=(("content", "text"),))
