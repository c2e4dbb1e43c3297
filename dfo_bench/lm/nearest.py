"""The words that a prompt's vectors lie nearest to."""

import numpy as np
import numpy.typing as npt
import torch

from dfo_bench.lm.models import LanguageModel


@torch.inference_mode()
def nearest_words(model: LanguageModel, rows: npt.NDArray[np.float32], most: int) -> list[list[str]]:
    """Return the `most` words whose embeddings have the largest cosine with each row of shape (n, size), as tokens."""
    words = torch.nn.functional.normalize(model.words.float(), dim=1)
    cosines = torch.nn.functional.normalize(torch.from_numpy(rows).to(words), dim=1) @ words.T
    # A model may have embeddings that are no token's.
    known = cosines[:, : len(model.tokenizer)]
    return [[model.tokenizer.decode([i]).strip() for i in row] for row in known.topk(most).indices.tolist()]
