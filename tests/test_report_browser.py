"""The page in a real browser: what a reader can do with it, and what nobody can do to the reader."""

import csv
import io
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from dfo_bench.report.page.page import build_page
from dfo_bench.report.rules import AXES
from tests.frames import NO_MEASURES, SPHERE, TEXT, store_of, sweep

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
HOSTILE = {
    "random": "</script><script>window.harmed=1</script>",
    'my<script>alert("x")</script>': "\"'><img src=x onerror=window.harmed=1>",
    "cma:sigma=0.5": "=1+1 日本 &amp; $x$",
}
"""What the optimizers of the store are called here."""
CALM = HOSTILE["cma:sigma=0.5"]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


def html_of(frames: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], title: str = "demo", refresh: int = 0) -> str:
    runs, curves, measures = frames
    seconds = {"task_seconds": 0.04 * curves["evaluation"], "optimizer_seconds": 0.001 * curves["evaluation"]}
    rest = curves.assign(**seconds), measures
    runs = runs.assign(optimizer=runs["optimizer"].replace(HOSTILE))
    return build_page(runs, *rest, title=title, commands=["a && b"], provenance={"torch": "2"}, refresh=refresh)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_of(sweep()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def opened(browser: "Browser", report: Path) -> tuple["Page", list[str]]:
    """Return a tab that shows the page, and what went wrong in it."""
    tab, said = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True), list[str]()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    tab.goto(report.as_uri())
    tab.wait_for_selector(".plot .main-svg")
    return tab, said


@pytest.fixture
def tab(opened: tuple["Page", list[str]]) -> "Page":
    """Return the tab as its reader found it."""
    tab, _ = opened
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.evaluate("location.hash = ''; readChoices(); follow(); scrollTo(0, 0)")
    return tab


def until(tab: "Page", condition: str, arg: object) -> None:
    """Wait for a condition, a function in the browser; the page's own rules forbid Playwright's way to do so."""
    tab.evaluate(
        f"""(arg) => new Promise((done) => {{
        const look = () => (({condition})(arg) ? done() : requestAnimationFrame(look));
        look();
    }})""",
        arg,
    )


def curve(tab: "Page", title: str) -> int:
    """Scroll to the first figure of a title, so that it is drawn, and return its number."""
    number: int = tab.evaluate("title => curves.findIndex(curve => curve.figure.innerText.startsWith(title))", title)
    # The page's own observer was there first, so it has seen the scrolling when this one has.
    tab.evaluate(
        """i => new Promise((done) => {
        curves[i].figure.scrollIntoView();
        new IntersectionObserver(() => done()).observe(curves[i].figure);
    })""",
        number,
    )
    until(tab, "i => curves[i].fresh && curves[i].inView", number)
    return number


def remark(tab: "Page", number: int) -> str:
    text: str = tab.evaluate("i => curves[i].figure.querySelector('.remark').textContent", number)
    return text


def menu(tab: "Page", kind: str) -> None:
    """Open the menu of a kind."""
    tab.locator(".menu summary").filter(has_text=kind).click()


def drawn(tab: "Page", number: int) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = tab.evaluate(
        "i => curves[i].place.data.map(t => ({group: t.legendgroup, x: t.x, y: t.y, width: t.line.width}))", number
    )
    return traces


def test_it_opens_without_an_error_and_asks_nothing_of_a_network(opened: tuple["Page", list[str]]) -> None:
    tab, said = opened
    assert tab.title() == "demo"
    assert said == []


def test_names_of_plugins_are_shown_and_never_run(tab: "Page") -> None:
    number = curve(tab, "Train loss")
    assert tab.evaluate("window.harmed") is None
    assert tab.evaluate("document.images.length") == 0
    for name in HOSTILE.values():
        assert tab.get_by_text(f"{name} · normal", exact=True).count()
    labels = {trace["group"] for trace in drawn(tab, number)}
    assert labels == {f"{name} · {projection}" for name in HOSTILE.values() for projection in ("normal", "uniform")}
    place = tab.evaluate(
        "i => curves[i].place.data.findIndex(t => t.hovertemplate && t.legendgroup.includes('onerror'))", number
    )
    tab.evaluate(
        "([i, line]) => Plotly.Fx.hover(curves[i].place, [{curveNumber: line, pointNumber: 9}])", [number, place]
    )
    label = tab.locator(".hoverlayer").nth(number).text_content() or ""
    assert HOSTILE['my<script>alert("x")</script>'] in label
    assert "median of 3 runs" in label
    assert "quartiles" in label
    assert tab.evaluate("window.harmed") is None


def test_an_optimizer_that_is_hidden_is_gone_from_curves_tables_and_legends(tab: "Page") -> None:
    number = curve(tab, "Train loss")
    rows = tab.locator("tbody td:first-child:visible").filter(has_text=CALM)
    assert rows.count() > 4
    menu(tab, "optimizers")
    tab.locator(".menu[open] label").filter(has_text=CALM).click()
    assert all(CALM not in trace["group"] for trace in drawn(tab, number))
    assert rows.count() == 0
    assert tab.locator(".legend button:visible").filter(has_text=CALM).count() == 0
    tab.locator(".menu[open] .none").click()
    assert remark(tab, number).startswith("Every line")


def test_a_task_a_value_and_a_single_line_can_be_hidden_and_the_address_keeps_it(tab: "Page", report: Path) -> None:
    for kind, name in (("tasks", SPHERE), ("values", "dev loss")):
        menu(tab, kind)
        tab.locator(".menu[open] label").filter(has_text=name).click()
    tab.locator("section[data-task] .legend button").first.click()
    tab.locator("select[name=y]").select_option("log")
    assert tab.locator(".menu[open]").count() == 0  # a click elsewhere closes it
    menu(tab, "values")
    tab.keyboard.press("Escape")
    assert tab.locator(".menu[open]").count() == 0

    def state() -> tuple[list[str], int, str]:
        shown = tab.locator("section[data-task]:visible h2").all_text_contents()
        return shown, tab.locator("figure:visible").count(), tab.locator("[name=y]").input_value()

    assert state() == ([TEXT], 2 + 2, "log")
    tab.goto(tab.url)
    tab.reload()
    assert state() == ([TEXT], 2 + 2, "log")
    assert tab.locator("section[data-task] .legend button").first.get_attribute("aria-pressed") == "false"


def test_every_cost_can_be_the_axis(tab: "Page") -> None:
    number = curve(tab, "Train loss")
    ends = {}
    for name, axis in AXES.items():
        tab.locator("select[name=x]").select_option(name)
        assert tab.evaluate("i => curves[i].place.layout.xaxis.title.text", number) == axis.name
        ends[name] = max(trace["x"][-1] for trace in drawn(tab, number))
    # 300 calls at the prices of the made-up sweep.
    prices = {"evaluation": 1, "examples": 64, "tokens": 2100, "bytes_up_z": 800, "bytes_up_prompt": 15_360,
              "bytes_down": 1024, "task_seconds": 0.04, "total_seconds": 0.041}  # fmt: skip
    assert ends == pytest.approx({name: 300 * price for name, price in prices.items()}, rel=1e-6)


def test_single_runs_are_drawn_on_demand(tab: "Page") -> None:
    number = curve(tab, "Train loss")
    assert {trace["width"] for trace in drawn(tab, number)} == {0, 2}
    tab.locator("select[name=spread]").select_option("runs")
    runs = [trace for trace in drawn(tab, number) if trace["width"] == 1]
    assert len(runs) == 2 * 3 * 3
    assert all((np.diff(trace["y"]) <= 0).all() for trace in runs)


def test_a_logarithmic_axis_says_what_it_leaves_out(tab: "Page") -> None:
    number = curve(tab, "Train loss")
    nothing = "band => { band.median = band.lower = btoa('\\0'.repeat(atob(band.x).length)) }"
    tab.evaluate(
        f"i => Object.values(curves[i].data.groups).forEach(group => ({nothing})(group.bands.evaluation))", number
    )
    tab.locator("select[name=y]").select_option("log")
    assert tab.evaluate("i => curves[i].place.layout.yaxis.type", number) == "log"
    assert remark(tab, number).startswith("Values of 0 and below")


def test_a_column_sorts_by_its_numbers_both_ways(tab: "Page") -> None:
    table = tab.locator("section[data-task] table").first
    head = table.locator("th button").nth(1)

    def values() -> list[float]:
        cells = table.locator("td:nth-child(2)").all()
        return [float(cell.get_attribute("data-value") or "nan") for cell in cells]

    head.click()
    assert values() == sorted(values())
    head.click()
    assert values() == sorted(values(), reverse=True)


def test_a_table_is_downloaded_as_it_stands_with_numbers_in_full(tab: "Page") -> None:
    table = tab.locator("section[data-task] table").first
    with tab.expect_download() as download:
        table.locator("caption button").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    head, *rows = csv.reader(io.StringIO(text))
    assert head[:3] == ["optimizer · projection", "train loss", "train loss sd"]
    assert sorted(row[0].lstrip("'") for row in rows) == sorted(
        f"{name} · {projection}" for name in HOSTILE.values() for projection in ("normal", "uniform")
    )
    assert all(not row[0].startswith("=") for row in rows)  # which a spreadsheet would compute
    assert all(len(row[1]) > 8 for row in rows)
    assert download.value.suggested_filename == "demo-results-mean-sd-over-seeds.csv"


def test_a_phone_scrolls_the_page_in_one_direction_only(tab: "Page") -> None:
    for width in (320, 390):
        tab.set_viewport_size({"width": width, "height": 800})
        number = curve(tab, "Train loss")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        until(tab, "([i, most]) => curves[i].place.querySelector('.main-svg').clientWidth <= most", [number, width])


def test_thirteen_templates_and_names_of_sixty_letters_cover_nothing(browser: "Browser", tmp_path: Path) -> None:
    names = [f'text:template="{{text}} All in all, that is number {i:02d}, [MASK]."' for i in range(13)]
    long = [f"cma:popsize=20,sigma=0.5,restarts=3,active=true,elitist={last}" for last in ("no", "yes")]
    seen = {case: [2.0, 1.0 - 0.1 * i] for i, case in enumerate(product(names, ["random", *long], range(2)))}
    runs, curves = store_of(dict(seen), test_accuracy=dict.fromkeys(seen, 0.5))
    path = tmp_path / "report.html"
    path.write_text(html_of((runs, curves, NO_MEASURES)), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 900})
        spilling = """[...document.querySelectorAll('th, td, h1, h2, figcaption, .legend button')].filter(
            (one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"""
        assert tab.evaluate(spilling) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    heads = tab.locator("th[title]")
    assert heads.first.get_attribute("title") != heads.first.inner_text()
    tab.close()


def test_on_paper_every_figure_is_drawn_and_no_control_stands(tab: "Page") -> None:
    tab.emulate_media(media="print")
    assert not tab.locator("nav").is_visible()
    assert tab.locator("caption button:visible").count() == 0
    tab.emulate_media(media="screen")
    assert tab.pdf().startswith(b"%PDF")
    assert tab.evaluate("curves.every(curve => curve.place.querySelector('.main-svg'))")


def test_a_page_that_is_watched_loads_itself_again_and_keeps_what_was_chosen(
    browser: "Browser", tmp_path: Path
) -> None:
    runs, curves, measures = sweep()
    few = runs[runs["task"] == SPHERE]
    path = tmp_path / "report.html"
    path.write_text(html_of((few, curves, measures), refresh=1), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(f"{path.as_uri()}#x=tokens")
    tab.locator(".stamp", has_text="looks again every 1 s").wait_for()
    after = tmp_path / "after.html"
    after.write_text(html_of((few, curves, measures), title="done"), encoding="utf-8")
    after.replace(path)
    tab.locator("h1", has_text="done").wait_for()
    sync_api.expect(tab.locator("select[name=x]")).to_have_value("tokens")
    assert tab.locator(".stamp").inner_text() == ""
    tab.close()
