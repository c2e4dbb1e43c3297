"""Settings: how texts are put to a model, as plain values that outlive the task."""

from dataclasses import dataclass
from typing import Any, NoReturn, cast

import numpy as np

from dfo_bench.core import Dense, InputError
from dfo_bench.lm import models
from dfo_bench.lm.heads import HeadName, WordsHead
from dfo_bench.lm.local import Local
from dfo_bench.lm.modes import ModeName
from dfo_bench.lm.problem import Candidates, Problem, Prompts
from dfo_bench.lm.texts import Texts
from dfo_bench.lm.verbalizers import first_of


@dataclass(frozen=True)
class Setting:
    """All that a prompt needs beside its numbers."""

    model: str
    """A folder, or another name that a text task takes as its model."""
    model_digest: str
    head: HeadName
    precision: models.Precision
    mode: ModeName
    prompt_tokens: int
    template: str
    before: str
    """What stands before the filled template."""
    limit: int
    """The most tokens of an input, the prompt's left out where it has rows of its own."""
    labels: tuple[str, ...]
    words: tuple[str, ...]
    """The label words, in the order of the labels; with head=embedding the label texts."""
    tokens: tuple[int, ...]
    """The token of each label word that is read; none with head=embedding."""
    groups: tuple[int, ...] = ()
    """How many of the words each label has, whose logits are averaged; none where each has one."""
    include_prompt: bool = True
    """Whether the mean of a sentence encoder's rows includes the prompt's."""


def describe(texts: Texts) -> Setting:
    """Return the setting of a task's texts."""
    local = texts.local
    model, head, mode, template = local.model, local.head, local.mode, local.template
    (precision,) = (name for name, dtype in models.PRECISIONS.items() if dtype == model.words.dtype)
    return Setting(
        model=models.absolute(model.name),
        model_digest=model.digest,
        head=cast(HeadName, template.head),
        precision=precision,
        mode=mode.name,
        prompt_tokens=mode.tokens,
        template=template.pattern,
        before=template.before,
        limit=template.limit,
        labels=texts.labels,
        words=local.problem.words,
        groups=local.problem.groups,
        tokens=tuple(head.tokens) if isinstance(head, WordsHead) else (),
        include_prompt=local.problem.include_prompt,
    )


def _refuse(*given: Any) -> NoReturn:
    raise InputError("there are no examples here: only texts to be classified")


def restore(setting: Setting, prompt: Prompts | None) -> Texts:
    """Return texts of no split, whose model is asked under a prompt; None where `prompt_tokens` is 0.

    Raise InputError where the model is not there, or is another.
    """
    model = models.load(setting.model, setting.head, setting.precision)
    if model.digest != setting.model_digest:
        raise InputError(
            f"model {setting.model!r} is not the one that was used: its digest is {model.digest[:16]}, not "
            f"{setting.model_digest[:16]}; name a folder that holds that one"
        )
    problem = Problem(
        groups=setting.groups,
        head=setting.head,
        precision=setting.precision,
        mode=setting.mode,
        prompt_tokens=setting.prompt_tokens,
        template=setting.template,
        lead=setting.before,
        words=setting.words,
        tokens=setting.tokens,
        limit=setting.limit,
        include_prompt=setting.include_prompt,
    )
    local = Local(model, problem)
    some = np.zeros(local.shape) if prompt is None else prompt.astype(float)
    return Texts(
        labels=setting.labels,
        words=first_of(setting.words, setting.groups),
        metric="",
        splits={},
        asked=local,
        prompt=Candidates(Dense(some.reshape(1, -1)), local.shape),
        show=_refuse,
        score=_refuse,
    )
