"""Tickets to a support desk: a small set that comes with dfo-bench (see data/helpdesk/README.md)."""

from pathlib import Path

from dfo_bench.lm import DatasetTask


class Helpdesk(DatasetTask):
    """Subject of a ticket, six classes."""

    folder = "helpdesk"
    labels = ("billing", "login", "delivery", "bug", "feature", "cancellation")
    words = ("payment", "password", "delivery", "error", "request", "cancel")
    embedding_texts = (
        "a question about an invoice, a charge or a refund",
        "trouble signing in",
        "a parcel that did not arrive",
        "a bug report",
        "a feature request",
        "a cancellation",
    )
    template = "[MASK] : {text}"
    causal_template = "{text} This message is about"
    shipped = Path(__file__).with_name("data")
