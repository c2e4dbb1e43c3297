"""The README of a bundle, with the lines of transformers that predict what it predicts."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dfo_bench.core import Learned
from dfo_bench.lm import gguf, models
from dfo_bench.lm.heads import TEMPERATURE
from dfo_bench.lm.templates import PREFIX, SENTINEL
from dfo_bench.lm.texts import Texts
from dfo_bench.lm.verbalizers import grouped

if TYPE_CHECKING:
    from dfo_bench.exchange.bundles import Bundle

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=False,  # it is Markdown and Python
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["json"] = partial(json.dumps, ensure_ascii=False)


def write_readme(bundle: "Bundle", texts: Texts, learned: Learned) -> str:
    """Return the page."""
    setting = bundle.setting
    lines = _lines(bundle, texts, learned)
    scores = [split for split in ("dev", "test") if f"{split}_loss" in bundle.run]
    return _TEMPLATES.get_template("bundle_readme.jinja").render(
        bundle=bundle,
        setting=setting,
        run=bundle.run,
        learned=learned,
        texts=texts,
        lines=lines,
        splits=scores,
        temperature=TEMPERATURE,
        rows=list(zip(setting.labels, map(", ".join, grouped(setting.words, setting.groups)), strict=True)),
    )


def _lines(bundle: "Bundle", texts: Texts, learned: Learned) -> str:
    """Return a program that needs transformers only; "" where there is none."""
    setting, local = bundle.setting, texts.local
    model, mode, template = local.model, local.mode, local.template
    if model.sentence.layers or (
        bundle.reference and learned.arrays and not learned.lines and learned.reads != "weights"
    ):
        return ""
    names = {module: name for name, module in model.model.named_modules()}
    prompted = setting.prompt_tokens > 0
    added = prompted and setting.mode in ("add", "deep")
    # Where the word embeddings enter the first block, rows before it are rows before the text's word embeddings.
    entry = model.entry if prompted and setting.mode in ("add", "cat") else None
    at_block = entry is not None and entry in model.blocks
    blocks = model.blocks if added and setting.mode == "deep" else [entry] if added and at_block else []
    words = bundle.run.get("text", "") if prompted else ""
    if not prompted or words or (added and (blocks or entry is not None)):
        shape = "ids"
    elif setting.mode == "prefix":
        shape = "past"
    elif added:
        shape = "add"
    else:
        shape = "cat" if entry is None else "cat at entry"
    stock = "model.base_model" if setting.head == "masked" else "model.get_decoder()"
    return _TEMPLATES.get_template("bundle_lines.jinja").render(
        setting=setting,
        learned=learned,
        sentence=model.sentence,
        temperature=TEMPERATURE,
        prefix=PREFIX,
        auto=models.CLASSES[setting.head].__name__,
        packaged=setting.model == models.DEFAULT,
        converted=str(gguf.converted(setting.model) or ""),
        sentinel=SENTINEL,
        mask=template.mask,
        fields=["{text}"] if template.fields == 1 else ["{text_a}", "{text_b}"],
        slots=mode.slots,
        before=0 if words else mode.before,
        words=words,
        left_out=mode.places if prompted and not setting.include_prompt else range(0),
        first=model.first,
        width=model.words.size(1),
        shape=shape,
        hooked=added,
        at_block=at_block,
        blocks=[names[block] for block in blocks],
        entry="" if entry is None else names[entry],
        after=prompted and setting.mode == "after",
        heads=mode.heads if shape == "past" else 0,
        base="model.get_encoder()" if setting.head == "seq2seq" else "model",
        states={"seq2seq": "model.get_encoder()", "embedding": "model"}.get(setting.head, stock),
        ends={"masked": " and the place of the mask", "seq2seq": ", and those that the decoder begins with"}.get(
            setting.head, ", and how many come before the text's end" if setting.mode == "after" and prompted else ""
        ),
    )
