"""The model in this process: a problem answered by the engine itself."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from itertools import chain, cycle, islice
from typing import Self

from dfo_bench.core import Array, Cost, Rows, Sees, Sizes
from dfo_bench.errors import InputError
from dfo_bench.lm import features
from dfo_bench.lm.backends import Backend, Speeds
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import EmbeddingHead, Head, WordsHead
from dfo_bench.lm.inputs import Inputs
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.problem import Answerer, Candidates, Problem, Shown
from dfo_bench.lm.room import check_room, demonstrate
from dfo_bench.lm.templates import SENTINEL, Template, cut_words, first_pieces, label_tokens
from dfo_bench.lm.tuning import Tuned
from dfo_bench.lm.vocabulary import Vocabulary, find_words, split_words

_MEASURED = 32
"""The train texts on which the scales of blocks are measured."""


class Local(Answerer):
    """A problem and its model: mode, template, head and engine."""

    offers: Collection[Sees] = ("losses", "outputs", "features", "weights")

    def __init__(
        self, model: LanguageModel, problem: Problem, backend: Backend = "torch", *, repeated: bool = True
    ) -> None:
        """Raise InputError where the problem does not fit the model.

        `repeated`: the texts of train will be asked again and again.
        """
        self.model, self.problem = model, problem
        self.digest, self.name = model.digest, model.name
        self.mode = Mode(model, problem.mode, problem.prompt_tokens)
        self.shape, self.scale = self.mode.shape, self.mode.scale
        self._put(problem.shown)
        self.head: Head
        self.pieces: Mapping[str, str] = {}
        if problem.head == "embedding":
            left_out = range(0) if problem.include_prompt else self.mode.places
            before = 0 if self.mode.at else self.mode.before
            self.head = EmbeddingHead(model, problem.words, before, left_out, problem.groups)
        else:
            tokens: Sequence[int] = problem.tokens
            if not tokens:
                self.pieces = first_pieces(model, problem.words, leading_space=problem.leading_space)
                tokens = label_tokens(model, problem.words, leading_space=problem.leading_space)
            self.head = WordsHead(model, tokens, problem.groups)
        self.engine = Engine(model, self.head, self.mode, backend)
        self.backend = "torch" if backend == "auto" else backend
        if "train" in problem.splits:
            train = self.inputs.of("train")
            if repeated:
                self.engine.keep(train)
            self._speeds = Speeds(model, self.head, self.mode, train)

    def _put(self, shown: Shown) -> None:
        """Make the template, and the inputs of all splits under it."""
        problem, model, mode = self.problem, self.model, self.mode
        limit = model.max_tokens - mode.before if problem.limit is None else problem.limit
        template = Template(
            model,
            problem.template,
            head=problem.head,
            slots=mode.slots,
            lead=problem.lead,
            limit=limit,
            follows=mode.name == "words" and mode.tokens > 0,
        )
        if problem.mode == "after" and not template.cue.strip():
            raise InputError(
                f"template {problem.template!r} ends with the text, and mode=after puts the prompt between text "
                "and cue; pass a template that goes on after the text, or mode=inputs_embeds"
            )
        if problem.mode == "words" and template.mask not in ("", SENTINEL) and problem.head == "seq2seq":
            raise InputError(
                f"the decoder of {model.name!r} begins with the text, which would stand there without the words of "
                "mode=words; pass mode=inputs_embeds, or a model of the T5 family"
            )
        check_room(template, model, problem.prompt_tokens)
        if shown:
            demonstrate(template, model.name, model.max_tokens, shown, len(shown) // problem.classes)
        self.limit, self.fields, self.room = template.limit, template.fields, template.room
        self.inputs = Inputs(problem.splits, template, mode.before)

    @property
    def template(self) -> Template:
        """What stands around a text."""
        return self.inputs.template

    @property
    def sizes(self) -> Sizes:
        """The sizes of the train set."""
        train = self.inputs.of("train")
        width = features.width(self.model, self.head, train[0])
        return Sizes(len(train), self.head.classes, width, max(len(text.ids) for text in train))

    @property
    def needed(self) -> int:
        """The tokens of the longest train text."""
        return max(len(text.ids) + text.cut for text in self.inputs.of("train")) - self.template.bare

    @property
    def events(self) -> list[str]:
        """The number of texts that are cut, per split that was read."""
        return self.inputs.events

    def block_scales(self) -> Sequence[float]:
        """Return the step in each block."""
        return self.mode.block_scales(text.ids for text in self.inputs.of("train")[:_MEASURED])

    def written(self, text: str | None) -> Array:
        """Return the prompt of a text, or of the first train ids."""
        train = self.inputs.of("train")
        ids: Iterable[int]
        if text is None:
            ids = chain.from_iterable(one.ids for one in train)
        elif not (ids := self._ids_of(text)):
            raise InputError(f"initial={text!r} has no token in model {self.name!r}; write words, or name a file")
        else:
            self.model.check(ids, f"initial {text!r}")
        special = train[0].ids[: self.model.first] if self.mode.slots else ()
        return self.mode.written(list(islice(cycle(ids), self.problem.prompt_tokens)), special)

    def _ids_of(self, text: str) -> list[int]:
        if self.mode.name == "words":
            return list(chain.from_iterable(cut_words(self.model, split_words(text))))
        found: list[int] = self.model.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of a prompt of mode=words; raise InputError where they do not fit the model."""
        problem = self.problem
        return find_words(self.model, self.mode, problem.vocabulary, problem.words, problem.clusters)

    def logits(self, candidates: Candidates, rows: Rows) -> Array:
        """Compute the label logits."""
        return self.engine.logits(candidates.prompts(), self.inputs.encode(rows))

    def features(self, rows: Rows) -> Array:
        """Compute what the head reads."""
        return features.features(self.model, self.head, self.inputs.encode(rows))

    def states(self, rows: Rows) -> list[Array]:
        """Compute all last hidden states."""
        return features.states(self.model, self.inputs.encode(rows))

    def tunable(self) -> Tuned:
        """Return a copy of the model that may be trained."""
        return Tuned(self.model, self.head, self.inputs.encode)

    def showing(self, shown: Shown) -> Self:
        """Return the same model, head and engine under another template."""
        other = copy(self)
        other._put(shown)
        return other

    def admit(self, split: str) -> None:
        """Cut texts into tokens: one where every token has an embedding, as it tells of all; else all."""
        if self.model.complete:
            self.template.encode(self.inputs.splits[split][0])
        else:
            self.inputs.of(split)

    def cost(self, split: str, dim: int = 0) -> Cost:
        """Count what a call costs."""
        return self.inputs.cost(split, self.head.classes, dim)

    def expected_cost(self, split: str, dim: int = 0) -> Cost:
        """Count that of a sample."""
        return self.inputs.expected_cost(split, self.head.classes, dim)

    def cut(self, rows: Rows) -> int:
        """Return the number of texts that are cut."""
        return sum(text.cut > 0 for text in self.inputs.encode(rows))

    def fastest(self, evaluations: int) -> str:
        """Measure the backends."""
        return self._speeds.fastest(evaluations)

    def call_seconds(self, backend: str) -> float:
        """Measure a backend on the texts without demonstrations; with them it takes as long in proportion to rows."""
        rows = self.engine.rows_of
        return self._speeds.call_seconds(backend) * rows(self.inputs.of("train")) / rows(self._speeds.texts)

    def local(self, what: str) -> Self:
        """Return itself."""
        return self
