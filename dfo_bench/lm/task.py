"""TextTask: a few-shot text task as a black-box function of a continuous prompt."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from dfo_bench.core import Anchor, Array, Cost, InputError, Points, Rngs, Space, Task
from dfo_bench.lm import data, losses, models
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import EmbeddingHead, MaskedHead
from dfo_bench.lm.templates import Encoded, Template

Head = Literal["embedding", "masked"]
Mode = Literal["add", "cat"]
Loss = Literal["ce", "hinge", "perf"]


class TextTask(Task):
    """Few-shot classification by a frozen language model; a candidate is what is added to the model's prompt slots.

    A subclass says what it is in class attributes; the tuples are in label order.
    """

    folder: str
    """The task's folder in a data folder."""
    labels: tuple[str, ...]
    words: tuple[str, ...]
    """For head=masked: the label words; the first token of each, without a leading space, is read at the mask."""
    texts: tuple[str, ...]
    """For head=embedding: the label texts."""
    template: str
    """For head=masked: {text}, or {text_a} and {text_b}, and one [MASK]."""
    plain: str = "{text}"
    """For head=embedding: the same without a mask."""
    lead: str = " . "
    """In mode=add: what stands between the prompt and the text."""
    shipped: Path | None = None
    """The data folder that comes with the task."""
    hub: data.Hub | None = None
    """Where the data comes from if there is no folder."""

    tolerance = 1e-5
    metric = "accuracy"

    def __init__(
        self,
        *,
        rngs: Rngs,
        model: str = "",
        head: Head = "embedding",
        shots: int = 16,
        prompt_tokens: int = 50,
        mode: Mode = "add",
        loss: Loss = "ce",
        data_dir: str | None = None,
    ) -> None:
        """`model` is a folder or a hub name, "" all-MiniLM-L6-v2 from PyPI; `shots` examples a class are train.

        `data_dir` holds <folder>/train.jsonl and test.jsonl; without it the shipped data, DFO_BENCH_DATA or the hub.
        """
        for parameter, value in {"shots": shots, "prompt_tokens": prompt_tokens}.items():
            if value < 1:
                raise InputError(f"{parameter} must be at least 1, got {value}")
        rows = self.read(data_dir)
        for split in rows.values():
            data.classes(split, self.labels)
        train, dev = data.few_shot(rows["train"], self.labels, shots, rngs("split"))
        self._rows = {**rows, "train": train, "dev": dev}
        self.splits = ("dev", "test") if "test" in rows else ("dev",)

        loaded = models.load(model, head)
        self.contents = {"model": loaded.digest, **self.digests({s: data.digest(r) for s, r in rows.items()})}
        dim = prompt_tokens * loaded.hidden
        self.space = Space(dim, None, None, Anchor.origin(dim), float(loaded.words.double().std()))

        add = mode == "add"
        self._template = Template(
            loaded,
            self.template if head == "masked" else self.plain,
            masked=head == "masked",
            slots=prompt_tokens if add else 0,
            lead=self.lead if add else "",
            limit=loaded.max_tokens - (0 if add else prompt_tokens),
        )
        if self._template.room < 1:
            raise InputError(
                f"prompt_tokens={prompt_tokens} leaves no room for text: {loaded.name!r} takes {loaded.max_tokens} "
                f"tokens in all; pass at most prompt_tokens={prompt_tokens + self._template.room - 1}"
            )
        reader = MaskedHead(loaded, self.words) if head == "masked" else EmbeddingHead(loaded, self.texts)
        self._engine = Engine(loaded, reader, mode, prompt_tokens)
        self._loss = losses.LOSSES[loss]
        self._extra = 0 if add else prompt_tokens
        self._encoded: dict[str, list[Encoded]] = {}
        self.cost = self._cost("train")

    def read(self, data_dir: str | None) -> dict[str, list[data.Row]]:
        """Return the rows of every split there is: "train", and "test" where the task has one."""
        if folder := data_dir or self.shipped or os.environ.get("DFO_BENCH_DATA"):
            return {split: data.read_file(Path(folder, self.folder, f"{split}.jsonl")) for split in ("train", "test")}
        if self.hub is None:
            raise InputError(
                f"{self.folder} needs data; pass data_dir=FOLDER with FOLDER/{self.folder}/train.jsonl in it"
            )
        splits = {"train": "train", "test": self.hub.test}
        return {name: data.read_hub(self.hub, split, self.labels, self.folder) for name, split in splits.items()}

    def digests(self, splits: Mapping[str, str]) -> dict[str, str]:
        """Turn the digest of every split into one for every parameter that names data."""
        return {"data_dir": "-".join(splits.values())}

    def evaluate(self, points: Points) -> Array:
        """Return the loss on the train set, shape (n,); nan where a logit is not finite."""
        logits = self._logits(points, "train")
        finite = np.isfinite(logits).all(axis=(1, 2))
        values = np.full(len(points), np.nan)
        values[finite] = self._loss(logits[finite], self._indices("train"))
        return values

    def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
        """Return accuracy and loss of a single candidate on "dev" or "test"."""
        if split not in self.splits:
            return super().measure(point, split)
        logits, classes = self._logits(point, split), self._indices(split)
        scores = {"accuracy": losses.accuracy(logits, classes), "loss": self._loss(logits, classes)}
        return {name: float(value[0]) for name, value in scores.items()}, self._cost(split)

    def truncated(self, split: str) -> int:
        """Return how many texts of a split are cut to what the model takes."""
        return sum(text.cut > 0 for text in self._inputs(split))

    def _logits(self, points: Points, split: str) -> Array:
        return self._engine.logits(points, self._inputs(split))

    def _indices(self, split: str) -> losses.Classes:
        return data.classes(self._rows[split], self.labels)

    def _inputs(self, split: str) -> list[Encoded]:
        if split not in self._encoded:
            self._encoded[split] = [self._template.encode(row) for row in self._rows[split]]
        return self._encoded[split]

    def _cost(self, split: str) -> Cost:
        texts = self._inputs(split)
        up = sum(text.text_bytes for text in texts)
        return Cost(
            examples=len(texts),
            tokens=sum(len(text.ids) + self._extra for text in texts),
            bytes_up_z=up,
            bytes_up_prompt=up + 4 * self.space.dim,
            bytes_down=4 * len(self.labels) * len(texts),
        )
