"""Settings: how texts are put to a model, as plain values that outlive the task."""

from dataclasses import dataclass
from typing import Any, NoReturn, cast

import numpy as np

from dfo_bench.core import InputError
from dfo_bench.lm import models
from dfo_bench.lm.engine import Engine, Prompts
from dfo_bench.lm.heads import EmbeddingHead, Head, HeadName, WordsHead
from dfo_bench.lm.inputs import Inputs
from dfo_bench.lm.modes import Mode, ModeName
from dfo_bench.lm.templates import Template
from dfo_bench.lm.texts import Texts


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
    include_prompt: bool = True
    """Whether the mean of a sentence encoder's rows includes the prompt's."""


def describe(texts: Texts) -> Setting:
    """Return the setting of a task's texts."""
    model, head, mode, template = texts.model, texts.head, texts.engine.mode, texts.template
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
        words=texts.words,
        tokens=tuple(head.tokens) if isinstance(head, WordsHead) else (),
        include_prompt=not (isinstance(head, EmbeddingHead) and head.left_out),
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
    mode = Mode(model, setting.mode, setting.prompt_tokens)
    template = Template(
        model, setting.template, head=setting.head, slots=mode.slots, lead=setting.before, limit=setting.limit
    )
    head: Head
    if setting.head == "embedding":
        head = EmbeddingHead(model, setting.words, mode.before, range(0) if setting.include_prompt else mode.places)
    else:
        head = WordsHead(model, setting.tokens)
    return Texts(
        labels=setting.labels,
        words=setting.words,
        metric="",
        inputs=Inputs({}, template, mode.before),
        model=model,
        head=head,
        engine=Engine(model, head, mode),
        prompt=np.zeros((1, *mode.shape), np.float32) if prompt is None else prompt,
        show=_refuse,
        score=_refuse,
    )
