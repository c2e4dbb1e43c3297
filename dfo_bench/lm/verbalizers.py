"""Verbalizers: which words stand for each label, given, several for one, or found from the train outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from typing import Literal

import numpy as np
from scipy.special import log_softmax

from dfo_bench.core import Array, Dense, Index, InputError
from dfo_bench.lm import models
from dfo_bench.lm.data import compose
from dfo_bench.lm.local import Local
from dfo_bench.lm.problem import Candidates, Problem
from dfo_bench.lm.vocabulary import own_words

Given = Mapping[str, str | list[str]] | Literal["auto"]
"""The label words that are asked for: by label, one or several; or those that are found."""

Groups = Sequence[tuple[str, ...]]
"""The words of each label, in the order of the labels."""

PER_LABEL = 3
"""How many words are found for a label."""

_LIKELY = 100
"""A label's words are among the 100 that are likeliest for its texts (LM-BFF, arXiv 2012.15723, section 5.1): of words
that are never expected a ratio says little."""


def read_groups(given: Mapping[str, str | list[str]], labels: Sequence[str]) -> Groups:
    """Return the words of each label; raise InputError where they are not those of the labels."""
    # Composed, as labels and texts are read.
    found = {
        compose(label): tuple(compose(word) for word in ([words] if isinstance(words, str) else words))
        for label, words in given.items()
    }
    if set(labels) != set(found):
        wrong = {"it lacks": set(labels) - set(found), "not there are": set(found) - set(labels)}
        said = "; ".join(f"{what} {', '.join(sorted(names))}" for what, names in wrong.items() if names)
        raise InputError(f"words must name the labels, with one word or several each; {said}")
    if empty := [label for label, words in found.items() if not words]:
        raise InputError(f"words has no word for {', '.join(empty)}; write one or several")
    return [found[label] for label in labels]


def first_of(words: Sequence[str], groups: Sequence[int]) -> tuple[str, ...]:
    """Return the first word of each label."""
    return tuple(words[begin] for begin in accumulate(groups[:-1], initial=0)) if groups else tuple(words)


def grouped(words: Sequence[str], groups: Sequence[int]) -> Groups:
    """Return the words of each label."""
    ends = list(accumulate(groups or [1] * len(words)))
    return [tuple(words[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]


def settle(
    given: Given, problem: Problem, model: str, service: str, labels: Sequence[str], classes: Index
) -> tuple[Problem, str]:
    """Return a problem with the words that are given or found, and what was found; `classes` are those of train."""
    found = ""
    if given == "auto":
        if service:
            raise InputError(
                f"words=auto reads the outputs over the vocabulary, which service={service} does not tell; leave out "
                "service=..., or write words={...}"
            )
        groups = find_groups(problem, model, classes)
        said = (f"{label}: {', '.join(words)}" for label, words in zip(labels, groups, strict=True))
        found = f"words=auto: {'; '.join(said)}"
    else:
        groups = read_groups(given, labels)
    several = any(len(words) > 1 for words in groups)
    sizes = tuple(map(len, groups)) if several else ()
    return replace(problem, words=tuple(chain.from_iterable(groups)), groups=sizes), found


def find_groups(problem: Problem, model: str, classes: Index) -> Groups:
    """Return PER_LABEL words for each label, found by one call of the bare template on train.

    A word is scored for a label by the likelihood ratio of the label's texts and the others (PETAL, arXiv 2010.13641,
    section 4): the mean of its log-probability over these less that over those, each label counting alike, so that
    words which the model expects anyway gain nothing. No word stands for two labels; several are averaged as in AMuLaP
    (arXiv 2204.06305). Raise InputError for head=embedding, and where a label is left without a word.
    """
    if problem.head == "embedding":
        raise InputError(
            "words=auto reads the outputs over the vocabulary, which head=embedding has not; pass head=masked, "
            "head=causal or head=seq2seq with a model of that kind, or words={...}"
        )
    loaded = models.load(model, problem.head, problem.precision)
    ids = own_words(loaded, leading_space=problem.leading_space)
    words = list(ids)
    bare = replace(
        problem,
        words=tuple(words),
        tokens=tuple(ids.values()),
        mode="inputs_embeds",
        prompt_tokens=0,
        lead="",
        shown=(),
    )
    local = Local(loaded, bare, repeated=False)
    none = Candidates(Dense(np.empty((1, 0))), local.shape)
    outputs = local.logits(none, problem.splits["train"])[0]
    chosen = choose(log_softmax(outputs, axis=1), classes)
    if not all(chosen):
        raise InputError(f"words=auto found no word for a label among {len(words)}; write words={{...}}")
    return [tuple(words[i] for i in own) for own in chosen]


def choose(log_probabilities: Array, classes: Index) -> list[list[int]]:
    """Return the columns that are chosen for each class, the best first; rows are texts of these classes."""
    count = int(classes.max()) + 1
    means = np.array([log_probabilities[classes == k].mean(axis=0) for k in range(count)])
    ratios = means - (means.sum(axis=0) - means) / (count - 1)
    likely = np.argsort(-means, axis=1, kind="stable")[:, :_LIKELY]
    pairs = sorted((-float(ratios[k, i]), k, int(i)) for k in range(count) for i in likely[k])
    found: list[list[int]] = [[] for _ in range(count)]
    taken: set[int] = set()
    for _, k, i in pairs:
        if i not in taken and len(found[k]) < PER_LABEL:
            found[k].append(i)
            taken.add(i)
    return found
