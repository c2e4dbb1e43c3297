"""Engines as their documents describe them, small, in a thread of the test: they answer with a tiny model's numbers."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import torch
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse

from dfo_bench.lm.models import LanguageModel, load


@torch.inference_mode()
def after(model: LanguageModel, **inputs: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities of the next token."""
    return torch.log_softmax(model.model(**inputs).logits[0, -1].double(), dim=0)


def after_ids(model: LanguageModel, ids: Sequence[int]) -> torch.Tensor:
    """Return the same after ids."""
    return after(model, input_ids=torch.tensor([ids]))


def listing(app: FastAPI, name: str, **other: Any) -> None:
    """Let an application list its one model."""
    app.get("/v1/models")(lambda: {"object": "list", "data": [{"id": name, "object": "model", **other}]})


def wrong(message: str) -> JSONResponse:
    """Return what OpenAI and vLLM say of a call that they never take."""
    return JSONResponse({"error": {"message": message, "type": "BadRequestError", "code": 400}}, 400)


def vllm(folder: str, *, embeds: bool = True, name: str = "tiny", limit: int = 64) -> FastAPI:
    """Return vLLM's `/v1/completions`: prompt_embeds, and logprob_token_ids."""
    model, app = load(folder, "causal"), FastAPI()
    listing(app, name, max_model_len=limit)
    app.get("/version")(lambda: {"version": "0.32.1"})

    @app.post("/v1/completions")
    def completions(body: dict[str, Any]) -> Any:
        if body["model"] != name:
            raise HTTPException(404, f"The model `{body['model']}` does not exist.")
        if "prompt_embeds" in body:
            if not embeds:
                return wrong("You must set `--enable-prompt-embeds` to input `prompt_embeds`.")
            tensors = [
                torch.load(io.BytesIO(base64.b64decode(one)), weights_only=True) for one in body["prompt_embeds"]
            ]
            assert all(one.is_contiguous() and one.untyped_storage().nbytes() == one.nbytes for one in tensors)
            answers = [after(model, inputs_embeds=one[None]) for one in tensors]
        else:
            answers = [after_ids(model, ids) for ids in body["prompt"]]
        tops = [{f"token_id:{token}": float(one[token]) for token in body["logprob_token_ids"]} for one in answers]
        choices = [{"index": i, "text": "", "logprobs": {"top_logprobs": [top]}} for i, top in enumerate(tops)]
        return {"model": name, "choices": choices[::-1]}

    return app


def sglang(folder: str, *, cached: bool = False) -> FastAPI:
    """Return SGLang's `/v1/score`, and `/generate` with input_embeds."""
    model, app = load(folder, "causal"), FastAPI()
    listing(app, folder)
    app.get("/server_info")(lambda: {"version": "0.5.23", "disable_radix_cache": not cached})

    @app.post("/v1/score")
    def score(body: dict[str, Any]) -> Any:
        answers = [after_ids(model, body["query"] + item) for item in body["items"]]
        tokens, softmax = body["label_token_ids"], body["apply_softmax"]
        assert not softmax
        return {"scores": [[math.exp(one[token]) for token in tokens] for one in answers], "object": "scoring"}

    @app.post("/generate")
    def generate(body: dict[str, Any]) -> Any:
        answers = [after(model, inputs_embeds=torch.tensor(one)[None]) for one in body["input_embeds"]]
        pairs = zip(answers, body["token_ids_logprob"], strict=True)
        found = [[[float(one[token]), token, None] for token in tokens] for one, tokens in pairs]
        return [{"text": "", "meta_info": {"output_token_ids_logprobs": [one]}} for one in found]

    return app


def openai(folder: str, *, head: str = "causal", likely: Sequence[str] = (), most: int = 20) -> FastAPI:
    """Return `/v1/completions` and `/v1/embeddings` as OpenAI has them; `likely` are tokens that come next more often.

    The label words of a tiny model, all as much more, are then among those that come down.
    """
    app = FastAPI()
    listing(app, "tiny")
    model = load(folder, head)

    def ids(text: str) -> list[int]:
        found: list[int] = model.tokenizer(text)["input_ids"]
        return found

    def usage(texts: Sequence[str]) -> dict[str, int]:
        return {"prompt_tokens": sum(len(ids(text)) for text in texts)}

    @app.post("/v1/completions")
    def completions(body: dict[str, Any]) -> Any:
        if body.get("logprobs", 0) > most:
            return wrong(f"logprobs must be at most {most}")
        texts = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
        choices = []
        for i, text in enumerate(texts):
            logs = after_ids(model, ids(text)).clone()
            logs[[ids(word)[0] for word in likely]] += 20
            values, tokens = logs.log_softmax(dim=0).topk(body.get("logprobs", 0))
            names = [model.tokenizer.decode([token]) for token in tokens.tolist()]
            choices.append({"index": i, "logprobs": {"top_logprobs": [dict(zip(names, values.tolist(), strict=True))]}})
        return {"choices": choices, "usage": usage(texts)}

    @app.post("/v1/embeddings")
    def embeddings(body: dict[str, Any]) -> Any:
        with torch.inference_mode():
            hidden = [model.model(torch.tensor([ids(text)])).last_hidden_state[0] for text in body["input"]]
        data = [{"index": i, "embedding": rows.mean(dim=0).tolist()} for i, rows in enumerate(hidden)]
        return {"data": data, "usage": usage(body["input"])}

    return app
