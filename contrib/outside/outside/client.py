"""A client of page 7, as small as it can be: one connection a request, nothing tried again, nothing believed.

It sends what it is told, byte for byte: http.client neither normalises a path nor follows a redirection.
"""

import http.client
import json
from typing import NamedTuple
from urllib.parse import urlsplit

from .signer import Message, sign

PROBLEM = "urn:seqvault:problem:"


class Answer(NamedTuple):
    status: int
    headers: dict       # names in small letters
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def type(self):
        return self.headers.get("content-type")

    @property
    def problem(self):
        """The name of the problem (7.6), checked: its members, its type and its status."""
        assert self.type == "application/problem+json", f"no problem: {self}"
        said = self.json()
        assert {"type", "title", "status", "detail", "request"} <= said.keys(), said
        assert said["status"] == self.status and said["request"] == self.headers["seqvault-request-id"], said
        assert said["type"].startswith(PROBLEM), said
        return said["type"][len(PROBLEM):]

    def entries(self):
        """The framing of 7.1: four bytes of length, big-endian, and the stored bytes."""
        assert self.type == "application/vnd.seqvault.entries", self
        out, at = [], 0
        while at < len(self.body):
            length = int.from_bytes(self.body[at:at + 4], "big")
            out.append(self.body[at + 4:at + 4 + length])
            at += 4 + length
            assert at <= len(self.body), "cut short"
        return out


def send(url, method, target, headers, body=None, timeout=60):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": parts.netloc, "Connection": "close", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Client:
    """Somebody at a server."""

    def __init__(self, url, vault, key):
        self.url, self.vault, self.key = url, vault, key

    def prepared(self, method, target, body=None, headers=None, **signature):
        """The headers of a signed request. PUT and POST have a body, though it may be empty."""
        if body is None and method in ("PUT", "POST"):
            body = b""
        message = Message(method, self.url + target, dict(headers or {}))
        sign(message, signature.pop("vault", self.vault), self.key, body, **signature)
        if body is not None:
            message.headers["Content-Length"] = str(len(body))
        return message.headers, body

    def ask(self, method, target, body=None, headers=None, **signature):
        headers, body = self.prepared(method, target, body, headers, **signature)
        return send(self.url, method, target, headers, body)

    def get(self, target, **more):
        return self.ask("GET", target, **more)

    def put(self, target, body, **more):
        return self.ask("PUT", target, body, {"Content-Type": "application/octet-stream"}, **more)

    def post(self, target, value=None, **more):
        """With a JSON value, or with an empty body."""
        if value is None:
            return self.ask("POST", target, b"", **more)
        return self.ask("POST", target, json.dumps(value).encode(), {"Content-Type": "application/json"}, **more)

    def unsigned(self, target, method="GET"):
        return send(self.url, method, target, {})
