"""Letters that matplotlib's own font lacks, with a font of one letter built for the test."""

import warnings
from pathlib import Path

import pytest
from matplotlib import font_manager

from dfo_bench.report.figures import KINDS
from dfo_bench.report.figures.canvas import save
from tests.frames import store_of

builder = pytest.importorskip("fontTools.fontBuilder", reason="needs fontTools, which matplotlib brings")
pens = pytest.importorskip("fontTools.pens.ttGlyphPen")

# Han letters of no dictionary that a font on this machine may have: the end of an extension of Unicode 15.
HAVE, LACK = "\U000323ae", "\U000323af"


def build(path: Path) -> None:
    """Write a font that has one letter, a square."""
    pen = pens.TTGlyphPen(None)
    for place, corner in enumerate([(0, 0), (0, 900), (900, 900), (900, 0)]):
        (pen.lineTo if place else pen.moveTo)(corner)
    pen.closePath()
    glyphs = {".notdef": pens.TTGlyphPen(None).glyph(), "square": pen.glyph()}
    font = builder.FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(list(glyphs))
    font.setupCharacterMap({ord(HAVE): "square"})
    font.setupGlyf(glyphs)
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "One Square", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_letters_are_drawn_in_an_installed_font_that_has_them_and_the_others_are_named(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, curves = store_of({(f"task {HAVE}{LACK}", "random", 0): [1.0]})
    path = tmp_path / f"curve.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (bare,) = save(KINDS["curve"].draw(runs, curves), path)
        assert bare == f"no installed font has {HAVE}{LACK}, drawn as boxes; install one, e.g. of the Noto fonts"
        build(tmp_path / "square.ttf")
        monkeypatch.setattr(font_manager, "X11FontDirectories", [str(tmp_path)])
        monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist])
        figure = KINDS["curve"].draw(runs, curves)
        (said,) = save(figure, path)
    assert said.startswith(f"no installed font has {LACK}, drawn as boxes")
    assert figure.axes[0].title.get_fontfamily() == ["sans-serif", "One Square"]
    assert figure.axes[0].xaxis.label.get_fontfamily() == ["sans-serif"]


def test_a_figure_in_latin_letters_has_nothing_to_say(tmp_path: Path) -> None:
    assert save(KINDS["curve"].draw(*store_of({("s", "random", 0): [1.0]})), tmp_path / "curve.png") == []
