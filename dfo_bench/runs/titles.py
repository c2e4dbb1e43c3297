"""The title of a task: how it is called in all output, in place of its name and of what it is about.

What says how a task is answered, its prompt and its model, stays beside the title: it tells tasks of one title apart.
"""

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component, parse

TITLE = "title"

PROMPT = {
    *("prompt_tokens", "mode", "template", "demonstrations", "calibrate", "initial", "include_prompt"),
    *("vocabulary", "clusters"),
}
"""The parameters of a task that concern its prompt; by all others (model, data, loss...) losses are comparable."""

ANSWER = {"model", "head", "loss", "leading_space", "precision"}
"""The parameters of a task, beside those of its prompt, that say how its question is answered."""


def check_title(title: str) -> None:
    """Raise InputError for what cannot stand where the name of a task stands; "" is none."""
    try:
        if title:
            Component(title)
    except InputError:
        raise InputError(
            f"title {title!r} cannot stand for a name; leave out : = , quotes, brackets, spaces around"
        ) from None


def entitle(task: str) -> str:
    """Return a task, as people write it, under its title; one without a title, or of any other name, as it is."""
    try:
        read = parse(task)
        title = read.params.get(TITLE)
        return str(give(read, title)) if isinstance(title, str) else task
    except InputError:
        return task


def give(task: Component, title: str, kept: frozenset[str] = frozenset()) -> Component:
    """Return a task under a title, with what says how it is answered, and with the parameters `kept`."""
    beside = {name: value for name, value in task.params.items() if name in PROMPT | ANSWER | kept and name != TITLE}
    return Component(title, beside)


def split_prompt(task: str) -> tuple[str, str]:
    """Return a task without its prompt and title, and what its prompt is; an imported task has any name."""
    try:
        read = parse(task)
    except InputError:
        return task, ""
    inside = {name: value for name, value in read.params.items() if name in PROMPT}
    outside = {name: value for name, value in read.params.items() if name not in {*PROMPT, TITLE}}
    return str(Component(read.name, outside)), str(Component(read.name, inside)).partition(":")[2]
