"""SGLang: label probabilities after texts, and after embeddings."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.lm.problem import Prompts
from dfo_bench.lm.remote.engines.engine import Scorer, table


class SGLang(Scorer):
    """SGLang, by its `/v1/score` and `/generate`."""

    title = "SGLang"
    start = "python -m sglang.launch_server --model-path MODEL --disable-radix-cache"
    embeds = "--disable-radix-cache"

    def find_version(self) -> str:
        """Ask for it."""
        found = self.told("/server_info")
        self._cached = not found.get("disable_radix_cache", True)
        return str(found["version"])

    def of_ids(self, ids: Sequence[Sequence[int]], tokens: Sequence[int]) -> Array:
        """Send the ids of tokens; down come probabilities."""
        body = {"query": [], "items": [list(one) for one in ids], "label_token_ids": list(tokens)}

        def read(answer: Any) -> Array:
            with np.errstate(divide="ignore"):
                logs = np.log(np.array(answer["scores"], float))
            return table([dict(zip(tokens, one, strict=True)) for one in logs], len(ids), tokens)

        return self.post("/v1/score", {**body, "apply_softmax": False}, read)

    def of_rows(self, rows: Sequence[Prompts], tokens: Sequence[int]) -> Array:
        """Send numbers in JSON."""
        if self._cached:
            # By its document a cache of prefixes knows tokens alone.
            raise InputError(f"{self.client.url} takes no embeddings; start it with {self.embeds}")
        body = {
            "input_embeds": [one.tolist() for one in rows],
            "sampling_params": {"max_new_tokens": 1, "temperature": 0},
            "return_logprob": True,
            "token_ids_logprob": [list(tokens)] * len(rows),
        }

        def read(answers: Any) -> Array:
            found = [answer["meta_info"]["output_token_ids_logprobs"][0] for answer in answers]
            return table([{token: value for value, token, *_ in one} for one in found], len(rows), tokens)

        return self.post("/generate", body, read)
