"""Room: whether a template leaves some for the text, beside a prompt and demonstrations."""

from collections.abc import Sequence

from dfo_bench.errors import InputError
from dfo_bench.lm.data import Row
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.pattern import Pattern
from dfo_bench.lm.templates import Template


def check_room(template: Template, model: LanguageModel, prompt_tokens: int) -> None:
    """Raise InputError where a prompt leaves no room for text."""
    if template.room < 1:
        most = prompt_tokens + template.room - 1
        remedy = f"at most prompt_tokens={most}" if most >= 0 else "another model: the template alone is too long"
        raise InputError(
            f"prompt_tokens={prompt_tokens} leaves no room for text: {model.name!r} takes {model.max_tokens} "
            f"tokens in all; pass {remedy}"
        )


def demonstrate(template: Pattern, name: str, most: int, shown: Sequence[tuple[Row, str]], count: int) -> None:
    """Put rows with their label words before every text, `count` per class; raise InputError where that cannot be.

    The model is called `name` and takes `most` tokens.
    """
    if template.head == "embedding":
        raise InputError(
            "demonstrations and the reference in_context need label words, which head=embedding has not; "
            "pass head=masked, head=causal or head=seq2seq with a model of that kind, or leave them out"
        )
    template.demonstrate(shown)
    if template.room < 1:
        remedy = "fewer" if count > 1 else "none, shorter examples or another model"
        raise InputError(
            f"demonstrations={count} leave no room for text: {name!r} takes {most} tokens in all; pass {remedy}"
        )
