"""The looks of groups, and names shortened."""

import pytest

from dfo_bench.report.labels import looks, shorten
from tests.frames import runs_of


def test_runs_of_different_rules_of_selection_are_different_groups() -> None:
    runs = runs_of({}, {"selection": "current"})
    assert [look.label for look in looks(runs).values()] == [
        "cma · normal · selection=current",
        "cma · normal · selection=incumbent",
    ]


def test_dimension_and_budget_are_named_only_where_they_tell_groups_apart() -> None:
    assert [look.label for look in looks(runs_of({}, {"task": "ackley", "dim": 9})).values()] == ["cma · normal"] * 2
    assert [look.label for look in looks(runs_of({}, {"dim": 9})).values()] == [
        "cma · normal · d=2",
        "cma · normal · d=9",
    ]


def test_an_optimizer_keeps_its_colour_and_marker_and_a_projection_its_dash() -> None:
    named = looks(runs_of(*({"optimizer": o, "projection": p} for o in "ab" for p in "xy")))
    a_x, a_y, b_x, b_y = named.values()
    assert (a_x.colour, a_x.marker, b_x.dash) == (a_y.colour, a_y.marker, a_x.dash)
    assert len({(look.marker, look.dash) for look in (a_x, a_y, b_x, b_y)}) == 4


def test_only_a_baseline_is_dashed() -> None:
    runs = runs_of(
        *({"projection": p} for p in "abcdefg"),
        {"optimizer": "start", "baseline": True},
        {"optimizer": "random", "budget": 1},
    )
    assert [look.dash == "dash" for look in looks(runs).values()] == [False] * 8 + [True]


def test_a_reference_is_named_without_the_projection_that_it_has_not() -> None:
    runs = runs_of({}, {"optimizer": "knn", "projection": "reference", "dim": 0, "baseline": True})
    assert [look.label for look in looks(runs).values()] == ["cma · normal", "knn"]


def test_a_reference_is_named_without_the_budget_and_the_dimension_of_the_searches_beside_it() -> None:
    knn = {"optimizer": "knn", "projection": "reference", "dim": 0, "budget": 1, "baseline": True}
    runs = runs_of({}, {"budget": 9}, {"dim": 9}, knn)
    assert [look.label for look in looks(runs).values()][-1] == "knn"


def test_what_a_method_sees_is_named_where_it_is_more_than_losses() -> None:
    runs = runs_of({}, {"optimizer": "composite", "sees": "outputs"})
    assert [look.label for look in looks(runs).values()] == ["cma · normal", "composite (sees outputs) · normal"]


@pytest.mark.parametrize(
    ("names", "shorter"),
    [
        (["short", "a name of letters"], ["short", "a nam…ters"]),
        (["one long name: alike at both ends", "one long name: other at both ends"], ["…: alike …", "…: other …"]),
        (["abcdefghijkl", "abcdefghijkl and more"], ["abcde…ijkl", "abcde…more"]),
    ],
)
def test_long_names_lose_letters_in_the_middle_and_stay_different(names: list[str], shorter: list[str]) -> None:
    assert shorten(names, 10) == dict(zip(names, shorter, strict=True))


def test_names_that_no_few_letters_tell_apart_are_numbered() -> None:
    names = [f"{'a' * 30}{one}{'b' * 30}{other}{'c' * 30}" for one in "xy" for other in "xy"]
    short = shorten(names, 12)
    assert len(set(short.values())) == 4
    assert all(len(name) <= 12 for name in short.values())
