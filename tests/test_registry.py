import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dfo_bench.errors import PluginError, UnknownNameError
from dfo_bench.plugins.registry import KINDS, OPTIMIZERS, kind_of

OPTIMIZER = """
from dfo_bench.core import Optimizer
class {name}(Optimizer):
    def __init__(self, space, *, budget, rng, step: float = 0.5, how: str = "a", many: int | None = None):
        super().__init__(space, budget=budget, rng=rng)
    def ask(self): ...
    def tell(self, x, losses): ...
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that makes a module importable and declares it as somebody's optimizer."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(
        source: str, *, name: str = "theirs", module: str = "their_module", package: str = "their-package"
    ) -> Path:
        path = tmp_path / f"{module}.py"
        path.write_text(source)
        info = tmp_path / f"{package}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[dfo_bench.optimizers]\n{name} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return path

    return install


@pytest.mark.parametrize("kind", KINDS)
def test_every_listed_plugin_loads_and_its_file_name_is_its_name(kind: str) -> None:
    for name, source in KINDS[kind].sources().items():
        assert issubclass(KINDS[kind].load(name), tuple(KINDS[kind].given))
        assert Path(source.where).stem == name


def test_a_package_brings_a_plugin_by_its_entry_point(install: Install) -> None:
    install(OPTIMIZER.format(name="Theirs"))
    assert "theirs" in OPTIMIZERS.names()
    assert OPTIMIZERS.load("theirs").__name__ == "Theirs"
    assert "their-package" in OPTIMIZERS.sources()["theirs"].where


def test_two_plugins_of_one_name_are_an_error_that_names_both(install: Install) -> None:
    install(OPTIMIZER.format(name="Theirs"), name="random")
    with pytest.raises(PluginError, match=r"random\.py and their_module of the package their-package"):
        OPTIMIZERS.sources()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "does not import: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", "does not import: SyntaxError"),
        (
            "x = 1",
            "must define one public subclass of Optimizer or VectorOptimizer or ExampleOptimizer or "
            r"EmbeddingOptimizer; it has 0 \(none\)",
        ),
        (OPTIMIZER.format(name="A") + OPTIMIZER.format(name="B"), r"it has 2 \(A, B\)"),
        ("from dfo_bench.core import Optimizer\nclass A(Optimizer): ...", "A must define ask and tell"),
    ],
)
def test_a_plugin_that_cannot_be_used_names_its_file(install: Install, source: str, message: str) -> None:
    install(source)
    with pytest.raises(PluginError, match=message) as caught:
        OPTIMIZERS.load("theirs")
    assert "their_module" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no optimizer named 'cmaa'; did you mean cma"):
        OPTIMIZERS.load("cmaa")


@pytest.mark.parametrize("word", ["optimizer", "optimizers"])
def test_a_kind_is_understood_in_the_singular_and_the_plural(word: str) -> None:
    assert kind_of(word) is OPTIMIZERS


@pytest.mark.parametrize("name", ["dim", "embed", "name"])
def test_a_plugin_with_a_parameter_whose_name_is_taken_is_refused_with_its_file(install: Install, name: str) -> None:
    install(OPTIMIZER.format(name="Theirs").replace("step: float", f"{name}: float"))
    with pytest.raises(PluginError, match=rf"their_module .*no parameter can be called '{name}'.*give it another name"):
        OPTIMIZERS.load("theirs")
