"""The own files of a sentence encoder: its pooling and its layers, the most tokens of a text, lower case.

They are those of the sentence-transformers library: modules.json names the modules in their order, and each module
has a folder with its settings. What the files say is followed, or refused by name.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from dfo_bench.errors import InputError

Layer = Callable[[torch.Tensor], torch.Tensor]

_ANY = object()
"""Every value of a setting: it is followed, or changes no embedding."""

_TRANSFORMER = {
    "max_seq_length": _ANY,
    "do_lower_case": _ANY,
    "unpad_inputs": _ANY,
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
}
_POOLING = dict.fromkeys(("pooling_mode", "word_embedding_dimension", "embedding_dimension", "include_prompt"), _ANY)
_NORMALIZE = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
_DENSE = {**_NORMALIZE, "in_features": _ANY, "out_features": _ANY, "bias": _ANY, "activation_function": _ANY}
_ENCODER = {
    "__version__": _ANY,
    "requirements": _ANY,
    "prompts": _ANY,
    "model_type": "SentenceTransformer",
    "similarity_fn_name": "cosine",
}
"""The settings of each file that are followed or harmless, with the value that is, where it is only one."""

_POOLINGS = {
    "mean": ("mean", "pooling_mode_mean_tokens"),
    "cls": ("cls", "pooling_mode_cls_token"),
    "last": ("lasttoken", "pooling_mode_lasttoken"),
}
"""The ways to pool, each with its name in new files and its flag in old ones."""

_ACTIVATIONS: dict[str, Layer] = {
    "Identity": lambda x: x,
    "Tanh": torch.tanh,
    "ReLU": torch.relu,
    "GELU": torch.nn.functional.gelu,
    "Sigmoid": torch.sigmoid,
}


@dataclass(frozen=True)
class Sentence:
    """The way from a text's tokens to its embedding; the defaults are for a model without such files."""

    pooling: str = "mean"
    """The pooling of the tokens' embeddings: "mean", "cls" or "last"."""
    layers: tuple[Layer, ...] = ()
    """The layers after the pooling; each takes and returns embeddings, shape (n, size)."""
    limit: int | None = None
    """The most tokens of an input, specials included."""
    lower: bool = False
    """Whether a text is put into lower case first."""


def read_sentence(folder: Path, like: torch.Tensor) -> Sentence:
    """Return what a model's folder says of sentence embeddings; raise InputError for what is not followed.

    Weights get the device and type of `like`.
    """
    _settings(folder / "config_sentence_transformers.json", _ENCODER)
    paths = sorted(folder.glob("sentence_*_config.json"))
    if len(paths) > 1:
        raise InputError(f"{paths[0]} and {paths[1].name} say the same twice; remove the one that is not meant")
    transformer = _settings(paths[0], _TRANSFORMER) if paths else {}
    limit = transformer.get("max_seq_length")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise InputError(f"{paths[0]} says max_seq_length={limit!r}; it must be a whole number above 0, or null")
    pooling, layers = "mean", list[Layer]()
    for kind, path in _modules(folder):
        if kind == "Pooling":
            pooling = _pooling(path / "config.json")
        elif kind == "Dense":
            layers.append(_dense(path, like))
        else:
            _settings(path / "config.json", _NORMALIZE)
            layers.append(_normalize)
    while layers and layers[-1] is _normalize:
        # The cosine divides by the length anyway; to do it twice would round twice.
        layers.pop()
    return Sentence(pooling, tuple(layers), limit, bool(transformer.get("do_lower_case")))


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the kind and the folder of each module after the transformer."""
    path = folder / "modules.json"
    if not path.is_file():
        if (folder / "1_Pooling" / "config.json").is_file():
            yield "Pooling", folder / "1_Pooling"
        return
    listed = [(str(m.get("type")), m.get("path")) for m in _read(path, list) if isinstance(m, dict)]
    for i, (name, where) in enumerate(listed):
        library, _, kind = name.rpartition(".")
        followed = ("Transformer", "Pooling")[i : i + 1] or ("Dense", "Normalize")
        if library.partition(".")[0] != "sentence_transformers" or kind not in followed:
            raise InputError(f"{path} has the module {name}, which is not followed here; choose another model")
        # A module elsewhere would be no part of the model's digest.
        if where != (f"{i}_{kind}" if i else ""):
            raise InputError(f"{path} has the module {kind} in {where!r}, not in {i}_{kind}; save the model anew")
        if i:
            yield kind, folder / where
    if len(listed) < 2:
        raise InputError(f"{path} has no module Pooling; choose another model")


def _pooling(path: Path) -> str:
    settings = _settings(path, _POOLING)
    # A flag for each way, or the name of one.
    on = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    on = on or [str(settings.get("pooling_mode", "nothing known"))]
    for pooling, known in _POOLINGS.items():
        if len(on) == 1 and on[0] in known:
            return pooling
    raise InputError(f"{path} pools by {' and '.join(on)}; offered are: {', '.join(_POOLINGS)}")


def _dense(folder: Path, like: torch.Tensor) -> Layer:
    """Return a linear layer with its activation."""
    settings = _settings(folder / "config.json", _DENSE)
    name = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = _ACTIVATIONS.get(name.rpartition(".")[2]) if name.startswith("torch.nn.") else None
    if activation is None:
        raise InputError(f"{folder} has the activation {name}; offered are: {', '.join(_ACTIVATIONS)}")
    try:
        weights = load_file(folder / "model.safetensors")
        weight, bias = weights["linear.weight"].to(like), weights.get("linear.bias")
    except Exception as error:
        # The library's own error has no base but Exception.
        raise InputError(f"{folder}/model.safetensors cannot be read: {error}; save it as safetensors anew") from error
    bias = None if bias is None else bias.to(like)
    return lambda x: activation(torch.nn.functional.linear(x, weight, bias))


def _normalize(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(x, dim=1)


def _settings(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a file, none where it is missing; raise InputError for those that are not known."""
    settings: dict[str, Any] = _read(path, dict) if path.is_file() else {}
    for key, value in settings.items():
        flag = "pooling_mode" if key.startswith("pooling_mode_") else key
        if value and known.get(flag) not in (_ANY, value):
            raise InputError(f"{path} says {key}={value!r}, which is not followed; choose another model")
    return settings


def _read(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; copy the model again") from error
    if not isinstance(content, kind):
        raise InputError(f"{path} cannot be read: it holds no JSON {kind.__name__}; copy the model again")
    return content
