"""bench/run connections: what 10,000 idle connections of users cost, and what the others notice of them. bench/README.md has the method."""
import argparse
import os
import resource
import socket
import ssl
import sys
import tempfile
import threading
from pathlib import Path

from compare import BROWSER_HEADERS, LOAD_CORE, SERVER_CORE
from measure import Figure, finish
from peers import load
from servers import Servers

from harness.memory import pss_kb, tree_of  # found by measure.py's path

IDLE = 10_000
OPENERS = 4
KEEP_S = 3_000  # longer than the whole measurement: nobody is closed for being idle
OTHERS_CONNECTIONS, OTHERS_COUNT, OTHERS_RATE = 32, 40_000, 10_000.0


def pss_mb(root: int) -> float:
    return sum(map(pss_kb, tree_of(root))) / 1024


class Idle:
    """Connections that have had one answer each and stay open."""

    def __init__(self, place, count: int):
        self.place, self.count, self.sockets, self.trouble = place, count, [], []
        self.context = ssl.create_default_context(cafile=place.ca) if place.ca else None
        self.lock = threading.Lock()

    def _open(self, count: int) -> None:
        request = (f"GET /apps/bench/page?id=17 HTTP/1.1\r\nHost: localhost:{self.place.port}\r\n"
                   f"Cookie: {self.place.cookie}\r\n\r\n").encode()
        mine = []
        try:
            for _ in range(count):
                one = socket.create_connection(("127.0.0.1", self.place.port), timeout=30)
                if self.context:
                    one = self.context.wrap_socket(one, server_hostname="localhost")
                one.sendall(request)
                answer = b""
                while len(answer.partition(b"\r\n\r\n")[2]) < 1024:
                    piece = one.recv(65536)
                    if not piece:
                        raise ConnectionError("closed before the answer came")
                    answer += piece
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise ConnectionError(answer[:200].decode("latin-1"))
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run connections")
    parser.add_argument("--json", default="", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
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
            figures = measure(folder, servers.hasp(), "idle_plain", 60.0, chosen.rounds)
            figures += measure(folder, servers.hasp(tls=True), "idle_tls", 200.0, chosen.rounds)
            return finish(figures, chosen.json)
        finally:
            servers.close()


if __name__ == "__main__":
    sys.exit(main())
