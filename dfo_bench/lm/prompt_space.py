"""The space of a text task: where its search begins, and the prompts that points stand for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dfo_bench.core import Anchor, Points, Space
from dfo_bench.lm.initial import find_start
from dfo_bench.lm.modes import ModeName
from dfo_bench.lm.problem import Answerer, Candidates, Prompts
from dfo_bench.lm.vocabulary import Vocabulary, split_words


class PromptSpace:
    """The prompts of a mode as points of R^D."""

    steps: Prompts | None = None
    """What the coordinates are multiplied by, with mode=deep or prefix: each block has a scale of its own."""
    vocabulary: Vocabulary | None = None
    """The words that prompts are made of, with mode=words."""

    def __init__(
        self, asked: Answerer, mode: ModeName, tokens: int, initial: str | None, reading: Mapping[str, Any]
    ) -> None:
        """Measure the scales on train, and find the start; raise InputError where there is none.

        `reading` are the parameters by which outputs become scores; prompts of a file that were scored likewise come
        first.
        """
        self._asked = asked
        meaning, blocks, dim = (
            f"model {asked.digest[:16]}, mode={mode}, prompt_tokens={tokens}",
            1,
            int(np.prod(asked.shape)),
        )
        if mode in ("deep", "prefix"):
            scales = np.array(asked.block_scales())
            self.steps = (scales / asked.scale).astype(np.float32).reshape(*asked.shape[:-2], 1, 1)
            # Their coordinates mean nothing to another seed: the scales are measured on its texts.
            blocks, meaning = len(scales), ""
        self.digest = ""
        """That of the file that the start was read from."""
        start: Anchor = Anchor.origin(dim)
        if dim:
            found = find_start(initial, asked, mode, tokens, reading)
            self.digest = found.digest
            if mode == "words":
                # Among the words, so that the search begins where it was told to.
                self.vocabulary = asked.vocabulary.including(split_words(found.text))
            if found.prompt is not None:
                start = self._anchor(found.name, found.prompt)
        letters = None if self.vocabulary is None else self.vocabulary.letters
        self.space = Space(dim, None, None, start, asked.scale, blocks, meaning, letters)
        self.sent = dim if mode != "words" else tokens
        """How many numbers of four bytes a prompt is sent as: its coordinates, or the tokens of its words."""

    def _anchor(self, name: str, prompt: npt.NDArray[np.floating[Any]]) -> Anchor:
        """Return the point of a prompt."""
        coordinates = (prompt if self.steps is None else prompt / self.steps).astype(float).ravel()
        return Anchor(len(coordinates), name, lambda index: coordinates[index])

    def candidates(self, points: Points) -> Candidates:
        """Return points with all that makes prompts of them."""
        return Candidates(points, self._asked.shape, self.steps, self.vocabulary)

    def identify(self, points: Points) -> list[str] | None:
        """Return the words of each prompt, as numbers, with mode=words."""
        if self.vocabulary is None:
            return None
        return [words.tobytes().hex() for words in self.vocabulary.nearest(self.candidates(points).vectors())]

    def write(self, point: Points) -> str:
        """Return the words of a prompt, with mode=words."""
        return "" if self.vocabulary is None else self.vocabulary.write(self.candidates(point).vectors()[0])
