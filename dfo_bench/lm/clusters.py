"""Clusters: a vocabulary pruned to words that stand for the others, by k-means of their embeddings.

The first step of CLAPS (arXiv 2310.12774, section 4). Its second, which keeps the words whose presence changes the loss
most, costs a call for each word that is left, and is left to the search.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dfo_bench.errors import InputError
from dfo_bench.lm.models import LanguageModel
from dfo_bench.threads import single_threaded


def prune(model: LanguageModel, ids: Mapping[str, int], clusters: int) -> dict[str, int]:
    """Return the word nearest to the centre of each cluster, with its token, in the order of `ids`.

    They are the same for every seed of a run. A cluster that ends empty has no word. Raise InputError where there are
    no more words than clusters.
    """
    if clusters >= len(ids):
        raise InputError(
            f"clusters={clusters} keeps a word of each cluster, and the vocabulary has only {len(ids)} words; pass "
            "fewer, or leave it out"
        )
    words = list(ids)
    return {words[i]: ids[words[i]] for i in _of_model(model, tuple(ids.values()), clusters)}


@lru_cache(maxsize=2)
def _of_model(model: LanguageModel, ids: tuple[int, ...], clusters: int) -> list[int]:
    """Return `representatives` of a model's words: the tasks of all seeds ask for the same."""
    return representatives(model.words[list(ids)].float().cpu().numpy(), clusters)


def representatives(rows: npt.NDArray[np.float32], clusters: int) -> list[int]:
    """Return which rows, of shape (n, size), are the nearest of their cluster to its centre, in their order."""
    # It takes a second to import.
    from sklearn.cluster import MiniBatchKMeans

    # Threads would add up in any order.
    with single_threaded():
        found = MiniBatchKMeans(clusters, init="random", random_state=0, n_init=1).fit(rows)
    distances = np.square(rows - found.cluster_centers_[found.labels_]).sum(axis=1)
    order = np.argsort(distances, kind="stable")
    _, nearest = np.unique(found.labels_[order], return_index=True)
    return sorted(order[nearest].tolist())
