"""TextTask: a few-shot text task as a black-box function of a continuous prompt."""

import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dfo_bench.core import Anchor, Array, Cost, InputError, Points, Rngs, Space, Task
from dfo_bench.lm import data, losses, models
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import EmbeddingHead, WordsHead
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import Encoded, Template, label_tokens

HeadName = Literal["embedding", "masked", "causal", "seq2seq"]
ModeName = Literal["add", "cat", "inputs_embeds", "deep"]
LossName = Literal["ce", "hinge", "perf"]
Precision = Literal["float32", "bfloat16"]
Backend = Literal["torch", "openvino"]


class TextTask(Task):
    """Few-shot classification by a frozen language model; a candidate is what is put into the model's prompt slots.

    A subclass says what it is in attributes, on the class or set before this constructor is called; the tuples are
    in label order.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    """The label words: the first token of each is read at the mask, or where the answer begins."""
    answers: tuple[str, ...] = ()
    """For head=causal: the label words where they are others."""
    texts: tuple[str, ...]
    """For head=embedding: the label texts."""
    template: str
    """For head=masked and head=seq2seq: {text}, or {text_a} and {text_b}, and one [MASK]."""
    answer: str
    """For head=causal: the same without a mask; the answer comes next."""
    plain: str = "{text}"
    """For head=embedding: the same without a mask."""
    lead: str = " . "
    """In mode=add and mode=deep: what stands between the prompt and the text."""
    metric = "accuracy"
    positive: str | None = None
    """For metric=f1: the label it is of."""

    def __init__(
        self,
        *,
        rngs: Rngs,
        model: str = "",
        head: HeadName = "embedding",
        shots: int = 16,
        prompt_tokens: int = 50,
        mode: ModeName = "add",
        loss: LossName = "ce",
        demonstrations: int = 0,
        leading_space: bool | None = None,
        precision: Precision = "float32",
        backend: Backend = "torch",
    ) -> None:
        """`model` is a folder, a GGUF, a hub name or gemma-3-270m, "" all-MiniLM-L6-v2; `shots` a class are train.

        `prompt_tokens` 0 is the bare template, `demonstrations` so many solved examples a class before every text.
        `leading_space` cuts label words into tokens as within a sentence; only head=causal does if it is left out.
        `backend` openvino is faster on a CPU, for encoders.
        """
        for name, value, least in (
            ("shots", shots, 1),
            ("prompt_tokens", prompt_tokens, 0),
            ("demonstrations", demonstrations, 0),
        ):
            if value < least:
                raise InputError(f"{name} must be at least {least}, got {value}")
        rows = self.read()
        for split in rows.values():
            data.classes(split, self.labels)
        train, dev = data.few_shot(rows["train"], self.labels, shots, rngs("split"))
        self._rows = {**rows, "train": train, "dev": dev}
        self.splits = ("dev", "test") if "test" in rows else ("dev",)
        self._positive = None if self.positive is None else self.labels.index(self.positive)

        loaded = models.load(model, head, precision)
        self.contents = {"model": loaded.digest, **self.digests({s: data.digest(r) for s, r in rows.items()})}
        self.mode, self.prompt_tokens, self.model_name, self.head = mode, prompt_tokens, loaded.name, head
        self._mode = Mode(loaded, mode, prompt_tokens)
        words = (self.answers if head == "causal" else ()) or self.words
        self._template = self._filled(loaded, head, words, demonstrations)
        if head == "embedding":
            reader: EmbeddingHead | WordsHead = EmbeddingHead(loaded, self.texts, self._mode.before)
        else:
            spaced = head == "causal" if leading_space is None else leading_space
            reader = WordsHead(loaded, label_tokens(loaded, words, leading_space=spaced))
        self._engine = Engine(loaded, reader, self._mode, backend)
        self._loss = loss
        self.tolerance = 1e-5 if precision == "float32" else 0.05
        self._encoded: dict[str, list[Encoded]] = {}
        for name in self.splits:
            # What does not fit the template shows now, not when the budget is spent.
            self._template.encode(self._rows[name][0])

        dim = int(np.prod(self._mode.shape))
        # Of mode=deep a prompt is no point: its blocks have the scales of a seed's own texts.
        meaning = "" if mode == "deep" else f"model {loaded.digest[:16]}, mode={mode}, prompt_tokens={prompt_tokens}"
        self.space = Space(dim, None, None, Anchor.origin(dim), self._mode.scale, self._blocks(), meaning)
        self.cost = self._cost("train")

    def _filled(self, model: models.LanguageModel, head: str, words: tuple[str, ...], demonstrations: int) -> Template:
        """Return the template of a head, with its demonstrations; raise InputError where no text fits any more."""
        pattern = self.plain if head == "embedding" else self.answer if head == "causal" else self.template
        slots, before = self._mode.slots, self._mode.before
        lead = self.lead if slots else ""
        template = Template(model, pattern, head=head, slots=slots, lead=lead, limit=model.max_tokens - before)
        if template.room < 1:
            most = self.prompt_tokens + template.room - 1
            remedy = f"at most prompt_tokens={most}" if most >= 0 else "another model: the template alone is too long"
            raise InputError(
                f"prompt_tokens={self.prompt_tokens} leaves no room for text: {model.name!r} takes {model.max_tokens} "
                f"tokens in all; pass {remedy}"
            )
        if demonstrations:
            if head == "embedding":
                raise InputError("demonstrations need label words; pass head=masked, head=causal or head=seq2seq")
            shown = data.demonstrations(self._rows["train"], self.labels, demonstrations)
            template.demonstrate([(row, words[self.labels.index(row.label)]) for row in shown])
            if template.room < 1:
                raise InputError(
                    f"demonstrations={demonstrations} leave no room for text: {model.name!r} takes {model.max_tokens} "
                    "tokens in all; pass fewer"
                )
        return template

    def _blocks(self) -> int:
        """Return how many blocks a candidate has, and measure the scale of each."""
        if self.mode != "deep":
            self._steps: npt.NDArray[np.float32] | None = None
            return 1
        scales = np.array(self._mode.block_scales(text.ids for text in self._inputs("train")[:32]))
        self._steps = (scales / self._mode.scale).astype(np.float32)[:, None, None]
        return len(scales)

    @abstractmethod
    def read(self) -> dict[str, list[data.Row]]:
        """Return the rows of every split there is: "train", and "test" where the task has one."""

    @abstractmethod
    def digests(self, splits: Mapping[str, str]) -> dict[str, str]:
        """Turn the digest of every split into one for every parameter that names data."""

    def prompts(self, points: Points) -> npt.NDArray[np.float32]:
        """Return what is put into the model, shape (n, prompt_tokens, size); with mode=deep (n, blocks, ...).

        The coordinates themselves, but that every block of mode=deep has its own scale (`Mode.block_scales`).
        """
        with np.errstate(over="ignore"):
            # What fp32 cannot hold becomes inf, and nan in the end.
            prompts = points.dense().astype(np.float32).reshape(len(points), *self._mode.shape)
            return prompts if self._steps is None else prompts * self._steps

    def evaluate(self, points: Points) -> Array:
        """Return the loss on the train set, shape (n,); nan where a logit is not finite."""
        logits = self._logits(points, "train")
        finite = np.isfinite(logits).all(axis=(1, 2))
        values = np.full(len(points), np.nan)
        values[finite] = self._scores(logits[finite], "train")["loss"]
        return values

    def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
        """Return the metrics and the loss of a single candidate on "dev" or "test"."""
        if split not in self.splits:
            return super().measure(point, split)
        scores = self._scores(self._logits(point, split), split)
        return {name: float(value[0]) for name, value in scores.items()}, self._cost(split)

    def truncated(self, split: str) -> int:
        """Return how many texts of a split are cut to what the model takes."""
        return sum(text.cut > 0 for text in self._inputs(split))

    @property
    def events(self) -> list[str]:
        """Say how many texts of every split that was read are cut."""
        counts = {split: (self.truncated(split), len(texts)) for split, texts in self._encoded.items()}
        limit = self._template.limit
        return [f"{cut} of {n} {split} texts are cut to {limit} tokens" for split, (cut, n) in counts.items() if cut]

    def _logits(self, points: Points, split: str) -> Array:
        return self._engine.logits(self.prompts(points), self._inputs(split))

    def _scores(self, logits: Array, split: str) -> dict[str, Array]:
        classes = data.classes(self._rows[split], self.labels)
        scores = losses.metrics(logits, classes, self._positive)
        return {**scores, "loss": losses.loss(self._loss, logits, classes, scores[self.metric])}

    def _inputs(self, split: str) -> list[Encoded]:
        if split not in self._encoded:
            self._encoded[split] = [self._template.encode(row) for row in self._rows[split]]
        return self._encoded[split]

    def _cost(self, split: str) -> Cost:
        texts = self._inputs(split)
        up = sum(text.text_bytes for text in texts)
        return Cost(
            examples=len(texts),
            tokens=sum(len(text.ids) + self._mode.before for text in texts),
            bytes_up_z=up,
            bytes_up_prompt=up + 4 * self.space.dim,
            bytes_down=4 * len(self.labels) * len(texts),
        )


class DatasetTask(TextTask):
    """A text task on a dataset of a name: from a folder of files, or from the Hugging Face hub."""

    folder: str
    """The task's folder in a data folder."""
    shipped: Path | None = None
    """The data folder that comes with the task."""
    hub: data.Hub | None = None
    """Where the data comes from if there is no folder."""

    def __init__(self, *, rngs: Rngs, data_dir: str | None = None, **common: Any) -> None:
        """`data_dir` holds <folder>/train.jsonl and test.jsonl; without it shipped data, DFO_BENCH_DATA or the hub."""
        self._data_dir = data_dir
        super().__init__(rngs=rngs, **common)

    def read(self) -> dict[str, list[data.Row]]:
        """Return the rows of train and test."""
        if folder := self._data_dir or self.shipped or os.environ.get("DFO_BENCH_DATA"):
            return {split: data.read_file(Path(folder, self.folder, f"{split}.jsonl")) for split in ("train", "test")}
        if self.hub is None:
            raise InputError(
                f"{self.folder} needs data; pass data_dir=FOLDER with FOLDER/{self.folder}/train.jsonl in it"
            )
        splits = {"train": "train", "test": self.hub.test}
        return {name: data.read_hub(self.hub, split, self.labels, self.folder) for name, split in splits.items()}

    def digests(self, splits: Mapping[str, str]) -> dict[str, str]:
        """Return one digest for the folder."""
        return {"data_dir": "-".join(splits.values())}
