"""Former defaults: an older run, which does not say them, is completed with them now that others have their place."""

from collections.abc import Mapping
from dataclasses import replace

from dfo_bench.plugins.component import Component, Value, parse
from dfo_bench.runs.spec import RunSpec

_TASK: Mapping[str, Value] = {"include_prompt": True, "initial": None, "mode": "add", "prompt_tokens": 50}
"""Of a prompt's parameters those whose defaults have changed, each with its former one."""

_NOW: Mapping[str, Value] = {"include_prompt": False, "initial": ".", "mode": "inputs_embeds", "prompt_tokens": 10}
"""Their present ones, which no name says."""

_ALPHA = 1.0

_SIGMA = 0.5
"""The former first step of composite and composite_loss."""


def complete(spec: RunSpec, shown: Mapping[str, str]) -> tuple[RunSpec, dict[str, str]]:
    """Return the spec of a run with all of its parameters, and the run as it is shown now.

    A search is shown with the former defaults that it has, so that it is not taken for one with the present ones, which
    says as little.
    """
    found = dict(shown)
    if spec.optimizer.name in ("composite", "composite_loss") and spec.optimizer.params.get("sigma") == _SIGMA:
        found["optimizer"] = str(parse(shown["optimizer"]).replace(sigma=_SIGMA))
    params = spec.task.params
    # Specs are written with every parameter that there is, so one that lacks the youngest of these is older.
    if "prompt_tokens" not in params or "include_prompt" in params:
        return spec, found
    spec = replace(spec, task=spec.task.replace(**{**_TASK, **params}))
    if params["prompt_tokens"]:
        kept = {name: value for name, value in _TASK.items() if spec.task.params[name] == value}
        named = parse(shown["task"]).replace(**kept)
        said = {name: value for name, value in named.params.items() if name not in _NOW or value != _NOW[name]}
        found["task"] = str(Component(named.name, said))
    if params["prompt_tokens"] and spec.projection.params.get("alpha", _ALPHA) == _ALPHA:
        found["projection"] = str(parse(shown["projection"]).replace(alpha=_ALPHA))
    return spec, found
