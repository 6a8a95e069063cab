"""bench/run connections: what 10,000 idle connections of users cost, what the others notice of them, and how seldom a front with several loops
opens a connection to an app anew. bench/README.md has the method."""
import argparse
import os
import resource
import socket
import ssl
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

from compare import BROWSER_HEADERS, LOAD_CORE, SERVER_CORE
from many_apps import measure_many_apps
from measure import Figure, finish
from peers import load
from servers import Servers

from harness.memory import pss_kb, tree_of  # found by measure.py's path
from harness.tree import free_port
from harness.waiting import until

IDLE = 10_000
OPENERS = 4
KEEP_S = 3_000  # longer than the whole measurement: nobody is closed for being idle
OTHERS_CONNECTIONS, OTHERS_COUNT, OTHERS_RATE = 32, 40_000, 10_000.0
LOOPS = 4
# Phases of one round: so many connections are busy, each phase others, and so on other loops; the many that ask now and then stay.
BUSY, BUSY_COUNT = (1, 3, 8, 2, 5, 1, 16, 3), 10_000
SELDOM, SELDOM_PAUSE_S = 64, 0.002


def pss_mb(root: int) -> float:
    return sum(map(pss_kb, tree_of(root))) / 1024


class Idle:
    """Connections that have had one answer each and stay open."""

    def __init__(self, place, count: int):
        self.place, self.count, self.sockets, self.trouble = place, count, [], []
        self.context = ssl.create_default_context(cafile=place.ca) if place.ca else None
        self.lock = threading.Lock()
        self.request = (f"GET /apps/bench/page?id=17 HTTP/1.1\r\nHost: localhost:{self.place.port}\r\n"
                        f"Cookie: {self.place.cookie}\r\n\r\n").encode()

    @staticmethod
    def read_answer(one) -> None:
        answer = b""
        while len(answer.partition(b"\r\n\r\n")[2]) < 1024:
            piece = one.recv(65536)
            if not piece:
                raise ConnectionError("closed before the answer came")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(answer[:200].decode("latin-1"))

    def _open(self, count: int) -> None:
        mine = []
        try:
            for _ in range(count):
                one = socket.create_connection(("127.0.0.1", self.place.port), timeout=30)
                if self.context:
                    one = self.context.wrap_socket(one, server_hostname="localhost")
                one.sendall(self.request)
                self.read_answer(one)
                mine.append(one)
        except OSError as error:
            self.trouble.append(str(error))
        with self.lock:
            self.sockets += mine

    def __enter__(self):
        threads = [threading.Thread(target=self._open, args=(self.count // OPENERS,)) for _ in range(OPENERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.trouble or len(self.sockets) != self.count:
            raise SystemExit(f"{len(self.sockets)} of {self.count} connections were opened: {self.trouble[:1]}")
        return self

    def still_open(self) -> int:
        closed = 0
        for one in self.sockets:
            one.setblocking(False)
            try:
                closed += one.recv(1) == b""
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            except OSError:
                closed += 1
        return self.count - closed

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()


def p99_us(folder: Path, place) -> float:
    file = folder / f"{place.name}.request".replace(" ", "-")
    lines = ["GET /apps/bench/page?id=17 HTTP/1.1", f"Host: localhost:{place.port}", *BROWSER_HEADERS, f"Cookie: {place.cookie}"]
    file.write_text("\r\n".join(lines) + "\r\n\r\n")
    return load(place.port, OTHERS_CONNECTIONS, OTHERS_COUNT, OTHERS_RATE, file, LOAD_CORE, place.ca)["p99_us"]


def measure(folder: Path, place, name: str, limit_mb: float, rounds: int) -> list:
    memory = Figure(f"{name}_mb", "MB", "min", limit_mb)
    waits = Figure(f"{name}_p99", "times", "min", 2.0)
    before = None
    for round_ in range(rounds):
        alone = p99_us(folder, place)  # warm then
        if before is None:  # what one round has taken the next ones use again
            before = sum(map(pss_mb, place.pids))
        with Idle(place, IDLE) as idle:
            taken = sum(map(pss_mb, place.pids)) - before
            beside = p99_us(folder, place)
            if (left := idle.still_open()) != IDLE:
                raise SystemExit(f"only {left} of {IDLE} idle connections are still open")
        memory.add(taken)
        waits.add(beside / alone)
        print(f"{name} round {round_ + 1}: {taken:.1f} MB for {IDLE} connections, p99 of the others {alone:.0f} us before, "
              f"{beside:.0f} us beside them", flush=True)
    return [memory, waits]


class Seldom(threading.Thread):
    """Kept connections that ask one after the other, with a pause between."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.place, self.stop, self.count, self.trouble = place, threading.Event(), 0, ""
        self.start()

    def run(self):
        try:
            with Idle(self.place, SELDOM) as idle:
                self.count = SELDOM
                while not self.stop.is_set():
                    for one in idle.sockets:
                        one.sendall(idle.request)
                        idle.read_answer(one)
                        self.count += 1
                        self.stop.wait(SELDOM_PAUSE_S)
        except (OSError, SystemExit) as error:
            self.trouble = str(error)

    def end(self) -> int:
        self.stop.set()
        self.join(60)
        if self.trouble:
            raise SystemExit(f"a connection that asks now and then: {self.trouble}")
        return self.count


def upstream_counts(port: int) -> tuple:
    """(opened, reused) since the front's start."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        values = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
    return int(values["hasp_upstream_connections_total"]), int(values["hasp_upstream_reused_total"])


def measure_reuse(folder: Path, place, metrics_port: int, rounds: int) -> list:
    figure = Figure("reuse_pct", "%", "max", 99.9)
    file = folder / "reuse.request"
    lines = ["GET /apps/bench/page?id=17 HTTP/1.1", f"Host: localhost:{place.port}", *BROWSER_HEADERS, f"Cookie: {place.cookie}"]
    file.write_text("\r\n".join(lines) + "\r\n\r\n")
    for round_ in range(rounds):
        before = upstream_counts(metrics_port)
        seldom = Seldom(place)
        for busy in BUSY:
            load(place.port, busy, BUSY_COUNT, 0.0, file, LOAD_CORE, None)
        asked = seldom.end() + len(BUSY) * BUSY_COUNT

        def counted():
            now = upstream_counts(metrics_port)
            opened, reused = now[0] - before[0], now[1] - before[1]
            return (opened, reused) if opened + reused >= asked else None
        opened, reused = until(counted, "every loop has told what it counted", 10)
        figure.add(100 * reused / (reused + opened))
        print(f"reuse round {round_ + 1}: {asked} requests at {LOOPS} loops, {opened} connections to the app opened", flush=True)
    return [figure]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run connections")
    parser.add_argument("--json", default="", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", choices=("", "idle", "reuse", "apps"))
    chosen = parser.parse_args()
    many = [] if chosen.only not in ("", "apps") else [measure_many_apps()]
    if chosen.only == "apps":
        return finish(many, chosen.json)
    need = IDLE + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < need:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (need, need))
        except (ValueError, PermissionError):
            raise SystemExit(f"bench/run connections needs {need} open files a process, and {hard} are allowed here (ulimit -Hn)") from None
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
    with tempfile.TemporaryDirectory(prefix="hasp-bench.") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        servers = Servers(folder, f"[web]\nkeepalive_s = {KEEP_S}\n")
        try:
            print(f"hasp on core {SERVER_CORE}, generator and backend on core {LOAD_CORE}", flush=True)
            figures = []
            if chosen.only != "reuse":
                figures += measure(folder, servers.hasp(), "idle_plain", 60.0, chosen.rounds)
                figures += measure(folder, servers.hasp(tls=True), "idle_tls", 200.0, chosen.rounds)
            if chosen.only != "idle":
                port = free_port()
                figures += measure_reuse(folder, servers.looped_hasp(LOOPS, port), port, chosen.rounds)
            return finish(figures + many, chosen.json)
        finally:
            servers.close()


if __name__ == "__main__":
    sys.exit(main())
