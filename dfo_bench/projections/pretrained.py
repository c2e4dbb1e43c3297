"""Learned from finished runs: the principal directions of the prompts they found, around the mean of these.

Good prompts of many tasks lie near one subspace of few dimensions (Qin et al., Exploring universal intrinsic task
subspace via prompt tuning, 2021), and a search may begin at a prompt of other tasks (Vu et al., SPoT, ACL 2022).
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Unpack

import numpy as np
from pydantic import Field
from safetensors import SafetensorError, safe_open
from scipy.special import ndtri

from dfo_bench.core import (
    Anchor,
    Array,
    Embedding,
    Index,
    InputError,
    PathName,
    Projection,
    RandomEmbedding,
    Space,
    Step,
)


class Pretrained(Projection):
    """The first columns of A are principal directions, all of one length; the rest are Gaussian.

    Of the prompts in a file only those count that were found in the very space of the task: of the same model, mode
    and number of tokens. To learn from the task itself would be to look at the answers: export from other tasks' runs.

    prompts: the file that `dfo-bench export prompts FILE --store DIR` wrote.
    start: where the search begins: at the mean of the prompts, or (none) at the task's own start, and then the
        directions are about 0.
    directions: how many are taken at most, null all; with 0 it is the projection `normal` from another start.
    """

    def __init__(
        self,
        *,
        prompts: PathName,
        start: Literal["mean", "none"] = "mean",
        directions: Annotated[int, Field(ge=0)] | None = None,
        **step: Unpack[Step],
    ) -> None:
        super().__init__(**step)
        self.start, self.directions, self._file = start, directions, prompts
        found, digest = _read(prompts)
        self.contents = {"prompts": digest}
        self._learned = {meaning: _principal(values, centred=start == "mean") for meaning, values in found.items()}
        meaning, (_, dim) = max(((meaning, values.shape) for meaning, values in found.items()), key=lambda of: of[1][0])
        self.example = Space(dim, None, None, Anchor.origin(dim), 1.0, meaning=meaning)

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw the Gaussian columns; the others are the same for every seed and index."""
        if not space.meaning:
            raise InputError(
                "projection pretrained has no prompts for this task's space; use a text task of mode=add, mode=cat or "
                "mode=inputs_embeds, or -p normal"
            )
        if space.meaning not in self._learned:
            raise InputError(
                f"{self._file} has no prompts of {space.meaning}, but of {' and of '.join(self._learned)}; export "
                "prompts of runs with the task's own model, mode and prompt_tokens"
            )
        mean, directions = self._learned[space.meaning]
        if self.start == "mean":
            space = replace(space, start=Anchor(space.dim, "mean prompt", lambda index: mean[index]))
        return PretrainedEmbedding(space, dim, number, self.factor(space), seed, directions[: self.directions])


class PretrainedEmbedding(RandomEmbedding):
    """A random embedding whose first columns are given."""

    def __init__(self, space: Space, dim: int, number: int, factor: float, seed: int, directions: Array) -> None:
        """`directions` are orthonormal, shape (k, D); the first d of them are taken."""
        super().__init__(space, dim, number, factor, seed, lambda uniforms: ndtri(uniforms) / dim**0.5)
        # A column of norm sqrt(D / d) has entries of variance 1 / d, on average over the coordinates.
        self._columns = directions[:dim].T * (space.dim / dim) ** 0.5

    def rows(self, index: Index) -> Array:
        """Return the rows `index` of A, shape (len(index), dim)."""
        out = super().rows(index)
        out[:, : self._columns.shape[1]] = self._columns[index]
        return out


def _read(path: str) -> tuple[dict[str, Array], str]:
    """Return the prompts of a file, shape (n, D), by what their coordinates mean, and the file's digest."""
    found: dict[str, list[Array]] = {}
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        with safe_open(path, "np") as file:
            for key in sorted(file.keys()):
                # A deep prompt means nothing elsewhere: its blocks have the scales of its own texts.
                if meaning := json.loads(file.metadata()[key])["space"]:
                    found.setdefault(meaning, []).append(file.get_tensor(key).astype(float).ravel())
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; make it with: dfo-bench export prompts {path} --store DIR"
        ) from error
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no file of prompts; make one with: dfo-bench export prompts FILE --store DIR"
        ) from error
    if not found:
        raise InputError(
            f"{path} has no prompts but of mode=deep, which fit no other task; make one of runs of mode=add, mode=cat "
            "or mode=inputs_embeds with: dfo-bench export prompts FILE --store DIR"
        )
    return {meaning: np.array(prompts) for meaning, prompts in found.items()}, digest


def _principal(prompts: Array, *, centred: bool) -> tuple[Array, Array]:
    """Return the mean and the principal directions about it, or about 0, the most important first, shape (k, D)."""
    mean = prompts.mean(axis=0)
    _, sizes, directions = np.linalg.svd(prompts - mean if centred else prompts, full_matrices=False)
    directions = directions[sizes > sizes[0] * len(sizes) * np.finfo(float).eps]
    # A direction has no sign of its own; its largest coordinate is made positive.
    signs = np.sign(np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1))
    return mean, directions * signs
