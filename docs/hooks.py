"""What the site holds beside the pages of docs/: pages of other folders, the help of every command, and figures."""

import posixpath
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.main import get_group
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.report.figures import KINDS

ROOT = Path(__file__).resolve().parent.parent
STORE = ROOT / "results/reference"
"""The store that figures and report are drawn from."""

ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "results/README.md": "results.md",
    "tasks/data/helpdesk/README.md": "helpdesk.md",
    "tasks/data/museum/README.md": "museum.md",
}
"""The pages that lie outside docs/, by their path in the repository, and their names in the site."""

_MARK = re.compile(r"<!-- (help|report|plot) ?(\w*) -->")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, the figures, and the report."""
    for path, uri in ELSEWHERE.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text(encoding="utf-8")))
    for uri, content in _drawn().items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links of the site, and fill in what is generated."""
    uri = page.file.src_uri
    source = {uri: path for path, uri in ELSEWHERE.items()}.get(uri, f"docs/{uri}")

    def relink(link: re.Match[str]) -> str:
        image, text, path, anchor = link.groups(default="")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        target_uri = ELSEWHERE.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(target_uri):
            return f"{image}[{text}]({target_uri}{anchor})"
        # Code is no page of the site. A file that is nowhere stays a link, and breaks the build.
        return text if (ROOT / target).exists() else link[0]

    markdown = _LINK.sub(relink, markdown)
    return _MARK.sub(lambda mark: _generated(*mark.groups(default="")), markdown)


def _generated(what: str, kind: str) -> str:
    """Return what stands in the place of a mark."""
    if what == "plot":
        return f"![The figure {kind} of the reference sweep](figures/{kind}.svg)"
    if what == "report":
        return "[That of the published sweep](reference.html) is part of this site."
    return _help()


def _run(*command: str) -> str:
    """Return what a command prints."""
    result = CliRunner().invoke(app, list(command), prog_name="dfo-bench", catch_exceptions=False)
    if result.exit_code:
        raise RuntimeError(f"dfo-bench {' '.join(command)}: {result.output}")
    return result.output


def _help() -> str:
    """Return a section for each command: its help."""
    return "\n\n".join(f"## {name}\n\n```text\n{_run(name, '--help').strip()}\n```" for name in get_group(app).commands)


@cache
def _drawn() -> dict[str, bytes]:
    """Return every figure and the report of the reference sweep, by their names in the site."""
    with TemporaryDirectory() as folder:
        made = {f"figures/{kind}.svg": Path(folder, f"{kind}.svg") for kind in KINDS}
        for kind, path in zip(KINDS, made.values(), strict=True):
            _run("plot", kind, "--store", str(STORE), "--output", str(path))
        made["reference.html"] = Path(folder, "reference.html")
        _run("report", "--store", str(STORE), "--output", str(made["reference.html"]))
        return {uri: path.read_bytes() for uri, path in made.items()}
