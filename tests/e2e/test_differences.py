#!/usr/bin/python3
"""Every request of the hostile cases and of the fuzz corpora goes to hasp and to nginx, with the same app behind each, and every answer
comes to both from such an app. What the client gets and what the app sees must be the same, or a row of differences.txt says why
it is not."""
import re
import socket
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness.differences import Pair
from harness.hostile import cases, corpus
from harness.waiting import slack

PROBE = b"GET /probe-of-the-test HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROBED = b"HTTP/1.1 200 OK\r\nX-Probed: yes\r\nContent-Length: 2\r\n\r\nok"
SILENCE_S = 0.4  # a proxy that has said nothing for so long waits for more


class App:
    """Says "ok" to every request, and keeps what it was asked: (method and target, content)."""

    def __init__(self):
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while self.one(connection, stream):
                    pass
            except (OSError, ValueError):
                pass  # the proxy has given the request up half-way

    def one(self, connection, stream) -> bool:
        line = stream.readline()
        fields = {}
        while (text := stream.readline()) not in (b"\r\n", b""):
            name, _, value = text.partition(b":")
            fields[name.strip().lower()] = value.strip()
        if not line:
            return False
        content = b""
        if fields.get(b"transfer-encoding") == b"chunked":
            while size := int(stream.readline(), 16):
                content += stream.read(size)
                stream.readline()
            stream.readline()
        else:
            size = int(fields.get(b"content-length", 0))
            while len(content) < size:
                piece = stream.read(min(size - len(content), 65536))
                if not piece:
                    return False
                content += piece
        what = line.rsplit(b" ", 1)[0]
        if what == PROBE.split(b" HTTP")[0]:
            connection.sendall(PROBED)
            return True
        self.seen.append((what, content))
        answer = self.answer(what, content, fields)
        connection.sendall(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if what.startswith(b"HEAD ") else answer)
        return True

    def answer(self, what: bytes, content: bytes, fields: dict) -> bytes:
        return ANSWER

    def close(self):
        self.listener.close()


class Teller(App):
    """Says the seventh message to who asks for /7, and ends the connection."""

    def __init__(self):
        super().__init__()
        self.messages = [ANSWER]

    def one(self, connection, stream) -> bool:
        line = stream.readline()
        while stream.readline() not in (b"\r\n", b""):
            pass
        if line:
            connection.sendall(self.messages[int(line.split()[1][1:] or 0)])
        return False


def statuses(stream: bytes, heads_only: bool):
    """The statuses of the answers in what a proxy said, without 100, and whether the last one is whole."""
    out = []
    while stream:
        head, end, rest = stream.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.1 (\d\d\d)", head)
        if not end or not found:
            # nginx says a page without a head to HTTP/0.9, and so has no status.
            return out + ([] if found else ["page"]), bool(not found)
        status = int(found.group(1))
        length = re.search(rb"(?i)\r\nContent-Length: (\d+)", head)
        size = int(length.group(1)) if length and not (heads_only and not out) else 0
        if len(rest) < size:
            return out, False
        stream = rest[size:]
        if status != 100:
            out.append(status)
    return out, True


def outcome(port: int, message: bytes):
    """The statuses that a client gets for the message and a probe behind it, then "close", "open" or "waits"."""
    heads_only = message.startswith(b"HEAD ")
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S * slack()) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            client.sendall(message + PROBE)
            while not (b"\r\nX-Probed: yes\r\n" in got and statuses(got, heads_only)[1]):
                piece = client.recv(65536)
                if not piece:
                    return statuses(got, heads_only)[0] + ["close"]
                got += piece
            return statuses(got, heads_only)[0][:-1] + ["open"]
        except TimeoutError:
            return statuses(got, heads_only)[0] + ["waits"]
        except ConnectionError:
            return statuses(got, heads_only)[0] + ["close"]


def content_of(head: bytes, rest: bytes, has_none: bool):
    """The content of an answer, as far as it came, and whether it is whole; None where its end is the connection's."""
    length = re.search(rb"(?i)\r\nContent-Length: (\d+)", head)
    if has_none:
        return b"", True
    if length:
        return rest[:int(length.group(1))], len(rest) >= int(length.group(1))
    if not re.search(rb"(?i)\r\nTransfer-Encoding: chunked", head):
        return rest, None
    content = b""
    while found := re.match(rb"([0-9a-fA-F]+)\r\n", rest):
        size = int(found.group(1), 16)
        if size == 0:
            return content, rest.endswith(b"\r\n\r\n")
        content += rest[found.end():found.end() + size]
        rest = rest[found.end() + size + 2:]
    return content, False


def told(port: int, asked: str, path: int = 0):
    """What a client gets who asks so for "/path": the status, the content, and whether it is whole ("cut": it is not; "waits": more is to come)."""
    method, _, version = asked.partition(" ")
    request = b"%s /%d HTTP/%s\r\nHost: a\r\n%s\r\n" % (
        b"HEAD" if method == "HEAD" else b"GET", path, version.encode() or b"1.1",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        if method == "upgrade" else b"")
    got, ended = b"", ""
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S * slack()) as client:
        client.sendall(request)
        while not ended:
            try:
                piece = client.recv(65536)
                got += piece
                ended = "" if piece else "close"
            except TimeoutError:
                ended = "waits"
            except ConnectionError:
                ended = "reset"
            head, end, rest = got.partition(b"\r\n\r\n")
            while end and re.match(rb"HTTP/1\.1 1(?!01)\d\d", head):
                head, end, rest = rest.partition(b"\r\n\r\n")
            line = re.match(rb"HTTP/1\.1 (\d\d\d) ", head) if end else None
            status = int(line.group(1)) if line else 0
            content, whole = content_of(head, rest, method == "HEAD" or status in (204, 304))
            if status and (whole or status == 101):
                return f"{status} whole", content
            if got and not status and ended == "close":
                return "page", got  # nginx says what is no answer as it came, without a head of its own
            if ended:
                word = "whole" if whole is None and ended == "close" and status else "waits" if ended == "waits" else "cut"
                return f"{status} {word}" if status else word, content
    return None


class Texts(Pair):
    app_class = App

    @classmethod
    def answers(cls, port: int) -> bool:
        return told(port, "GET") == ("200 whole", b"ok")


class Requests(Texts):
    part = "requests"

    def messages(self):
        known = set()
        named = [(f"RFC {one.rfc}: {one.name}", one.message) for one in cases("request")]
        named += [(f"corpus: {name}", content) for name, content in corpus("request_head")]
        named += [(f"chunks: {name}", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + content)
                  for name, content in corpus("chunked_body")]
        for field in ("cookies", "ranges"):
            named += [(f"{field}: {name}", b"GET / HTTP/1.1\r\nHost: a\r\n%s: %s\r\n\r\n" %
                       (b"Cookie" if field == "cookies" else b"Range", content)) for name, content in corpus(field)]
        named += [(f"target: {name}", b"GET " + content + b" HTTP/1.1\r\nHost: a\r\n\r\n")
                  for name, content in corpus("request_target")]
        for name, message in named:
            if message not in known:
                known.add(message)
                yield name, message

    def both(self, message: bytes):
        results = []
        for port, app in ((self.tree.top.web_port, self.app), (self.port, self.reference_app)):
            app.seen.clear()
            said = " ".join(str(one) for one in outcome(port, message))
            results.append((said, list(app.seen)))
        return results

    def test_each_difference_to_nginx_has_a_reason(self):
        self.compare(self.messages(), self.both)


class Answers(Texts):
    app_class, part = Teller, "answers"

    @staticmethod
    def messages():
        for one in cases("answer"):
            yield f"RFC {one.rfc}: {one.name}", (one.message, one.asked)
        for name, content in corpus("answer_head"):
            asked = "HEAD" if content[:1] and content[0] & 1 else "upgrade" if content[:1] and content[0] & 2 else "GET"
            yield f"corpus: {name}", (content[1:], asked)

    def test_each_difference_to_nginx_has_a_reason(self):
        named = list(self.messages())
        self.app.messages = self.reference_app.messages = [message for _, (message, _) in named]

        def both(index):
            results = [told(port, named[index][1][1], index) for port in (self.tree.top.web_port, self.port)]
            # The page of a 502 is each proxy's own.
            return [(said, "" if said.startswith("502") else content) for said, content in results]

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(both, range(len(named))))
        self.compare(((name, (index, message)) for index, (name, message) in enumerate(named)), lambda of: results[of[0]])


if __name__ == "__main__":
    unittest.main(verbosity=2)
