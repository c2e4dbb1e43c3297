"""The language-model objective: few-shot text classification by a frozen model under a continuous prompt."""

from dfo_bench.lm.data import Hub
from dfo_bench.lm.task import Head, Loss, Mode, TextTask

__all__ = ["Head", "Hub", "Loss", "Mode", "TextTask"]
