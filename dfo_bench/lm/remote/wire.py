"""The wire: what client and service send each other, checked on both sides; numbers are raw, never a pickle."""

import hashlib
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from dfo_bench.lm.heads import HeadName
from dfo_bench.lm.models import Precision
from dfo_bench.lm.modes import ModeName

WIRE = 2
"""The version of all that stands here; a service and a client of different ones refuse each other."""

SERVICE = "dfo-bench"

RAW = "application/octet-stream"

IDEMPOTENCY, SHAPE, DIGEST, BILLED = "idempotency-key", "x-shape", "x-content-sha256", "x-billed"
"""Headers: the name of what is asked, which its answer bears, too; the shape of an answer; the digest of the bytes of a
question or an answer; whether a call was billed."""

MOST_TEXTS, MOST_POINTS = 100_000, 4096
"""The most texts of a problem, and the most points of a call."""

Type = Literal["float32", "float16"]
"""How the numbers of points are written, little-endian."""

_Text = Annotated[str, Field(max_length=100_000)]
_Texts = Annotated[list[_Text], Field(min_length=1, max_length=2)]


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ShownBody(_Plain):
    """A solved example that stands before every text."""

    texts: _Texts
    word: _Text


class ProblemBody(_Plain):
    """What a model is asked, beside the points."""

    model: str = Field(description="The name of a model, as GET /v1/models has it.", examples=["all-MiniLM-L6-v2"])
    head: HeadName
    precision: Precision = "float32"
    mode: ModeName = "add"
    prompt_tokens: int = Field(default=0, ge=0, le=10_000)
    template: _Text = Field(description="Holds {text}, or {text_a} and {text_b}; with head=masked [MASK], too.")
    lead: _Text = Field(default="", description="What stands before the filled template.")
    words: list[_Text] = Field(min_length=2, max_length=10_000, description="A word, or a text, per label.")
    groups: list[Annotated[int, Field(ge=1)]] = Field(
        default=[], description="How many of the words each label has, where some have several."
    )
    leading_space: bool = False
    include_prompt: bool = Field(default=True, description="Whether a mean of rows includes the prompt's.")
    shown: list[ShownBody] = Field(default=[], max_length=10_000)
    texts: list[_Texts] = Field(min_length=1, max_length=MOST_TEXTS, description="Each one text, or a pair.")
    repeated: bool = Field(default=False, description="Whether the texts will be asked again and again, as train's.")


class Facts(_Plain):
    """What a service says of a problem."""

    problem: str = Field(description="The digest that names it from now on.")
    model_digest: str
    shape: list[int] = Field(description="The shape of a prompt in the mode.")
    scale: float = Field(description="The size of a typical step.")
    pieces: dict[str, str] = Field(description="Of a label word of which only the first piece is read, that piece.")
    room: int
    limit: int
    fields: int
    texts: int
    classes: int
    tokens: int = Field(description="All positions of all texts, a prompt's included.")
    text_bytes: int
    cut: int
    longest: int
    needed: int
    width: int = Field(description="The numbers of a feature.")


class RecipeBody(_Plain):
    """How points are lifted: x = start + factor * A z, in the shape of a prompt, times the steps of its blocks."""

    projection: str = Field(max_length=1000, description="As -p takes it, without its step.", examples=["normal"])
    dim: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**63)
    number: int = Field(ge=0, lt=2**63)
    factor: float = Field(gt=0, allow_inf_nan=False)
    shape: list[Annotated[int, Field(ge=1)]] = Field(min_length=1, max_length=8)


class Embedded(_Plain):
    """What a service says of an embedding."""

    embedding: str
    probe: list[list[float]] = Field(description="Its rows of the coordinates that `probed` names.")


def probed(size: int) -> list[int]:
    """Return the coordinates by whose rows client and service see that they drew the same embedding."""
    return sorted({0, size // 2, size - 1})


def name(*parts: str | bytes) -> str:
    """Return the digest of some parts, 32 hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()[:32]


def digest(data: bytes) -> str:
    """Return the digest of a body."""
    return hashlib.sha256(data).hexdigest()


def pack(array: npt.NDArray[Any], dtype: str = "float32") -> bytes:
    """Return the numbers of an array, little-endian, the last axis fastest."""
    return np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()


def unpack(data: bytes, shape: Sequence[int], dtype: str = "float32") -> npt.NDArray[Any]:
    """Return the array of a shape; raise ValueError where the bytes are not as many."""
    if len(data) != count_bytes(shape, dtype):
        raise ValueError(f"{len(data)} bytes are not {dtype} of shape {tuple(shape)}")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def count_bytes(shape: Sequence[int], dtype: str = "float32") -> int:
    """Return how many bytes an array of a shape has."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def write_shape(shape: Sequence[int]) -> str:
    """Return a shape as it stands in a header."""
    return ",".join(map(str, shape))
