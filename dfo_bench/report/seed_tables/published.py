"""The seed paper's own figures: Black-Box Tuning (Sun et al., ICML 2022, arXiv 2201.03514), RoBERTa-large.

16 examples a class, means over three seeds, without deviations here. A prompt of 50 tokens, d = 500 and 8,000 calls
(DBpedia 20,000) for Black-Box Tuning. The costs are of one RTX 3090, as the arXiv text has them; slides of the
authors' give Black-Box Tuning 9 MB of the user's memory, and 23.3 minutes on AG News.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dfo_bench.core import Sees

MODEL = "RoBERTa-large"

TASKS = ("sst2", "yelp", "agnews", "dbpedia", "mrpc", "snli", "rte")
"""The paper's tasks, in its order; the metric is the accuracy, on MRPC F1."""

_MINUTE, _MB, _GB, _KB = 60.0, 1e6, 1e9, 1024.0


@dataclass(frozen=True)
class PublishedCost:
    """What a method cost on a task: seconds of training, bytes of memory, bytes per query of the whole train set."""

    fit_seconds: float
    peak_memory: float = float("nan")
    """Of the user's process."""
    peak_device_memory: float = float("nan")
    """Of the server."""
    bytes_up: float = float("nan")
    bytes_down: float = float("nan")


@dataclass(frozen=True)
class Published:
    """A method of the paper: what it sees, its scores in percent in the order of TASKS, and its costs by task."""

    name: str
    sees: Sees
    scores: tuple[float, ...]
    costs: Mapping[str, PublishedCost] = field(default_factory=dict)

    def score(self, task: str) -> float:
        """Return its score, as a share of 1; nan for a task that the paper does not have."""
        return self.scores[TASKS.index(task)] / 100 if task in TASKS else float("nan")


# What each sees is as of our own methods: a manual prompt, which learns from nothing, stands with the losses.
# Where the pair tasks start from a prompt that was pretrained on NLI, the same without it stands below.
METHODS = (
    Published(
        "Prompt tuning", "gradients", (68.23, 61.02, 84.81, 87.75, 77.48, 64.55, 77.13),
        {"sst2": PublishedCost(15.9 * _MINUTE, peak_device_memory=5.3 * _GB),
         "agnews": PublishedCost(30.2 * _MINUTE, peak_device_memory=7.7 * _GB)},
    ),
    Published("Prompt tuning, no pretrained prompt", "gradients", (68.23, 61.02, 84.81, 87.75, 51.61, 36.13, 54.69)),
    Published("P-Tuning v2", "gradients", (64.33, 92.63, 83.46, 97.05, 68.14, 36.89, 50.78)),
    Published(
        "Model tuning", "weights", (85.39, 91.82, 86.36, 97.98, 77.35, 54.64, 58.60),
        {"sst2": PublishedCost(9.8 * _MINUTE, peak_device_memory=7.3 * _GB),
         "agnews": PublishedCost(13.1 * _MINUTE, peak_device_memory=7.3 * _GB)},
    ),
    Published("Manual prompt", "losses", (79.82, 89.65, 76.96, 41.33, 67.40, 31.11, 51.62)),
    Published("In-context learning", "losses", (79.79, 85.38, 62.21, 34.83, 45.81, 47.11, 60.36)),
    Published(
        "Feature-Linear", "features", (64.80, 79.20, 70.77, 87.78, 68.40, 42.01, 53.43),
        {"sst2": PublishedCost(7.0 * _MINUTE, 20 * _MB, 2.8 * _GB, 4 * _KB, 128 * _KB),
         "agnews": PublishedCost(13.5 * _MINUTE, 20 * _MB, 3.6 * _GB, 20 * _KB, 256 * _KB)},
    ),
    Published(
        "Feature-BiLSTM", "features", (65.95, 74.68, 77.28, 90.37, 71.55, 46.02, 52.17),
        {"sst2": PublishedCost(9.3 * _MINUTE, 410 * _MB, 2.8 * _GB, 4 * _KB, 6_016 * _KB),
         "agnews": PublishedCost(19.7 * _MINUTE, 500 * _MB, 3.6 * _GB, 20 * _KB, 27_392 * _KB)},
    ),
    Published(
        "Black-Box Tuning", "losses", (89.56, 91.50, 81.51, 87.80, 75.51, 83.83, 77.62),
        {"sst2": PublishedCost(10.1 * _MINUTE, 30 * _MB, 3.0 * _GB, 6 * _KB, 0.25 * _KB),
         "agnews": PublishedCost(21.0 * _MINUTE, 30 * _MB, 4.6 * _GB, 22 * _KB, 1 * _KB)},
    ),
    Published("Black-Box Tuning, no pretrained prompt", "losses", (89.56, 91.50, 81.51, 87.80, 61.56, 46.58, 52.59)),
)  # fmt: skip
