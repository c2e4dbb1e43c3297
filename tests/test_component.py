from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component, component, parse

names = st.from_regex(r"([./]{0,3}[a-z_][a-z0-9_\-]*){1,3}(\.py)?", fullmatch=True)
keys = st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True)
scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
components = st.recursive(
    st.builds(Component, names, st.dictionaries(keys, plain, max_size=3)),
    lambda inner: st.builds(Component, names, st.dictionaries(keys, inner | plain, max_size=3)),
    max_leaves=4,
)


@given(components)
def test_printing_and_parsing_round_trip(one: Component) -> None:
    assert parse(str(one)) == one
    assert str(parse(str(one))) == str(one)


@given(st.text(max_size=40))
def test_any_text_is_a_component_or_wrong_input(text: str) -> None:
    try:
        one = parse(text)
    except InputError:
        return
    assert parse(str(one)) == one


@pytest.mark.parametrize(
    ("text", "name", "params"),
    [
        ("cma", "cma", {}),
        ("cma:sigma=0.5,popsize=20", "cma", {"sigma": 0.5, "popsize": 20}),
        ("nevergrad:method=TwoPointsDE", "nevergrad", {"method": "TwoPointsDE"}),
        ("agnews:model=a/b:c=d", "agnews", {"model": "a/b:c=d"}),
        ("rembo:inner=(cma:sigma=0.5,popsize=4),k=2", "rembo", {"inner": parse("cma:sigma=0.5,popsize=4"), "k": 2}),
        ('text:template="a, {text} (b"', "text", {"template": "a, {text} (b"}),
        ('text:words={"x": "y, z"}', "text", {"words": {"x": "y, z"}}),
        ("a:x=true,y=null,z=[1, 2]", "a", {"x": True, "y": None, "z": [1, 2]}),
        ('a:x="1"', "a", {"x": "1"}),
        ("a:x=NaN,y=1e999", "a", {"x": "NaN", "y": "1e999"}),
    ],
)
def test_values_are_json_where_they_parse_and_text_elsewhere(text: str, name: str, params: dict[str, Any]) -> None:
    one = parse(text)
    assert (one.name, dict(one.params)) == (name, params)
    assert {k: type(v) for k, v in one.params.items()} == {k: type(v) for k, v in params.items()}


@pytest.mark.parametrize(
    "text",
    ["", ":", "cma:", "cma:sigma", "cma:a=1,a=2", "cma:a=(b", "cma:a=b)", 'cma:a="b', "cma:a b=1", "cma:,", "a(b"],
)
def test_what_is_no_component_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_a_yaml_mapping_with_a_name_is_the_same_component() -> None:
    mapping = {"name": "rembo", "k": 2, "inner": {"name": "cma", "sigma": 0.5}}
    assert component(mapping) == parse("rembo:inner=(cma:sigma=0.5),k=2")
    assert component({"name": "rembo", "inner": "(cma:sigma=0.5)", "k": 2}) == component(mapping)


@pytest.mark.parametrize("value", [3, None, {"k": 1}, ["cma"]])
def test_other_forms_of_component_are_refused(value: Any) -> None:
    with pytest.raises(InputError):
        component(value)


@pytest.mark.parametrize(
    ("text", "stem"),
    [("./my_search.py", "my_search"), ("../a.b/my-own.py:k=2", "my-own"), ("/tmp/x.py:inner=(./y.py:k=1)", "x")],
)
def test_a_name_may_be_the_path_of_a_file(text: str, stem: str) -> None:
    one = parse(text)
    assert str(one) == text
    assert (one.is_file, one.stem) == (True, stem)
    assert (parse("cma").is_file, parse("a/b").stem) == (False, "a/b")


def test_a_value_with_a_comma_is_refused_with_how_to_quote_it() -> None:
    with pytest.raises(InputError, match=r"a value that holds a comma stands in double quotes, train=\"\.\.\.\""):
        parse("text:train=tickets, new.csv")
    assert parse('text:train="tickets, new.csv"').params == {"train": "tickets, new.csv"}
