#!/usr/bin/python3
"""Messages with any byte at any place, one and two changes at a time, read by hasp and by a second reading of the RFCs (harness/strict.py):
both must take the same ones, what arrives at the other side must be strict HTTP and mean the same, and a connection must end where
its sender could mean something else. HASP_MUTATIONS is how many messages of each side there are, HASP_SEED which."""
import os
import random
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import strict
from harness.case import TreeCase, main
from harness.waiting import slack

COUNT = int(os.environ.get("HASP_MUTATIONS", "4000"))
SEED = int(os.environ.get("HASP_SEED", "1"))
SILENCE_S, PATIENCE_S = 0.3, 20
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROBE = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"

# Cut where a change may matter. @ is the target, by which a request is known at the app.
REQUESTS = [
    [b"GE", b"T", b" ", b"@", b"/", b"x", b"?", b"y", b" ", b"HTTP", b"/", b"1", b".", b"1", b"\r", b"\n", b"Host", b":", b" ", b"a", b"\r", b"\n",
     b"X-", b"A", b":", b" ", b"v", b"w", b"\r", b"\n", b"\r", b"\n"],
    [b"POST", b" ", b"http://", b"a", b"@", b" ", b"HTTP/1.1", b"\r", b"\n", b"Host", b":", b"a", b"\r", b"\n", b"Content", b"-", b"Length", b":", b" ",
     b"1", b"1", b"\r", b"\n", b"\r", b"\n", b"hello", b" ", b"world"],
    [b"POST", b" ", b"@", b" ", b"HTTP/1.", b"1", b"\r\n", b"Host: a", b"\r\n", b"Transfer", b"-", b"Encoding", b":", b" ", b"chunk", b"ed", b"\r", b"\n", b"\r",
     b"\n", b"5", b";", b"a", b"=", b'"', b"b", b'"', b"\r", b"\n", b"he", b"llo", b"\r", b"\n", b"0", b"\r", b"\n", b"T", b":", b"v", b"\r", b"\n", b"\r", b"\n"],
    [b"GET", b" ", b"@", b" ", b"HTTP/1.1", b"\r\n", b"Host: a", b"\r\n", b"Connection", b":", b" ", b"keep-alive", b",", b" ", b"X-Y", b"\r\n", b"X-Y", b":",
     b"z", b"\r\n", b"\r\n"],
]
ANSWERS = [
    [b"HTTP", b"/", b"1", b".", b"1", b" ", b"2", b"0", b"0", b" ", b"O", b"K", b"\r", b"\n", b"X-", b"A", b":", b" ", b"v", b"w", b"\r", b"\n", b"Content",
     b"-", b"Length", b":", b" ", b"1", b"1", b"\r", b"\n", b"\r", b"\n", b"hello", b" ", b"world"],
    [b"HTTP/1.1", b" ", b"200", b" ", b"OK", b"\r\n", b"Transfer", b"-", b"Encoding", b":", b" ", b"chunk", b"ed", b"\r", b"\n", b"\r", b"\n", b"5", b";", b"a",
     b"=", b"b", b"\r", b"\n", b"he", b"llo", b"\r", b"\n", b"0", b"\r", b"\n", b"T", b":", b"v", b"\r", b"\n", b"\r", b"\n"],
    [b"HTTP/1.1 103 Early\r\n", b"X: y\r\n", b"\r\n", b"HTTP/1.", b"1", b" ", b"404", b" ", b"\r\n", b"Connection", b":", b" close", b"\r\n", b"\r\n", b"gone"],
]
LINES = [b"Content-Length: 3\r\n", b"Content-Length: 11\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: a\r\n", b"X: y\r\n", b"Connection: close\r\n"]
PIECES = [bytes([byte]) for byte in range(256)] + LINES + [
    b"\r\n", b"\r\r\n", b"\n\n", b"\r\n ", b"\r\n\t", b"  ", b"\t ", b"\xc2\xa0", b"0x", b"+1", b"-1", b"0", b"00", b",", b", ", b";x", b"=", b"%2e%2e/",
    b"/../", b"%00", b"%", b"204", b"304", b"100", b"CONNECT", b"chunked", b"identity"]


def mutated(parts: list, chance: random.Random) -> bytes:
    parts = list(parts)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at, what = chance.randrange(len(parts)), chance.randrange(8)
        if what < 4:
            parts.insert(at + what % 2, chance.choice(PIECES))
        elif what < 6:
            parts[at] = chance.choice(PIECES)
        elif what == 6 and len(parts) > 1:
            del parts[at]
        else:
            parts.insert(at, parts[at])
    return b"".join(parts)


class App:
    """Reads strictly, keeps what it got by the number in the target, and says what is wanted there."""

    def __init__(self):
        self.seen, self.faults, self.says = {}, [], {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        text = b""
        with connection:
            try:
                while more := connection.recv(65536):
                    text += more
                    while text:
                        try:
                            one, end = strict.request(text)
                        except strict.Incomplete:
                            break
                        text = text[end:]
                        if self.one(connection, one):
                            return
            except strict.Refused as why:
                self.faults.append(f"{why}: {text!r}")
            except OSError:
                pass  # hasp has given the request up half-way

    def one(self, connection, message) -> bool:
        number = re.search(rb"q(\d+)q", message.target)
        number = int(number[1]) if number else -1
        self.seen.setdefault(number, []).append(message)
        if number in self.says:
            connection.sendall(self.says[number])
            return True
        connection.sendall(OK[:-2] if message.method == b"HEAD" else OK)
        return False

    def close(self):
        self.listener.close()


class Client:
    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S * slack())
        self.text, self.ended = b"", False

    def send(self, text: bytes):
        try:
            self.socket.sendall(text)
        except ConnectionError:
            self.ended = True

    def more(self) -> bool:
        """False: nothing came for a while, or the other side ended."""
        try:
            piece = self.socket.recv(65536)
        except TimeoutError:
            return False
        except ConnectionError:
            piece = b""
        self.text, self.ended = self.text + piece, self.ended or not piece
        return bool(piece)

    def final_statuses(self, methods: list) -> list:
        """Of the whole answers that are there. hasp's own writing must be strict."""
        found, at = [], 0
        try:
            while at < len(self.text):
                one, at = strict.line(self.text, at)
                status = int(strict.STATUS_LINE.match(one)[2])
                fields, at = strict.field_lines(self.text, at)
                if status < 200:
                    continue
                chunked, length = strict.framing(strict.Message(1, fields))
                if len(found) >= len(methods) or methods[len(found)] != b"HEAD":
                    at = strict.chunks(self.text, at)[1] if chunked else at + (length or 0)
                if at <= len(self.text):
                    found.append(status)
        except strict.Incomplete:
            pass
        return found


class Mutations(TreeCase):
    @classmethod
    def furnish(cls):
        cls.app = App()
        cls.tree.top.upstream_app("open", cls.app.url, access="public", app='hosts = ["a"]\n')
        cls.tree.bottom.wait_reaches("/apps/open/ready")

    @classmethod
    def close_backends(cls):
        cls.app.close()

    def ask(self, message: bytes) -> str:
        """A fault, or nothing."""
        number = re.search(rb"q(\d+)q", message)
        wanted, end = strict.requests(message)
        methods = [one.method for one in wanted]
        client = Client(self.tree.bottom.web_port)
        with client.socket:
            client.send(message)
            answers_due = len(wanted) + (end == "refused")
            if end == "incomplete":
                client.socket.settimeout(SILENCE_S * slack())
            while not client.ended and (end == "incomplete" or len(client.final_statuses(methods)) < answers_due) and client.more():
                pass
            statuses = client.final_statuses(methods)
            if end == "incomplete":
                # What cannot become a message any more is refused before its end.
                early = statuses[len(wanted):]
                return "" if not early or (early[0] in (400, 417, 431, 501, 505) and client.ended) else f"{statuses} for what is not whole"
            if len(statuses) != answers_due:
                return f"{statuses}, and {answers_due} answers are due"
            if end == "refused":
                while not client.ended and client.more():
                    pass
                if statuses[-1] not in (400, 413, 417, 431, 501, 505) or not client.ended or len(client.final_statuses(methods)) > answers_due:
                    return f"{statuses}, {'closed' if client.ended else 'open'}, for what is refused"
            elif end == "open":
                client.send(PROBE)
                while not client.ended and len(client.final_statuses(methods)) <= answers_due and client.more():
                    pass
                if client.final_statuses(methods)[answers_due:] != [200]:
                    return "the connection does not go on"
            else:
                while not client.ended and client.more():
                    pass
                if not client.ended:
                    return "the connection goes on"
        if any(status in (400, 502) for status in statuses[:len(wanted)]):
            return f"{statuses} for what is good"
        return self.arrived(int(number[1]), wanted) if number else ""

    def arrived(self, number: int, wanted: list) -> str:
        seen = self.app.seen.get(number, [])
        ours = [one for one in wanted if b"q%dq" % number in one.target and one.values(b"host") in ([b"a"], [])]
        if len(seen) > len(wanted):
            return f"{len(seen)} requests arrived of {len(wanted)}"
        if len(seen) != len(ours):
            return ""  # a target or a host of another place: what it gets is not this test's affair
        for one, other in zip(ours, seen):
            if (one.method, one.content) != (other.method, other.content):
                return f"it arrived as {other.method} {other.content}"
            nominated = one.members(b"connection")
            for name, value in other.fields:
                if name == b"x-y" and name in nominated:
                    return "a nominated field arrived"
                if name in (b"x-a", b"x") and value not in one.values(name):
                    return f"{name}: {value} arrived"
        return ""

    def answered(self, number: int, said: bytes, method: bytes) -> str:
        self.app.says[number] = said
        try:
            wanted = strict.answer(said, method)
        except (strict.Refused, strict.Incomplete):
            wanted = None
        client = Client(self.tree.bottom.web_port)
        with client.socket:
            client.send(method + b" /q%dq HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % number)
            while client.more():
                pass
        if not client.ended:
            return "the connection goes on"
        try:
            got = strict.answer(client.text, method)
        except (strict.Refused, strict.Incomplete) as why:
            return f"the client got {client.text!r} ({why})"
        if wanted is None:
            return "" if got.status == 502 else f"{got.status} for what is no answer"
        if wanted.broken:
            return "" if got.status == 502 or got.broken else f"{client.text[-80:]!r} for what breaks off"
        return "" if (got.status, got.content) == (wanted.status, wanted.content) else f"{got.status} {got.content!r}"

    def hold(self, faults: list):
        self.assertEqual(self.app.faults, [])
        self.maxDiff = None
        self.assertEqual([], [f"{fault}\n  {message!r}" for fault, message in faults if fault][:20], f"HASP_SEED={SEED}")

    def test_requests_are_taken_and_passed_on_as_the_rfcs_say(self):
        chance = random.Random(SEED)
        messages = []
        for number in range(COUNT):
            text = b"".join(mutated(chance.choice(REQUESTS), chance) for _ in range(chance.choice((1, 1, 1, 2))))
            messages.append(text.replace(b"@", b"/q%dq" % number))
        with ThreadPoolExecutor(16) as pool:
            self.hold(list(zip(pool.map(self.ask, messages), messages)))

    def test_answers_are_taken_and_passed_on_as_the_rfcs_say(self):
        chance = random.Random(SEED)
        said = [mutated(chance.choice(ANSWERS), chance) for _ in range(COUNT)]
        methods = [chance.choice((b"GET", b"GET", b"GET", b"HEAD")) for _ in said]
        with ThreadPoolExecutor(16) as pool:
            self.hold(list(zip(pool.map(self.answered, range(10 ** 6, 10 ** 6 + COUNT), said, methods), said)))


if __name__ == "__main__":
    main()
