"""The book: what was computed and billed, on disk, so that a call that is sent again is answered and not billed again.

A call and its bill are one transaction, and it is over before the answer is sent.
"""

import sqlite3
import threading
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dfo_bench.errors import InputError

KEPT_S = 7 * 24 * 3600
"""For how long answers are kept: a week. What they cost stays in the book."""

FORGETS_S = 3600
"""How often answers that are too old go."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT, call TEXT, asked TEXT, shape TEXT, body BLOB, at REAL, PRIMARY KEY (key, call)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage (
    key TEXT PRIMARY KEY, calls INTEGER, points INTEGER, examples INTEGER, tokens INTEGER, bytes_up INTEGER,
    bytes_down INTEGER
);
"""


@dataclass(frozen=True)
class Usage:
    """What a key has been billed."""

    calls: int = 0
    points: int = 0
    """Evaluations: prompts, each on all texts that were asked for."""
    examples: int = 0
    """Prompts times texts."""
    tokens: int = 0
    bytes_up: int = 0
    """Of the bodies of calls; `bytes_down` those of their answers."""
    bytes_down: int = 0


@dataclass(frozen=True)
class Answer:
    """Numbers of a shape, as they are sent."""

    shape: str
    body: bytes


class OtherCallError(Exception):
    """The name of a call was used for another one."""


_NAMES = [one.name for one in fields(Usage)]


class Book:
    """A file; it may be asked from several threads."""

    def __init__(self, path: Path) -> None:
        """Open or make it."""
        self._lock = threading.Lock()
        try:
            # Transactions are ended by hand.
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            # After the death of the process nothing is lost; after that of the machine maybe the last calls.
            self._file.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_SCHEMA}")
            self._forget()
        except sqlite3.Error as error:
            raise InputError(f"--book {path} cannot be used: {error}; name another file") from error

    def _forget(self) -> None:
        """Let answers go that are too old."""
        self._forgot = time.time()
        self._file.execute("DELETE FROM answers WHERE at < ?", (self._forgot - KEPT_S,))

    def find(self, key: str, call: str, asked: str) -> Answer | None:
        """Return what a call was answered; raise OtherCallError where it asked for something else, by its digest."""
        with self._lock:
            found = self._file.execute(
                "SELECT asked, shape, body FROM answers WHERE key = ? AND call = ?", (key, call)
            ).fetchone()
        if found is None:
            return None
        if found[0] != asked:
            raise OtherCallError
        return Answer(found[1], found[2])

    def enter(self, key: str, call: str, asked: str, answer: Answer, bill: Usage) -> None:
        """Keep an answer and bill it; a call without a name, "", is billed only."""
        more = ", ".join(f"{name} = {name} + excluded.{name}" for name in _NAMES)
        with self._lock:
            try:
                if time.time() > self._forgot + FORGETS_S:
                    self._forget()
                self._file.execute("BEGIN IMMEDIATE")
                if call:
                    row = (key, call, asked, answer.shape, answer.body, time.time())
                    self._file.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)
                self._file.execute(
                    f"INSERT INTO usage (key, {', '.join(_NAMES)}) VALUES (?{', ?' * len(_NAMES)}) "
                    f"ON CONFLICT (key) DO UPDATE SET {more}",
                    (key, *asdict(bill).values()),
                )
                self._file.execute("COMMIT")
            except sqlite3.Error:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise

    def usage(self, key: str) -> Usage:
        """Return what a key has been billed."""
        with self._lock:
            found = self._file.execute(f"SELECT {', '.join(_NAMES)} FROM usage WHERE key = ?", (key,)).fetchone()
        return Usage(*found) if found else Usage()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
