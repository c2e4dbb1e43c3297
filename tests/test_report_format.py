import math

import pytest

from dfo_bench.report.format import count, precision, seconds, size

INF, NAN = math.inf, math.nan


def test_numbers_are_written_for_people() -> None:
    assert [seconds(s) for s in (0.0123, 3.21, 59.97, 754, 7260, NAN)] == [
        "12.3 ms", "3.2 s", "1 min 0 s", "12 min 34 s", "2 h 1 min", "—"]  # fmt: skip
    assert [size(b) for b in (0, 950, 12345, 999_700, 4.6e15, NAN)] == [
        "0 B",
        "950 B",
        "12.3 kB",
        "1 MB",
        "4.6 PB",
        "—",
    ]
    assert [count(n) for n in (12345.4, NAN)] == ["12,345", "—"]


@pytest.mark.parametrize(
    ("column", "written"),
    [
        ([0.51234, 0.7], ["0.512", "0.700"]),
        ([1.23456, 0.5, NAN], ["1.235", "0.500", "—"]),
        ([31.4159, 2], ["31.42", "2.00"]),
        ([1e-9, 3.0], ["1.000e-09", "3.000e+00"]),
        ([0, 0.0], ["0.000", "0.000"]),
        ([INF], ["—"]),
        ([], []),
    ],
)
def test_a_column_of_numbers_has_one_precision(column: list[float], written: list[str]) -> None:
    assert [precision(column)(number) for number in column] == written
