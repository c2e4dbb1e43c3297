"""vLLM: prompts as embeddings, and the log-probabilities of the tokens that are asked for (since 0.32)."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dfo_bench.core import Array
from dfo_bench.lm.problem import Prompts
from dfo_bench.lm.remote.engines.engine import Scorer, ordered, table


class VLLM(Scorer):
    """vLLM, by its `/v1/completions`."""

    title = "vLLM"
    start = "vllm serve MODEL --enable-prompt-embeds"
    embeds = "--enable-prompt-embeds"

    def find_version(self) -> str:
        """Ask for it."""
        return str(self.told("/version")["version"])

    def of_ids(self, ids: Sequence[Sequence[int]], tokens: Sequence[int]) -> Array:
        """Send the ids of tokens."""
        return self._ask({"prompt": [list(one) for one in ids]}, len(ids), tokens)

    def of_rows(self, rows: Sequence[Prompts], tokens: Sequence[int]) -> Array:
        """Send tensors, dense, each as torch writes it, which is what vLLM reads."""
        return self._ask({"prompt_embeds": [_written(one) for one in rows]}, len(rows), tokens)

    def _ask(self, prompts: Mapping[str, Any], count: int, tokens: Sequence[int]) -> Array:
        body = {
            **prompts,
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": 1,
            "logprob_token_ids": list(tokens),
            "return_tokens_as_token_ids": True,
        }

        def read(answer: Any) -> Array:
            found = [choice["logprobs"]["top_logprobs"][0] for choice in ordered(answer["choices"], count)]
            named = [{int(name.removeprefix("token_id:")): value for name, value in one.items()} for one in found]
            return table(named, count, tokens)

        return self.post("/v1/completions", body, read)


def _written(rows: Prompts) -> str:
    file = io.BytesIO()
    torch.save(torch.from_numpy(rows).contiguous(), file)
    return base64.b64encode(file.getvalue()).decode()
