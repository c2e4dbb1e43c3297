"""The program of a bundle: plain transformers that predict what it predicts, with what this bundle needs alone."""

import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dfo_bench.core import Arrays, Learned
from dfo_bench.lm import gguf, models
from dfo_bench.lm.data import Row
from dfo_bench.lm.heads import EmbeddingHead
from dfo_bench.lm.pattern import MASK
from dfo_bench.lm.templates import PREFIX, SENTINEL, Template
from dfo_bench.lm.texts import Texts

if TYPE_CHECKING:
    from dfo_bench.exchange.bundles import Bundle

PROGRAM = "predict.py"

LABELS = "program.labels"
"""The name among a bundle's tensors of what `EmbeddingHead.labels` are; only the program reads it."""

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=False,  # it is Markdown and Python
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["json"] = partial(json.dumps, ensure_ascii=False)


def computed(texts: Texts, learned: Learned) -> Arrays:
    """Return the tensors that the program reads beside the prompt and what was learned."""
    head = texts.local.head
    if not isinstance(head, EmbeddingHead) or learned.reads not in ("logits", "weights"):
        return {}
    return {LABELS: head.labels.float().cpu().numpy()}


def write_program(bundle: "Bundle", texts: Texts, learned: Learned) -> str:
    """Return a program that needs torch, transformers and safetensors only; "" where there is none."""
    setting, local = bundle.setting, texts.local
    model, mode = local.model, local.mode
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
    filled = _filling(local.template, words)
    special = model.tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"][::-1].index(0)
    rows = 0 if words else mode.before
    mask, returned = filled["mask"], ""
    if setting.head == "seq2seq":
        returned = "decoder"
    elif setting.mode == "after" and prompted:
        returned = "stop"
    elif mask == "mask":
        returned = "mask"
    start = model.model.config.decoder_start_token_id if returned == "decoder" else 0
    begun = f"*ids[:{mask}]" if local.template.mask != SENTINEL else model.tokenizer.convert_tokens_to_ids(SENTINEL)
    place = "-1" if setting.head != "masked" else mask if mask != "mask" or not rows else f"{rows} + mask"
    encoded = "encode(text)" if filled["simple"] else "encode(*texts)"
    packaged, converted = setting.model == models.DEFAULT, str(gguf.converted(setting.model) or "")
    cast = "" if setting.precision == "float32" else ".to(model.dtype)"
    left_out = mode.places if prompted and not setting.include_prompt else range(0)
    return TEMPLATES.get_template("bundle_program.jinja").render(
        setting=setting,
        learned=learned,
        sentence=model.sentence,
        auto=models.CLASSES[setting.head].__name__,
        packaged=packaged,
        converted=converted,
        where="where" if packaged or converted else 'setting["model"]',
        words=words,
        **filled,
        prefix=PREFIX,
        # The answer comes next, not the end of the text.
        trailing=f"[:-{special}]" if special and setting.head == "causal" else "",
        first=model.first,
        slots=mode.slots,
        limit=setting.limit - mode.slots + (setting.prompt_tokens if words else 0),
        shape=shape,
        hooked=added and shape == "ids",
        prompt='tensors["prompt"]' + cast,
        tensors=bool(learned.arrays or (prompted and not words) or computed(texts, learned)),
        ids="ids" if returned else encoded,
        encoded=encoded,
        scores=f'tensors["{LABELS}"]{cast} @ embedding'
        if setting.head == "embedding"
        else f'output.logits[0, {place}][setting["tokens"]]',
        at_block=at_block,
        blocks=[names[block] for block in blocks],
        entry="" if entry is None else names[entry],
        width=model.words.size(1),
        heads=mode.heads if shape == "past" else 0,
        base="model.get_encoder()" if setting.head == "seq2seq" else "model",
        states={"seq2seq": "model.get_encoder()", "embedding": "model"}.get(setting.head, stock),
        decoded=", decoder_input_ids=decoder" if returned == "decoder" else "",
        returned=returned,
        second={
            "decoder": f"torch.tensor([[{start}, {begun}]])",
            "mask": f"mask + {mode.slots}" if mode.slots else "mask",
        }.get(returned, returned),
        place=place,
        pooled=_pooled(model.sentence.pooling, rows, left_out),
    )


def _pooled(pooling: str, before: int, left_out: range) -> str:
    """Write the embedding of a text from its rows, called `states`; `before` rows are in front of its own."""
    if pooling != "mean":
        return f"states[{before}]" if pooling == "cls" else "states[-1]"
    if not left_out:
        return "states.mean(0)"
    if not left_out.start:
        return f"states[{left_out.stop}:].mean(0)"
    return f"torch.cat([states[:{left_out.start}], states[{left_out.stop}:]]).mean(0)"


def _filling(template: Template, words: str) -> dict[str, Any]:
    """Return how the template is filled: `parts` around the texts, and where the mask is found.

    `simple`: there is one text, once, and the mask behind it, so that its place from the end, `mask`, is always the
    same; otherwise `mask_at` says where it begins in the filled template.
    """
    parts = re.split(r"(\{text(?:_[ab])?\})", template.pattern)
    texts, parts = parts[1::2], parts[::2]
    held = next((i for i, part in enumerate(parts) if MASK in part), len(parts) - 1)
    sample = template.encode(Row("", ("a",) * template.fields, ""))
    simple = len(texts) == 1 and held == 1
    offset = parts[held].find(MASK)
    begin = len(f"{words} " if words else "") + len(template.before)
    order = [int(text == "{text_b}") for text in texts]
    return {
        "simple": simple,
        "parts": [part.replace(MASK, template.mask) for part in parts],
        "texts": "texts" if order == list(range(template.fields)) else f"[texts[i] for i in {order}]",
        "mask": "" if sample.mask is None else str(sample.mask - len(sample.ids)) if simple else "mask",
        "mask_at": f"spans[{held - 1}][1] + {offset}" if held else str(begin + offset),
    }
