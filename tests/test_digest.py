import sys
from pathlib import Path

import pytest

from dfo_bench.plugins.digest import source_digest

FAMILY = '''"""A family's own module."""

STEP = 0.5
"""How far it goes."""


def half(x):
    """Return the half of it."""
    return STEP * x  # as far as that
'''

MEMBER = '''"""One member."""

from ._family import half


class Member:
    """Says what it is."""

    def ask(self, x=None):
        """Return a number."""
        return half(x) - 1
'''


class Package:
    """A package of two modules, whose sources are rewritten after it is imported."""

    def __init__(self, folder: Path) -> None:
        (folder / "kin").mkdir()
        self.files = {"member": folder / "kin" / "member.py", "_family": folder / "kin" / "_family.py"}
        self.write("_family", FAMILY)
        self.write("member", MEMBER)
        (folder / "kin" / "__init__.py").touch()

    def write(self, name: str, source: str) -> None:
        self.files[name].write_text(source)

    def digest(self) -> str:
        import kin.member  # type: ignore[import-not-found]

        return source_digest(kin.member.Member)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("kin", "kin.member", "kin._family"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return Package(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# as far as that", "# no further"),
        ("Return the half of it.", "Return half."),
        ("How far it goes.", "The length of a step."),
        ('    """Return the half of it."""\n', ""),
        ("def half", "\n\n# A comment.\ndef half"),
        ("STEP = 0.5", "STEP = (0.50)"),
    ],
)
def test_comments_docstrings_and_layout_change_no_digest(package: Package, old: str, new: str) -> None:
    before = package.digest()
    package.write("_family", FAMILY.replace(old, new))
    assert package.digest() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("_family", "STEP * x", "STEP + x"),
        ("_family", "STEP = 0.5", "STEP = 0.25"),
        ("_family", "return STEP * x", 'return "Return the half of it."'),
        ("member", "half(x) - 1", "half(x) - 1.0"),
        ("member", "x=None", "x=False"),
        ("member", "x=None", "x"),
        ("member", "import half", "import half as STEP, half"),
        ("member", "def ask", "def tell"),
    ],
)
def test_what_the_code_does_changes_the_digest(package: Package, name: str, old: str, new: str) -> None:
    before = package.digest()
    package.write(name, {"member": MEMBER, "_family": FAMILY}[name].replace(old, new))
    assert package.digest() != before


def test_a_module_of_the_family_counts_however_it_is_imported(package: Package) -> None:
    package.write("member", MEMBER.replace("from ._family import half", "import kin._family\nhalf = kin._family.half"))
    before = package.digest()
    package.write("_family", FAMILY.replace("0.5", "0.1"))
    assert package.digest() != before
