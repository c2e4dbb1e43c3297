"""The README of a bundle."""

from typing import TYPE_CHECKING

from dfo_bench.core import Learned
from dfo_bench.exchange.bundle_program import PROGRAM, TEMPLATES
from dfo_bench.lm.heads import TEMPERATURE
from dfo_bench.lm.texts import Texts
from dfo_bench.lm.verbalizers import grouped

if TYPE_CHECKING:
    from dfo_bench.exchange.bundles import Bundle


def write_readme(bundle: "Bundle", texts: Texts, learned: Learned, *, program: bool) -> str:
    """Return the page; `program`: whether there is one beside it."""
    setting = bundle.setting
    scores = [split for split in ("dev", "test") if f"{split}_loss" in bundle.run]
    return TEMPLATES.get_template("bundle_readme.jinja").render(
        bundle=bundle,
        setting=setting,
        run=bundle.run,
        learned=learned,
        texts=texts,
        program=PROGRAM if program else "",
        splits=scores,
        temperature=TEMPERATURE,
        rows=list(zip(setting.labels, map(", ".join, grouped(setting.words, setting.groups)), strict=True)),
    )
