from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import pytest
from pydantic import PositiveInt

from dfo_bench.core import Array, EmbeddingOptimizer, Optimizer, Points, Rngs, Task
from dfo_bench.errors import InputError, PluginError
from dfo_bench.plugins.parameters import parameters_of, prose
from dfo_bench.plugins.registry import KINDS, OPTIMIZERS, TASKS


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in KINDS[kind].names()])
def test_every_parameter_of_every_plugin_has_a_type_and_a_meaning(kind: str, name: str) -> None:
    for key, parameter in KINDS[kind].parameters(KINDS[kind].load(name)).items():
        assert parameter.type is not None
        assert all(parameter.in_words())
        assert parameter.meaning.endswith("."), key


class Concrete(Task):
    def evaluate(self, points: Points) -> Array:
        return np.zeros(len(points))


class Base(Concrete):
    def __init__(self, *, rngs: Rngs, model: str = "", shots: int = 16) -> None: ...


class Family(Base):
    def __init__(self, *, rngs: Rngs, metric: str, **common: Any) -> None:
        super().__init__(rngs=rngs, **common)


class Silent(Family):
    """Says nothing of its own."""


class Member(Silent):
    def __init__(self, *, rngs: Rngs, own: float = 0.5, shots: int = 4, **common: Any) -> None:
        super().__init__(rngs=rngs, shots=shots, **common)


def test_a_constructor_that_hands_on_keywords_has_the_parameters_of_the_next_one_up() -> None:
    assert list(TASKS.parameters(Silent)) == ["metric", "model", "shots", "title"]
    member = TASKS.parameters(Member)
    assert list(member) == ["own", "shots", "metric", "model", "title"]
    assert [(p.type, p.default) for p in member.values()][:2] == [(float, 0.5), (int, 4)]
    assert member["metric"].required


def test_a_constructor_that_hands_nothing_on_has_only_its_own_parameters() -> None:
    class Closed(Member):
        def __init__(self, *, rngs: Rngs, label: str) -> None:
            super().__init__(rngs=rngs, metric=label)

    assert list(TASKS.parameters(Closed)) == ["label", "title"]


class Handed(TypedDict):
    budget: int


def test_keywords_that_are_handed_on_as_a_typed_dict_are_no_parameters_of_their_own() -> None:
    class Typed(Base):
        def __init__(self, *, rngs: Rngs, own: int = 1, **handed: Unpack[Handed]) -> None: ...

    assert list(parameters_of(Typed)) == ["rngs", "own", "model", "shots"]


def test_what_a_parameter_may_be_is_said_in_words() -> None:
    class Wordy(Optimizer):
        def __init__(self, *, many: PositiveInt | None = None, how: Literal["a", "b"] = "a", to: str) -> None: ...

    words = {name: parameter.in_words() for name, parameter in parameters_of(Wordy).items()}
    assert words == {
        "many": ("whole number above 0 or null", "null"),
        "how": ("a, b", "a"),
        "to": ("text", "required"),
    }


def test_a_parameter_with_the_name_of_what_a_run_gives_is_refused() -> None:
    class Plain(Optimizer):
        def __init__(self, space: Any, *, budget: int, rng: Any, dim: int = 10) -> None: ...

    class Drawing(EmbeddingOptimizer):
        def __init__(self, space: Any, *, name: str = "me", **given: Any) -> None: ...

    class Sized(Concrete):
        def __init__(self, *, rngs: Rngs, dim: int = 10, budget: int = 3) -> None: ...

    with pytest.raises(PluginError, match="called 'dim', what a run gives EmbeddingOptimizers; give it another name"):
        OPTIMIZERS.parameters(Plain)
    with pytest.raises(PluginError, match="called 'name', what a component in YAML calls its plugin"):
        OPTIMIZERS.parameters(Drawing)
    assert list(TASKS.parameters(Sized)) == ["dim", "budget", "title"]


class Explained(Optimizer):
    """What it is, in a line: one of its kind.

    note: this is no parameter.
    step: how far it goes,
        in scales.
    size: how many.
    """

    def __init__(self, *, step: float = 1.0, size: int = 2) -> None:
        """Take them."""


class Again(Explained):
    """Another."""

    def __init__(self, *, size: int = 3, own: int = 1, **given: Any) -> None:
        """own: what only this one has."""
        super().__init__(**given)


def test_what_a_parameter_means_is_read_off_the_docstrings_of_class_and_constructor() -> None:
    meanings = {name: parameter.meaning for name, parameter in parameters_of(Again).items()}
    assert meanings == {"size": "how many.", "own": "what only this one has.", "step": "how far it goes, in scales."}


def test_the_prose_of_a_plugin_is_its_docstrings_without_its_parameters() -> None:
    assert prose(Explained, {"step", "size"}) == (
        "What it is, in a line: one of its kind.\n\nnote: this is no parameter.\nTake them."
    )
    assert prose(Again, {"size", "own", "step"}) == "Another."


def test_texts_in_brackets_that_lack_their_quotes_are_told_of_them() -> None:
    classes = parameters_of(TASKS.load("text"))["classes"]
    assert classes.coerced(["a", "b"], "classes") == ["a", "b"]
    with pytest.raises(InputError, match=r'classes=.\[a,b\].: .*double quotes, as in \["one","two"\]'):
        classes.coerced("[a,b]", "classes")
