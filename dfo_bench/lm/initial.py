"""The prompt that a search starts from: a text, or one of a file of prompts that `dfo-bench export prompts` wrote."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from dfo_bench.errors import InputError
from dfo_bench.lm.modes import ModeName
from dfo_bench.lm.problem import Answerer

NEUTRAL = "."
"""The text of a prompt that changes least: models attend to full stops where there is nothing to attend to (Clark,
Khandelwal, Levy & Manning, What does BERT look at?, 2019, section 3.2)."""

_FORMER = {"calibrate": "none", "include_prompt": True}
"""How prompts were scored that do not say: their file is older than the choice."""

_MADE_BY = "dfo-bench export prompts FILE --store DIR"


@dataclass(frozen=True)
class Start:
    """Where a search begins."""

    name: str
    prompt: npt.NDArray[np.floating[Any]] | None
    """In the shape that enters the model; None is zeros."""
    digest: str = ""
    """That of the prompt's numbers, where they were read from a file."""
    text: str = ""
    """What is written there, where it is a text."""


def find_start(initial: str | None, asked: Answerer, mode: ModeName, tokens: int, reading: Mapping[str, Any]) -> Start:
    """Return the start of a task's parameter `initial`; raise InputError where nothing in it fits.

    Without one it is zeros. But with mode=prefix all tokens would be one there: they have no positions, so their
    gradients would be the same. Prefix tuning begins at real words, too (arXiv 2101.00190, section 7.4).
    """
    if initial is None:
        return Start("first train ids", asked.written(None)) if mode == "prefix" else Start("origin", None)
    if Path(initial).suffix == ".safetensors" or Path(initial).is_file():
        fits = {"model_digest": asked.digest, "mode": mode, "prompt_tokens": tokens}
        prompt, digest, text = read_initial(initial, reading, **fits)
        return Start(f"initial prompt {digest[:16]}", prompt, digest, text)
    return Start(f"initial text {initial}", asked.written(initial), text=initial)


def read_initial(path: str, reading: Mapping[str, Any], **fits: Any) -> tuple[npt.NDArray[np.float32], str, str]:
    """Return a prompt of a file, in the shape that enters the model, the digest of its numbers, and its text if any.

    Of several prompts it is the one of the highest dev accuracy; of equals that of the lowest train loss, then the
    first by key. Those that were scored as the search scores, with its values of `reading`, come before all others,
    whose scores mean something else. `fits` is what the source of a prompt must say, such as its model_digest, mode and
    prompt_tokens: prompts of other models or modes are passed over. Raise InputError where none is left.
    """
    try:
        with safe_open(path, "np") as file:
            sources = {key: json.loads(file.metadata()[key]) for key in sorted(file.keys())}
            fitting = [key for key, source in sources.items() if all(source[name] == fits[name] for name in fits)]
            if fitting:
                best = min(fitting, key=lambda key: (_merit(sources[key], reading), key))
                prompt: npt.NDArray[np.float32] = file.get_tensor(best)
                return prompt, hashlib.sha256(prompt.tobytes()).hexdigest(), sources[best].get("text", "")
    except OSError as error:
        raise InputError(f"initial={path} cannot be read: {error}; make it with: {_MADE_BY}") from error
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"initial={path} is no file of prompts; make one with: {_MADE_BY}") from error
    wanted, there = _say(fits), {_say({name: source[name] for name in fits}) for source in sources.values()}
    raise InputError(
        f"initial={path} has no prompt of {wanted}, but of {' and of '.join(sorted(there)) or 'nothing'}; export one "
        "of a run with the task's own model, mode and prompt_tokens"
    )


def _merit(source: Mapping[str, Any], reading: Mapping[str, Any]) -> tuple[bool, float, float]:
    """Return what prompts are sorted by, the best first."""
    said = {**_FORMER, **source}
    # Only a sentence encoder takes a mean, which may include the prompt.
    other = any(
        said[name] != reading[name] for name in reading if name != "include_prompt" or said["head"] == "embedding"
    )
    return other, -source.get("dev_accuracy", 0), source["loss"]


def _say(source: dict[str, Any]) -> str:
    return ", ".join(f"{name}={str(value)[:16]}" for name, value in source.items())
