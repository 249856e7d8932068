"""A small SMTP server on loopback that says what a test wants it to say."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

Answer = Callable[[str], str | None]


@dataclass
class Taken:
    """A mail as the server got it."""

    sender: str
    recipients: list[str]
    message: bytes


@dataclass
class SmtpPeer:
    """`answers` may hold, by verb (`MAIL`, `RCPT`, `DATA`, `.` for the end of the data, `QUIT`, `GREETING`), a
    function from the whole command to an answer: None for the usual one, `close` to hang up without a word.
    `commands` is all that the client said."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    extensions: list[str] = field(default_factory=lambda: ["8BITMIME"])
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    taken: list[Taken] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    encrypted: bool = False

    def answer(self, verb: str, command: str, usual: str) -> str:
        said = self.answers[verb](command) if verb in self.answers else None
        return usual if said is None else said


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False  # so that what was said is complete when the server has ended
    peer: SmtpPeer


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        peer = cast(_Server, self.server).peer
        try:
            if peer.implicit and peer.tls is not None:
                self._encrypt(peer)
            self._talk(peer)
        except OSError:
            return  # the client is gone, or did not like the certificate: the test looks at what it says
        finally:
            self.rfile.close()
            self.wfile.close()
            self.connection.close()

    def _talk(self, peer: SmtpPeer) -> None:
        self._say(peer.answer("GREETING", "", "220 peer.test ESMTP"))
        sender, recipients = "", list[str]()
        while line := self.rfile.readline().decode("ascii").rstrip("\r\n"):
            verb = line.split(" ")[0].upper()
            peer.commands.append(verb + line[len(verb) :])
            usual = {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go on", "QUIT": "221 bye", "AUTH": "235 ok"}
            if verb == "EHLO":
                extensions = [*peer.extensions, "STARTTLS"] if peer.tls and not peer.encrypted else peer.extensions
                names = ["peer.test", *extensions]
                self._say("\r\n".join(f"250{'-' if n < len(names) - 1 else ' '}{x}" for n, x in enumerate(names)))
                continue
            if verb == "STARTTLS" and peer.tls is not None:
                self._say("220 ready")
                self._encrypt(peer)
                continue
            answer = peer.answer(verb, line, usual.get(verb, "250 ok"))
            if answer == "close":
                return
            self._say(answer)
            taken = answer.startswith("2")
            if verb == "MAIL" and taken:
                sender, recipients = _bare(line), []
            elif verb == "RCPT" and taken:
                recipients.append(_bare(line))
            elif verb == "DATA" and answer.startswith("354"):
                data = b""
                while (row := self.rfile.readline()) != b".\r\n":
                    data += row.removeprefix(b".")
                answer = peer.answer(".", "", "250 taken")
                if answer.startswith("2"):
                    peer.taken.append(Taken(sender, recipients, data))
                if answer == "close":
                    return
                self._say(answer)
            elif verb == "QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _encrypt(self, peer: SmtpPeer) -> None:
        assert peer.tls is not None
        self.request = self.connection = peer.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        peer.encrypted = True


def _bare(line: str) -> str:
    return line[line.index("<") + 1 : line.index(">")]


@contextmanager
def serving(peer: SmtpPeer) -> Iterator[SmtpPeer]:
    """Serves `peer` on a free port while the block runs."""
    with _Server(("127.0.0.1", 0), _Conversation) as server:
        server.peer = peer
        peer.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield peer
        finally:
            server.shutdown()
            thread.join()
