"""A proxy between clients and a service that does harm on the way: a middle box in its worst hour."""

import hashlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

Harm = Callable[["Exchange"], None]


@dataclass(frozen=True)
class Message:
    """A request or an answer of HTTP/1.1: its first line and headers, and its body."""

    head: tuple[bytes, ...]
    body: bytes = b""

    @classmethod
    def read(cls, file: IO[bytes]) -> "Message":
        """Raise ConnectionError where it ends too early."""
        head: list[bytes] = []
        while line := file.readline().rstrip(b"\r\n"):
            head.append(line)
        if not head:
            raise ConnectionError("no message")
        length = int(cls(tuple(head)).header(b"content-length") or 0)
        body = file.read(length)
        if len(body) < length:
            raise ConnectionError("half a message")
        return cls(tuple(head), body)

    def header(self, name: bytes) -> bytes:
        """Return the value of a header, b"" without it."""
        pairs = (line.partition(b":") for line in self.head[1:])
        return next((value.strip() for one, _, value in pairs if one.lower() == name), b"")

    def having(self, body: bytes, *, digest: str | None = None) -> "Message":
        """Return the same with another body of its own length, and with a digest where one is given."""
        changed: dict[bytes, bytes] = {b"content-length": b"%d" % len(body)}
        if digest is not None:
            changed[b"x-content-sha256"] = digest.encode()
        kept = [line for line in self.head[1:] if line.partition(b":")[0].lower() not in changed]
        return Message((self.head[0], *kept, *(b": ".join(pair) for pair in changed.items())), body)

    @property
    def data(self) -> bytes:
        """All its bytes."""
        return b"\r\n".join(self.head) + b"\r\n\r\n" + self.body


@dataclass
class Exchange:
    """A request on its way, and what may be done with it."""

    request: Message
    client: socket.socket
    port: int
    """Where the service listens."""
    rng: random.Random

    def forward(self, request: Message | None = None) -> Message:
        """Return the service's answer; raise OSError where there is none."""
        with socket.create_connection(("127.0.0.1", self.port)) as upstream, upstream.makefile("rb") as file:
            upstream.sendall((request or self.request).data)
            return Message.read(file)

    def reply(self, answer: Message) -> None:
        """Send an answer."""
        self.client.sendall(answer.data)


class Cut(ConnectionError):  # noqa: N818 - what was done
    """The connection to the client is to end here."""


class Proxy:
    """Passes requests on to a service at a port; `harm` says, of each, what is done to it instead, or None."""

    def __init__(self, port: int, harm: Callable[[Message], Harm | None], seed: int) -> None:
        self._port, self._harm, self._rng = port, harm, random.Random(seed)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as file, suppress(OSError):
            while True:
                exchange = Exchange(Message.read(file), client, self._port, self._rng)
                harm = self._harm(exchange.request)
                if harm:
                    harm(exchange)
                else:
                    exchange.reply(exchange.forward())


def cut_the_question(exchange: Exchange) -> None:
    """End both connections in the middle of the body that goes up."""
    with socket.create_connection(("127.0.0.1", exchange.port)) as upstream:
        upstream.sendall(_part(exchange.request, exchange.rng))
    raise Cut


def cut_the_answer(exchange: Exchange) -> None:
    """End the connection in the middle of the body that comes down."""
    exchange.client.sendall(_part(exchange.forward(), exchange.rng))
    raise Cut


def reset(exchange: Exchange) -> None:
    """Reset the connection in the middle of the body that comes down."""
    exchange.client.sendall(_part(exchange.forward(), exchange.rng))
    exchange.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Cut


def lose_the_answer(exchange: Exchange) -> None:
    """End the connection when all is computed, and nothing sent."""
    exchange.forward()
    raise Cut


def delay(exchange: Exchange) -> None:
    """Keep an answer back for a time."""
    answer = exchange.forward()
    time.sleep(exchange.rng.uniform(0.2, 2.0))
    exchange.reply(answer)


def ask_twice(exchange: Exchange) -> None:
    """Send the question twice, at once, and answer with the first answer."""
    answers: list[Message] = []

    def ask() -> None:
        answers.append(exchange.forward())

    both = [threading.Thread(target=ask) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    exchange.reply(answers[0])


def answer_twice(exchange: Exchange) -> None:
    """Send the answer twice, the second time as if it were that to the next question."""
    answer = exchange.forward()
    exchange.client.sendall(2 * answer.data)


def answer_the_next(exchange: Exchange) -> None:
    """Answer, and give the same answer to the question that comes next on the connection, unread."""
    answer = exchange.forward()
    exchange.reply(answer)
    with exchange.client.makefile("rb") as file:
        Message.read(file)
    exchange.reply(answer)
    raise Cut


def truncate_the_question(exchange: Exchange) -> None:
    """Pass half of the body up, as if it were the whole."""
    body = exchange.request.body
    exchange.reply(exchange.forward(exchange.request.having(body[: len(body) // 2])))


def truncate_the_answer(exchange: Exchange) -> None:
    """Pass half of the body down, as if it were the whole."""
    answer = exchange.forward()
    exchange.reply(answer.having(answer.body[: len(answer.body) // 2]))


def flip_a_bit(exchange: Exchange) -> None:
    """Change a bit of the body that comes down."""
    answer = exchange.forward()
    exchange.reply(answer.having(_flipped(answer.body, exchange.rng)))


def flip_a_bit_of_the_question(exchange: Exchange) -> None:
    """Change a bit of the body that goes up."""
    exchange.reply(exchange.forward(exchange.request.having(_flipped(exchange.request.body, exchange.rng))))


def name_another_digest(exchange: Exchange) -> None:
    """Leave the body as it is, and name the digest of another."""
    answer = exchange.forward()
    exchange.reply(answer.having(answer.body, digest=hashlib.sha256(b"another").hexdigest()))


def change_the_shape(exchange: Exchange) -> None:
    """Answer with fewer numbers, or another JSON, whose digest is right."""
    answer = exchange.forward()
    raw = answer.header(b"content-type").startswith(b"application/octet-stream")
    body = answer.body[:-8] if raw else b'{"problem": 1}'
    exchange.reply(answer.having(body, digest=hashlib.sha256(body).hexdigest()))


def show_a_page(exchange: Exchange) -> None:
    """Answer with a page of HTML, as a hotel's network does, and never ask."""
    exchange.reply(Message((b"HTTP/1.1 200 OK", b"content-type: text/html")).having(b"<html>Please log in</html>"))


def storm(status: bytes, *headers: bytes, body: bytes) -> Harm:
    """Return what answers with an error."""

    def refuse(exchange: Exchange) -> None:
        exchange.reply(Message((b"HTTP/1.1 " + status, *headers)).having(body))

    return refuse


LIMITED = storm(b"429 Too Many Requests", b"retry-after: 1", body=b'{"detail": "a limit is reached"}')
BUSY = storm(b"503 Service Unavailable", b"content-type: text/html", body=b"<html>try later</html>")

HARMS: dict[str, Harm] = {
    one.__name__.replace("_", " "): one
    for one in (
        cut_the_question,
        cut_the_answer,
        reset,
        lose_the_answer,
        delay,
        ask_twice,
        answer_twice,
        answer_the_next,
        truncate_the_question,
        truncate_the_answer,
        flip_a_bit,
        flip_a_bit_of_the_question,
        name_another_digest,
        change_the_shape,
        show_a_page,
    )
}


def _part(message: Message, rng: random.Random) -> bytes:
    """Return the head and some of the body."""
    head = len(message.data) - len(message.body)
    return message.data[: head + rng.randrange(max(1, len(message.body)))]


def _flipped(body: bytes, rng: random.Random) -> bytes:
    if not body:
        return body
    at = rng.randrange(len(body))
    return body[:at] + bytes([body[at] ^ (1 << rng.randrange(8))]) + body[at + 1 :]
