"""MRPC: whether two sentences mean the same (Dolan & Brockett, 2005)."""

from dfo_bench.lm import DatasetTask, Hub


class MRPC(DatasetTask):
    """Paraphrase or not; two thirds of test are paraphrases, so the metric is their F1."""

    folder = "mrpc"
    labels = ("not_equivalent", "equivalent")
    words = ("No", "Yes")
    embedding_texts = ("The two sentences differ in meaning.", "The two sentences mean the same.")
    template = "{text_a} ? [MASK] , {text_b}"
    causal_template = "{text_a} {text_b} Do the two sentences mean the same? The answer is"
    embedding_template = "{text_a} {text_b}"
    metric = "f1"
    positive = "equivalent"
    hub = Hub("nyu-mll/glue", config="mrpc", fields=(("sentence1", "text_a"), ("sentence2", "text_b")))
