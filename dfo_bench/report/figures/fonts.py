"""Fonts of figures: letters that matplotlib's own font lacks are drawn in an installed font that has them."""

from contextlib import suppress

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

_BOXES = "Last Resort"
"""The name of matplotlib's font of boxes begins so: it has every letter and shows none."""


def complete_fonts(figure: Figure) -> set[str]:
    """Give the texts of a figure the installed fonts that their letters need; return the letters that none has."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    written = {letter for text in texts for letter in text.get_text() if not letter.isspace()}
    lacking = missing = written - _letters(written, font_manager.findfont(font_manager.FontProperties()))
    names = []
    fonts = _installed(missing) if missing else {}
    while missing:
        name = max(fonts, key=lambda name: len(fonts[name] & missing))
        if not fonts[name] & missing:
            break
        names.append(name)
        missing = missing - fonts[name]
    for text in texts:
        if lacking & set(text.get_text()):
            text.set_fontfamily(["sans-serif", *names])
    return missing


def _letters(letters: set[str], path: str) -> set[str]:
    """Return those of the letters that the font of a file has."""
    known = FT2Font(path).get_charmap()
    return {letter for letter in letters if ord(letter) in known}


def _installed(letters: set[str]) -> dict[str, set[str]]:
    """Return which of the letters each installed font has, by its name; plain faces come first."""
    manager = font_manager.fontManager
    for path in sorted(set(font_manager.findSystemFonts()) - {font.fname for font in manager.ttflist}):
        with suppress(OSError, RuntimeError):  # a broken file, or one of pictures
            manager.addfont(path)
    fonts: dict[str, set[str]] = {}
    for font in sorted(manager.ttflist, key=lambda font: (str(font.weight) not in ("400", "regular"), font.name)):
        if not font.name.startswith(_BOXES):
            with suppress(OSError, RuntimeError):
                fonts.setdefault(font.name, _letters(letters, font.fname))
    return fonts
