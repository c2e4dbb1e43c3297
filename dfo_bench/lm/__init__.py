"""The language-model objective: few-shot text classification by a frozen model under a continuous prompt."""

from dfo_bench.lm.data import Hub
from dfo_bench.lm.dataset import DatasetTask
from dfo_bench.lm.task import TextTask

__all__ = ["DatasetTask", "Hub", "TextTask"]
