"""bench/run tiers4: 1 GB up and 1 GB down at once through four tiers, a WebSocket and events beside them. bench/README.md has the method."""
import argparse
import hashlib
import multiprocessing
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

from measure import ROOT, Figure, finish

sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness.backend import Backend  # noqa: E402
from harness.memory import pss_kb, tree_of  # noqa: E402
from harness.tree import Tree  # noqa: E402
from harness.waiting import until  # noqa: E402
from harness.websocket import WebSocket  # noqa: E402

CHAIN = ["head", "region", "center", "tokyo"]
MIB = 1 << 20
BLOCK = bytes(range(256)) * 1024  # 256 KiB
WORKING_MB = 32
LATE_P99_MS = 250
EVERY_S = 0.05  # a message and an event
SAMPLE_S = 0.2


# -- what runs in processes of its own: the interpreter's lock would make the timed messages wait for the bodies ----------
def serve_bodies(ports) -> None:
    """An app at the top: GET gives as many bytes as its path ends with, PUT says what it was given."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ports.put(listener.getsockname()[1])
    while True:
        threading.Thread(target=answer_bodies, args=(listener.accept()[0],), daemon=True).start()


def read_head(one, rest: bytes = b"") -> tuple:
    while b"\r\n\r\n" not in rest:
        piece = one.recv(65536)
        if not piece:
            return "", b""
        rest += piece
    head, rest = rest.split(b"\r\n\r\n", 1)
    return head.decode("latin-1"), rest


def length_of(head: str) -> int:
    return next((int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)


def digest_of(one, rest: bytes, size: int):
    digest, left, into = hashlib.sha256(rest), size - len(rest), bytearray(MIB)
    while left:
        got = one.recv_into(into, min(left, MIB))
        if not got:
            break
        digest.update(memoryview(into)[:got])
        left -= got
    return digest.hexdigest()


def send_bytes(one, size: int) -> None:
    while size:
        size -= one.send(memoryview(BLOCK)[:min(size, len(BLOCK))])


def answer_bodies(one) -> None:
    rest = b""
    while True:
        head, rest = read_head(one, rest)
        if not head:
            return
        method, target, _ = head.split("\r\n")[0].split(" ")
        if method == "PUT":
            said = digest_of(one, rest, length_of(head)).encode()
            rest = b""
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
            continue
        size = int(target.rsplit("/", 1)[1])
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % size)
        send_bytes(one, size)


def transfer(port: int, path: str, size: int, up: bool, told) -> None:
    """One body through the lowest tier; tells (seconds, SHA-256 as the other side or we have it, status)."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=120) as one:
        method, more = ("PUT", f"Content-Length: {size}\r\nOrigin: http://localhost:{port}\r\n") if up else ("GET", "")
        one.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{more}\r\n".encode())
        if up:
            send_bytes(one, size)
        head, rest = read_head(one)
        status = int((head or "x 0").split(" ")[1])
        said = rest.decode() if up else digest_of(one, rest, length_of(head))
        while up and len(said) < length_of(head):
            said += one.recv(4096).decode()
    told.put(("up" if up else "down", time.monotonic() - begin, said, status))


# -- beside them ------------------------------------------------------------------------------------------------------------
class Talk:
    """Sends a text with the time in it, again and again; keeps how long each was under way."""

    def __init__(self, send, receive):
        self.send, self.receive = send, receive
        self.late_ms, self.sent, self.over, self.trouble = [], 0, threading.Event(), ""
        self.threads = [threading.Thread(target=self._run, args=(run,), daemon=True) for run in (self._speak, self._hear)]

    def _run(self, work) -> None:
        try:
            work()
        except (OSError, ValueError) as error:
            self.trouble = self.trouble or repr(error)

    def _speak(self) -> None:
        while not self.over.wait(EVERY_S):
            self.send(f"{time.monotonic():.6f}")
            self.sent += 1
        self.send("end")

    def _hear(self) -> None:
        while (text := self.receive()) != "end":
            self.late_ms.append((time.monotonic() - float(text)) * 1000.0)

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        if self.trouble or self.sent == 0 or len(self.late_ms) != self.sent:
            raise SystemExit(f"beside the bodies {len(self.late_ms)} of {self.sent} messages arrived {self.trouble}")


class Memory:
    """The most that each tier's processes take above what they took idle (proportional set size)."""

    def __init__(self, tree):
        self.pids = {tier.name: tree_of(tier.process.pid) for tier in tree.tiers}
        self.idle = self._now()
        self.above = dict.fromkeys(self.pids, 0)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _now(self) -> dict:
        return {name: sum(map(pss_kb, pids)) for name, pids in self.pids.items()}

    def _watch(self) -> None:
        while not self.over.wait(SAMPLE_S):
            for name, kb in self._now().items():
                self.above[name] = max(self.above[name], kb - self.idle[name])

    def end(self) -> dict:
        self.over.set()
        self.thread.join()
        return {name: kb / 1024 for name, kb in self.above.items()}


def expected_digest(size: int) -> str:
    digest = hashlib.sha256()
    for _ in range(size // len(BLOCK)):
        digest.update(BLOCK)
    digest.update(BLOCK[:size % len(BLOCK)])
    return digest.hexdigest()


def round_of(tree, backend, size: int, want: str) -> dict:
    bottom = tree.bottom
    socket_ = WebSocket(bottom.web_port, "/apps/talk/ws")
    connection, events = bottom.browser().open("GET", "/apps/talk/events")
    until(lambda: backend.streams, "the app has the stream of events")

    def event():
        line = events.readline()
        events.readline()
        return line.decode().strip().removeprefix("data: ")

    echo, told_events = Talk(socket_.send, lambda: socket_.receive()[1].decode()), Talk(backend.emit, event)
    memory = Memory(tree)
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    moves = [context.Process(target=transfer, args=(bottom.web_port, f"/apps/big/{size}", size, up, told)) for up in (True, False)]
    for one in (echo, told_events, *moves):
        one.start()
    results = [told.get(timeout=1200) for _ in moves]
    for move in moves:
        move.join()
    echo.end()
    told_events.end()
    above = memory.end()
    socket_.close()
    backend.end_streams()
    connection.close()
    for way, _, said, status in results:
        if (status, said) != (200, want):
            raise SystemExit(f"the body {way} did not arrive as it was sent: status {status}")
    seen = {f"{way}_mb_s": size / MIB / seconds for way, seconds, _, _ in results}
    for name, talk in (("ws", echo), ("sse", told_events)):
        ordered = sorted(talk.late_ms)
        seen.update({f"{name}_p50_ms": statistics.median(ordered), f"{name}_p99_ms": ordered[int((len(ordered) - 1) * 0.99)],
                     f"{name}_max_ms": ordered[-1], f"{name}_count": len(ordered)})
    seen.update({f"mb_{name}": mb for name, mb in above.items()})
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run tiers4", description=__doc__)
    parser.add_argument("--json", default="", help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mb", type=int, default=1024, help="of each body")
    chosen = parser.parse_args()
    memory = {name: Figure(f"{name}_mb", "MB", "min", WORKING_MB) for name in CHAIN}
    late = {name: Figure(f"{name}_p99", "ms", "min", LATE_P99_MS) for name in ("ws", "sse")}
    speed = {name: Figure(f"{name}_speed", "MiB/s", "max", None) for name in ("up", "down")}
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    bodies = context.Process(target=serve_bodies, args=(ports,), daemon=True)
    bodies.start()
    backend = Backend()
    size, want = chosen.mb * MIB, expected_digest(chosen.mb * MIB)
    try:
        with Tree(CHAIN, gates=False) as tree:
            tree.top.upstream_app("big", f"http://127.0.0.1:{ports.get(timeout=30)}", access="public")
            tree.top.upstream_app("talk", backend.url, access="public")
            tree.bottom.wait_reaches("/apps/talk/bytes/1")
            tree.bottom.wait_reaches("/apps/big/1")
            for number in range(chosen.rounds):
                seen = round_of(tree, backend, size, want)
                print(f"round {number + 1}: " + ", ".join(f"{key} {value:.1f}" for key, value in seen.items()), flush=True)
                for name, figure in memory.items():
                    figure.add(seen[f"mb_{name}"])
                for name, figure in late.items():
                    figure.add(seen[f"{name}_p99_ms"])
                for name, figure in speed.items():
                    figure.add(seen[f"{name}_mb_s"])
    finally:
        backend.close()
        bodies.terminate()
        bodies.join()
    return finish([*memory.values(), *late.values(), *speed.values()], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
