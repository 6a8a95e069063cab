"""Clients of the soak, what they saw, and which of it the text allows."""
import http.client
import re
import threading
import time
from dataclasses import dataclass

from harness.waiting import until  # found by measure.py's path
from harness.websocket import WebSocket

ANSWER_S_MAX = 2.0  # "at once", with every core of the machine busy
SILENT_S_MAX = 8.0  # a line that fell silent has to be noticed first: two heartbeats
KILL_SLACK_S = 0.1  # from the signal until the kernel has closed what the process had open
SINCE = re.compile(r"(?i)since (\w+ )?(\d\d:\d\d|\d{4}-\d\d-\d\dT)")


@dataclass
class Seen:
    kind: str
    method: str
    begin: float
    end: float
    status: int  # 0: the connection broke
    told: str


class Faults:
    """When something was broken by us: (begin, end); the end is when it was whole again, as far as we were told."""

    def __init__(self):
        self.kills, self.cuts, self.holds = [], [], []

    @staticmethod
    def met(one: Seen, windows, slack: float = 0.0) -> bool:
        return any(one.begin <= end + slack and one.end >= begin for begin, end in windows)


def said(body: bytes) -> str:
    """What a page says, without its head and its marks."""
    text = body.decode("utf-8", "replace").partition("<main>")
    return " ".join(re.sub(r"<[^>]*>", " ", text[2] or text[0]).split())[:600]


class Client:
    """Asks one thing again and again, in turn on a connection that is kept and on new ones."""

    def __init__(self, kind: str, port: int, path: str, methods=("GET",), pause_s: float = 0.01, tls=None, headers=None, keep: int = 10):
        self.kind, self.port, self.path, self.methods, self.pause_s = kind, port, path, methods, pause_s
        self.tls, self.headers, self.keep = tls, headers or {}, keep
        self.count, self.took, self.bad, self.slow = 0, [], [], []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _connect(self):
        if self.tls:
            return http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _run(self) -> None:
        connection = None
        while not self.over.wait(self.pause_s):
            method = self.methods[self.count % len(self.methods)]
            if connection is not None and self.count % self.keep == 0:
                connection.close()
                connection = None
            begin = time.monotonic()
            try:
                connection = connection or self._connect()
                headers = {"Host": f"localhost:{self.port}", **self.headers}
                if method != "GET":
                    headers["Origin"] = f"{'https' if self.tls else 'http'}://localhost:{self.port}"
                connection.request(method, self.path, body=None if method == "GET" else b"x" * 1000, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                status, told = answer.status, said(body) if answer.status != 200 else ""
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                status, told, connection = 0, repr(error), None
            self.count += 1
            seen = Seen(self.kind, method, begin, time.monotonic(), status, told)
            self.took.append(seen.end - seen.begin)
            if status != 200:
                self.bad.append(seen)
            elif seen.end - seen.begin > ANSWER_S_MAX:
                self.slow.append(seen)
        if connection is not None:
            connection.close()

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.over.set()
        self.thread.join(70)


class Talker:
    """A WebSocket that must live as long as the soak: echoes, and how long the slowest took."""
    kind = "websocket"

    def __init__(self, port: int, path: str, pause_s: float = 0.2):
        self.socket, self.pause_s = WebSocket(port, path, timeout=60), pause_s
        self.count, self.took, self.bad, self.slow = 0, [], [], []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.over.wait(self.pause_s):
            begin = time.monotonic()
            try:
                self.socket.send(f"message {self.count}")
                text = self.socket.receive()[1].decode()
                good = text == f"message {self.count}"
            except (OSError, ConnectionError) as error:
                text, good = repr(error), False
            self.count += 1
            self.took.append(time.monotonic() - begin)
            if not good:
                self.bad.append(Seen(self.kind, "WS", begin, time.monotonic(), 0, text))
                return

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.over.set()
        self.thread.join(70)
        self.socket.close()


class Listener:
    """A stream of events that must live as long as the soak, and miss none."""
    kind = "events"

    def __init__(self, browser, path: str, backend, pause_s: float = 0.2):
        self.connection, self.answer = browser.open("GET", path)
        until(lambda: backend.streams, "the app has the stream")
        self.backend, self.pause_s = backend, pause_s
        self.count, self.took, self.bad, self.slow, self.sent = 0, [], [], [], 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._speak, self._hear)]

    def _speak(self) -> None:
        while not self.over.wait(self.pause_s):
            self.backend.emit(f"{self.sent} {time.monotonic():.6f}")
            self.sent += 1
        self.backend.emit("end")

    def _hear(self) -> None:
        begin, line = time.monotonic(), ""
        try:
            while (line := self._next()) != "end":
                number, sent = line.split(" ")
                if int(number) != self.count:
                    raise ValueError(f"event {number} came instead of {self.count}")
                self.count += 1
                self.took.append(time.monotonic() - float(sent))
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            self.bad.append(Seen(self.kind, "GET", begin, time.monotonic(), 0, f"{error!r} after {line!r}"))

    def _next(self) -> str:
        line = self.answer.readline().decode().strip()
        self.answer.readline()
        return line.removeprefix("data: ")

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(70)
        self.backend.end_streams()
        self.connection.close()


def judge(one: Seen, faults: Faults, behind: dict) -> str:
    """Which rule of the text allows this failure; empty: none does. `behind`: which tier the link that is cut leads to."""
    took = one.end - one.begin
    if one.kind == "killed":
        # Nobody knows whether the app has done what it was asked when it died.
        return "in flight at the kill" if Faults.met(one, faults.kills, KILL_SLACK_S) and one.status in (0, 502) else ""
    kind = one.kind.split(",")[0]
    if kind not in behind:
        return ""
    if took > (SILENT_S_MAX if Faults.met(one, faults.holds) else ANSWER_S_MAX):
        return ""  # it hung
    if any(one.begin <= begin <= one.end for begin, _ in faults.cuts + faults.holds):
        return "in flight when the line was cut"
    if not Faults.met(one, faults.cuts + faults.holds) or one.status not in (502, 503, 504) or not SINCE.search(one.told):
        return ""
    if "browser" in one.kind:
        return "the page says what and since when" if behind[kind] in one.told.lower() else ""
    return "a program is told since when"
