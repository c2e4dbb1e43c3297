"""A bidirectional LSTM on the model's hidden states, with a linear layer on its ends."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from pydantic import PositiveInt
from torch.nn.utils.rnn import pack_sequence

from dfo_bench.core import Array, Arrays, Classifier, FitProgress, LabelledTexts, Learned, Reference, Rows, Sizes
from dfo_bench.references._select import select

RATES = (1e-3, 3e-3)
"""The learning rates of Adam among which dev selects."""

ROUNDS = (10, 20, 40)
"""The epochs after which dev scores."""

BATCH = 16

_TEXTS = 64
"""How many texts' states are held at a time when labels are predicted."""


_LINES = """\
width, hidden = len(tensors["norm.weight"]), tensors["lstm.weight_hh_l0"].shape[1]
lstm, head = torch.nn.LSTM(width, hidden, bidirectional=True), torch.nn.Linear(2 * hidden, len(setting["labels"]))
network = torch.nn.ModuleDict({"norm": torch.nn.LayerNorm(width), "lstm": lstm, "head": head})
network.load_state_dict(tensors)
_, (ends, _) = lstm(network["norm"](states.float())[:, None])
scores = head(ends.flatten())
"""


class FeatureBilstm(Reference):
    """A bidirectional LSTM over the last hidden states of all tokens, normalised, and a linear layer on its two ends.

    Adam, batches of 16, cross-entropy. The learning rate (1e-3 or 3e-3) and the epochs (10, 20 or 40) are selected on
    dev; those of the paper are not published.

    hidden: the size of the LSTM, in each direction.
    """

    sees = "features"
    selects = True

    def __init__(self, *, rng: np.random.Generator, hidden: PositiveInt = 128) -> None:
        super().__init__(rng=rng)
        self.hidden = hidden

    @classmethod
    def bytes_down(cls, sizes: Sizes) -> int:
        """Return what the states of all tokens come to, each text padded to the longest, as the paper counts."""
        return super().bytes_down(sizes) * sizes.longest

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Ask for the states of train and dev, and train one network per learning rate."""
        train, dev = (_tensors(texts.states(texts.rows(split))) for split in ("train", "dev"))
        classes = torch.from_numpy(texts.classes("train"))

        def candidates() -> Iterator[tuple[Classifier, Array]]:
            for i, rate in enumerate(RATES):
                net = _network(train[0].shape[1], self.hidden, len(texts.labels), self.rng)
                adam = torch.optim.Adam(net.parameters(), lr=rate)
                for epoch in range(1, ROUNDS[-1] + 1):
                    for batch in np.array_split(self.rng.permutation(len(train)), -(-len(train) // BATCH)):
                        logits = net([train[j] for j in batch])
                        adam.zero_grad()
                        loss: Any = torch.nn.functional.cross_entropy(logits, classes[batch])
                        loss.backward()
                        adam.step()
                    progress((i + epoch / ROUNDS[-1]) / len(RATES))
                    if epoch in ROUNDS:
                        found = _Bilstm(texts, deepcopy(net), rate=rate, epochs=epoch)
                        yield found, found.read(dev)

        return select(candidates(), texts)

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Classifier:
        """Return the classifier of the network's weights."""
        hidden = arrays["lstm.weight_hh_l0"].shape[1]
        net = _Network(len(arrays["norm.weight"]), hidden, len(arrays["head.bias"]))
        net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        return _Bilstm(texts, net)


class _Network(torch.nn.Module):
    def __init__(self, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.lstm = torch.nn.LSTM(width, hidden, bidirectional=True)
        self.head = torch.nn.Linear(2 * hidden, classes)

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return logits, shape (n, classes), of n texts, each of shape (length, width)."""
        packed = pack_sequence([self.norm(one) for one in states], enforce_sorted=False)
        _, (ends, _) = self.lstm(packed)
        logits: torch.Tensor = self.head(torch.cat([ends[0], ends[1]], dim=1))
        return logits


def _network(width: int, hidden: int, classes: int, rng: np.random.Generator) -> _Network:
    """Draw a network; torch's own state of randomness stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        return _Network(width, hidden, classes)


class _Bilstm(Classifier):
    def __init__(self, texts: LabelledTexts, net: _Network, **chosen: float) -> None:
        super().__init__(**chosen)
        self.texts, self.net = texts, net

    def logits(self, rows: Rows) -> Array:
        parts = [rows[i : i + _TEXTS] for i in range(0, len(rows), _TEXTS)]
        return np.concatenate([self.read(_tensors(self.texts.states(part))) for part in parts])

    def learned(self) -> Learned:
        arrays = {name: weight.numpy() for name, weight in self.net.state_dict().items()}
        return Learned(arrays, "states", _LINES)

    @torch.no_grad()
    def read(self, states: Sequence[torch.Tensor]) -> Array:
        """Return logits, shape (n, classes)."""
        return self.net(states).double().numpy()


def _tensors(states: Sequence[Array]) -> list[torch.Tensor]:
    return [torch.from_numpy(one).float() for one in states]
