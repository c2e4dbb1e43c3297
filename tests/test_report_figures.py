"""Every kind of figure from a store with mishaps: names that do not fit, a failed run, losses of any size."""

import re
import warnings
from contextlib import suppress
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.figures import KINDS
from dfo_bench.report.figures.canvas import save, span, wrap
from dfo_bench.report.rules import Rules
from tests.frames import SPHERE, TEXT, Case, one_task, run, store_of, sweep

Frames = tuple[pd.DataFrame, pd.DataFrame]

LONG = "nevergrad:method=NGOpt,restarts=3/orthogonal:alpha=0.5,scale=1"
METHODS = ["random", "cma:sigma=0.5", LONG, "cma:sigma=0.5/uniform", "start"]
TASKS = ["agnews:model=roberta-large,prompt_tokens=10", "sphere:dim=1000", "a$b$_{"]


@pytest.fixture(scope="module")
def frames() -> Frames:
    rng, seen, status, accuracy = np.random.default_rng(0), dict[Case, list[float]](), {}, {}
    for (place, task), (order, name), seed in product(enumerate(TASKS), enumerate(METHODS), range(3)):
        case = (task, name, seed)
        time = np.arange(1, 2 if name == "start" else 41)
        losses = 10.0 ** (3 * place) * (
            1 + seed / 5 + np.exp(-time * (1 + order) / 60) + rng.exponential(0.1, len(time))
        )
        seen[case] = list(losses)
        accuracy[case] = 0.5 + 0.1 * order + 0.01 * rng.normal()
    cut = (TASKS[0], "random", 1)
    seen[cut], status[cut] = seen[cut][:12], "failed"
    del accuracy[cut]
    lossless = (TASKS[1], "random", 0)
    seen[lossless] = [np.nan] * 40
    return store_of(seen, status=status, budget={cut: 40}, test_accuracy=accuracy)


def covered(axes: Axes) -> list[tuple[str, str]]:
    """Return the pairs of texts of a panel that overlap: in it, or at the ticks of one of its axes."""
    found = []
    ticks = [
        [t.label1 if t.label1.get_visible() else t.label2 for t in axis.get_major_ticks() if _within(axis, t.get_loc())]
        for axis in (axes.xaxis, axes.yaxis)
        if axes.axison
    ]
    for texts in (*ticks, axes.texts):
        boxes = [(text.get_text(), text.get_window_extent().padded(-1.5)) for text in texts if text.get_text()]
        found += [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]
    return found


def _within(axis: Axis, place: float) -> bool:
    low, high = sorted(axis.get_view_interval())
    return bool(low <= place <= high)


@pytest.mark.parametrize("style", ["one-column", "two-column"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_of_every_kind_has_its_style_and_no_text_is_cut_off_or_covered(
    kind: str, style: str, frames: Frames
) -> None:
    figure = KINDS[kind].draw(*frames, style=style)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    width, height = figure.get_size_inches()
    ink = figure.get_tightbbox()
    assert width == {"one-column": 3.4, "two-column": 7.0}[style]
    assert any(axes.has_data() for axes in figure.axes)
    assert (ink.x0, ink.y0) >= (-0.01, -0.01)
    assert (ink.x1 <= width + 0.01, ink.y1 <= height + 0.01) == (True, True)
    assert [pair for axes in figure.axes for pair in covered(axes)] == []


@pytest.fixture(scope="module")
def templates() -> Frames:
    """Return a store of thirteen templates and of methods whose long names differ in the middle or at the end."""
    names = [f'text:template="{{text}} All in all, that is number {i:02d}, [MASK]."' for i in range(13)]
    methods = ["random", *(f"cma:popsize=20,sigma=0.5,restarts=3,active=true,elitist={last}" for last in ("no", "yes"))]
    seen = {case: [2.0, 1.0 - 0.1 * i] for i, case in enumerate(product(names, methods, range(2)))}
    return store_of(dict(seen), test_accuracy=dict.fromkeys(seen, 0.5))


@pytest.mark.parametrize("style", ["one-column", "two-column"])
@pytest.mark.parametrize("kind", ["table", "heatmap", "wins", "cd"])
def test_thirteen_long_names_are_shortened_and_stay_apart(kind: str, style: str, templates: Frames) -> None:
    figure = KINDS[kind].draw(*templates, style=style)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    width, height = figure.get_size_inches()
    ink = figure.get_tightbbox()
    assert (ink.x0 >= -0.01, ink.y0 >= -0.01, ink.x1 <= width + 0.01, ink.y1 <= height + 0.01) == (True,) * 4
    assert [pair for axes in figure.axes for pair in covered(axes)] == []
    if kind == "heatmap":
        heads = [label.get_text() for label in figure.axes[0].get_xticklabels()]
        assert len(set(heads)) == 13
        assert all("…" in head for head in heads)


def test_the_lines_of_every_figure_differ_without_colour(frames: Frames) -> None:
    for kind in ("curve", "ecdf", "profile", "rank"):
        for axes in KINDS[kind].draw(*frames).axes:
            lines = [line for line in axes.lines if np.size(line.get_xdata())]
            assert len({(line.get_marker(), str(line.get_linestyle())) for line in lines}) == len(lines) >= 4


def test_more_methods_than_fills_can_tell_apart_have_bars_at_their_last_markers(frames: Frames) -> None:
    runs, curves = frames
    few = runs[runs["optimizer"].isin(["random", "start"])]
    assert len(KINDS["curve"].draw(few, curves).axes[0].collections) == 2
    many = KINDS["curve"].draw(runs, curves)
    assert "last marker" in many.legends[0].get_title().get_text().replace("\n", " ")


def test_the_win_matrix_writes_estimate_interval_and_number_in_every_cell() -> None:
    runs, curves = store_of({("s", name, seed): [loss] for name, loss in (("a", 1.0), ("b", 2.0)) for seed in range(3)})
    written = [text.get_text() for text in KINDS["wins"].draw(runs, curves).axes[0].texts]
    assert written == ["100\n29\N{EN DASH}100\nn 3", "0\n0\N{EN DASH}71\nn 3"]  # exact bounds of 3 of 3


def test_the_diagram_joins_what_is_within_the_critical_difference(frames: Frames) -> None:
    seen = {("s", name, seed): [float(place)] for place, name in enumerate("abc") for seed in range(4)}
    axes = KINDS["cd"].draw(*store_of(seen)).axes[0]
    said = [text.get_text() for text in axes.texts]
    assert {"a · normal (1.00)", "b · normal (2.00)", "c · normal (3.00)", "CD = 1.66"} <= set(said)
    assert len([line for line in axes.lines if line.get_linewidth() == 2.5]) == 2  # a with b, b with c


def test_a_box_shows_every_run_and_says_how_many_have_none(frames: Frames) -> None:
    panel = KINDS["box"].draw(*frames).axes[2]
    labels = ["".join(label.get_text().split()) for label in panel.get_yticklabels()]
    assert panel.get_title().replace("\n", "") == "sphere:dim=1000"
    assert "random·normal(2of3)" in labels
    points = [line for line in panel.lines if line.get_linestyle() == "None"]
    assert sum(np.size(line.get_xdata()) for line in points) == 14


def test_a_heatmap_says_where_a_method_has_no_loss(frames: Frames) -> None:
    seen = {("s", "random", 0): [2.0], ("s", "cma", 0): [1.0], ("s", "b", 0): [np.inf], ("t", "random", 0): [1.0]}
    written = {text.get_text() for text in KINDS["heatmap"].draw(*store_of(seen), style="one-column").axes[0].texts}
    assert written == {"1.00\nn 1", "0.00\nn 1", "no loss", "—"}


def test_a_figure_goes_by_the_rules_that_it_reads() -> None:
    rng = np.random.default_rng(1)
    seen = {
        ("s", name, seed): list(10 - rng.random(6).cumsum()) for name in ("random", "cma", "b") for seed in range(3)
    }
    cut = ("s", "cma", 1)
    seen[cut] = seen[cut][:3]
    accuracy = dict(zip(seen, rng.random(9), strict=True))
    tokens = {case: 7.0 * len(losses) for case, losses in seen.items()}
    runs, curves = store_of(
        seen, status={cut: "failed"}, budget={cut: 6}, task_seconds={cut: 90.0}, test_accuracy=accuracy, tokens=tokens
    )
    for kind, one in KINDS.items():
        plain = _picture(KINDS[kind].draw(runs, curves))
        same = [name for name in one.reads if _picture(KINDS[kind].draw(runs, curves, rules=OTHER[name])) == plain]
        assert same == [], kind


OTHER = {
    "metric": Rules(metric="test_accuracy"),
    "budget": Rules(budget=2),
    "counting": Rules(counting=Counting.DROP),
    "margin": Rules(margin=0.9),
    "against": Rules(against="tokens"),
    "reference": Rules(reference="b"),
}


def _picture(figure: Figure) -> bytes:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return bytes(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("kind", "seen", "message"),
    [
        ("curve", {("s", "a", 0): [np.inf]}, "nothing to draw: no group of the 1 runs has a loss"),
        ("ecdf", {("s", "a", 0): [1.0]}, "no run improves on the loss that its task begins with"),
        ("profile", {("s", "a", 0): [np.nan]}, "no run improves"),
        ("rank", {("s", "a", 0): [1.0]}, "ranks need two methods and a block"),
        ("cd", {("s", "a", 0): [1.0], ("s", "b", 0): [1.0]}, "needs 3 methods and 2 blocks"),
        ("wins", {("s", "a", 0): [1.0]}, "there is only a · normal; run another"),
        ("box", {("s", "a", 0): [np.nan]}, "none of the 1 runs that count has a loss"),
        ("table", {("s", "a", 0): [np.nan]}, "none of the 1 runs that count has a loss"),
        ("heatmap", {("s", "a", 0): [1.0]}, "no run of random to normalise by; add some with -o random"),
        ("overhead", {("s", "a", 0): []}, "none of the 1 runs has evaluations and their seconds"),
    ],
)
def test_a_store_that_cannot_show_a_kind_is_refused_with_what_it_lacks(
    kind: str, seen: dict[Case, list[float]], message: str
) -> None:
    runs, curves = store_of(seen, status={("s", "a", 0): "failed"})
    with pytest.raises(InputError, match=re.escape(message)):
        KINDS[kind].draw(runs, curves)
    with pytest.raises(InputError, match="the store holds no run yet"):
        KINDS[kind].draw(pd.DataFrame(), pd.DataFrame())
    with pytest.raises(InputError, match="no style 'poster'; there are: one-column, two-column"):
        KINDS[kind].draw(runs, curves, style="poster")


def test_a_curve_against_a_cost_lies_where_the_run_had_spent_that_much() -> None:
    seen = {("s", name, seed): [4.0, 2.0, 1.0] for name in ("a", "b") for seed in range(2)}
    tokens = {case: 30.0 if case[1] == "a" else 300.0 for case in seen}
    runs, curves = store_of(seen, tokens=tokens)
    figure = KINDS["curve"].draw(runs, curves, rules=Rules(against="tokens"))
    panel = figure.axes[0]
    assert panel.get_xlabel() == "tokens"
    assert "bootstrap interval over 2 seeds" in figure.legends[0].get_title().get_text().replace("\n", " ")
    drawn = [np.asarray(line.get_xydata()) for line in panel.lines]
    ends = [tuple(points[-1]) for points in drawn if len(points)]
    assert sorted(ends) == [(30.0, 1.0), (300.0, 1.0)]


def test_a_curve_has_the_same_bounds_and_rules_against_any_cost() -> None:
    cut: Case = ("s", "a", 2)
    seen: dict[Case, list[float]] = {("s", "a", seed): [9.0 - seed, 4.0 + seed, 2.0 + seed] for seed in range(3)}
    runs, curves = store_of(
        seen | {cut: [1.0]}, tokens=dict.fromkeys(seen, 20.0) | {cut: 20.0 / 3}, status={cut: "failed"},
        budget={cut: 3},
    )  # fmt: skip
    for counting in Counting:
        rules = [Rules(counting=counting, against=against) for against in ("evaluation", "tokens")]
        shapes = [_shape(KINDS["curve"].draw(runs, curves, rules=one)) for one in rules]
        assert shapes[0] == shapes[1], counting


def _shape(figure: Figure) -> tuple[list[float], list[float]]:
    """Return the heights of the line of a figure of one, and of the edges of what it fills."""
    (panel,) = figure.axes
    (edges,) = panel.collections[0].get_paths()
    heights = np.asarray(edges.vertices)[:, 1]
    return list(np.asarray(panel.lines[-1].get_ydata())), sorted(set(heights))


def test_a_curve_against_a_cost_that_no_run_knows_is_refused() -> None:
    runs, curves = store_of({("s", "a", 0): [1.0]})
    with pytest.raises(InputError, match="or none of them knows its tokens"):
        KINDS["curve"].draw(runs, curves, rules=Rules(against="tokens"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "losses",
    [[1e308, -1e308, -1.7e308], [1.7e308, 1e308, 1e308], [1.7e308, 10.0, 1.0], [-1e150, -1e200, -1e200]],
    ids=["both ends", "upper end", "diverged at first", "lower end"],
)
def test_losses_at_the_ends_of_floats_are_drawn_or_refused_in_one_line(kind: str, losses: list[float]) -> None:
    seen: dict[Case, list[float]] = {
        ("s", name, seed): [losses[0], losses[1] * (1 - seed / 10), losses[2] / (1 + place)]
        for place, name in enumerate(("random", "cma", "b")) for seed in range(6)
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = False
        with suppress(InputError):
            drawn = bool(_picture(KINDS[kind].draw(*store_of(seen))))
    # Where nothing within reach gets better there is no scale of targets or scores.
    assert drawn or kind in ("ecdf", "profile", "heatmap")


def test_methods_that_do_not_fit_are_refused_and_not_squeezed() -> None:
    runs, curves = store_of({("s", f"m{place}", 0): [float(place)] for place in range(20)})
    with pytest.raises(InputError, match="20 methods do not fit into one-column, which has room for 8"):
        KINDS["wins"].draw(runs, curves, style="one-column")


@pytest.mark.parametrize(
    ("text", "letters", "lines"),
    [
        ("cma · normal", 20, ["cma · normal"]),
        ("cma · normal", 9, ["cma ·", "normal"]),
        ("agnews:prompt_tokens=10,a=1", 16, ["agnews:", "prompt_tokens=10", ",a=1"]),
        ("abcdefghijkl", 5, ["abcde", "fghij", "kl"]),
        ("p = 1", 3, ["p =", "1"]),
        ("a$b", 9, [r"a\$b"]),
        ("数据/客户.csv", 6, ["数据", "/客户", ".csv"]),
    ],
)
def test_a_name_is_broken_behind_its_punctuation_and_its_letters_of_full_width(
    text: str, letters: int, lines: list[str]
) -> None:
    assert wrap(text, letters).split("\n") == lines
    assert all(span(line) <= letters for line in wrap(text, letters).split("\n"))


@pytest.mark.parametrize(
    ("suffix", "style", "width"), [("png", "one-column", 3.4), ("pdf", "two-column", 7.0), ("svg", "two-column", 7.0)]
)
def test_a_figure_has_a_panel_per_task_and_is_the_same_file_every_time(
    tmp_path: Path, suffix: str, style: str, width: float
) -> None:
    frames = sweep()
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        figure = KINDS["curve"].draw(*frames[:2], style=style)
        save(figure, file)
    assert figure.get_figwidth() == width
    assert [axes.get_title() for axes in figure.axes] == [TEXT, SPHERE]
    assert {(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes} == {
        ("evaluations", "loss of the incumbent")
    }
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_legend_names_a_line_once_where_tasks_have_budgets_of_their_own() -> None:
    runs, curves, _ = one_task(run(budget=3, evaluations=3), run(task="ackley", budget=2, evaluations=2))
    (legend,) = KINDS["curve"].draw(runs, curves).legends
    assert len(legend.get_texts()) == 1


def test_a_name_that_reads_like_a_formula_is_drawn_as_it_is(tmp_path: Path) -> None:
    runs, curves, _ = one_task(run(optimizer="a$b$_{", task="c$d$_{"))
    save(KINDS["curve"].draw(runs, curves), tmp_path / "curve.svg")


def test_what_cannot_be_drawn_is_refused_with_the_reason(tmp_path: Path) -> None:
    runs, curves, _ = one_task(run(best_loss=np.inf, status="failed"))
    with pytest.raises(InputError, match="nothing to draw: no group of the 1 run"):
        KINDS["curve"].draw(runs, curves)
    with pytest.raises(InputError, match="no style 'poster'; there are: one-column, two-column"):
        KINDS["curve"].draw(runs, curves, style="poster")
    with pytest.raises(InputError, match=r"curve.bmp.*\.png, \.pdf, \.svg"):
        save(KINDS["curve"].draw(*one_task(run())[:2]), tmp_path / "curve.bmp")
    assert not list(tmp_path.iterdir())
