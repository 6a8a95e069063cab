"""Crashes of a real process at each call that makes something durable, by strace.

A point is (where, kind, n): the n-th call of that kind in that thread, which is killed as it enters the call. strace counts calls by
thread, so each attachment names the threads that it means. A dry run, without a kill, counts the points of a flow.
"""
import os
import re
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .memory import alive
from .waiting import until

KINDS = ("fsync", "fdatasync", "syncfs", "rename", "renameat", "renameat2")
CALL = re.compile(r"^(\d+) +(%s)\(" % "|".join(KINDS))


@dataclass(frozen=True, order=True)
class Point:
    flow: str
    where: str  # "main", "workers" or "command"
    kind: str
    n: int

    def __str__(self):
        return f"{self.flow}: {self.where}, {self.kind} {self.n}"


def threads_of(pid: int) -> list:
    return sorted(int(t) for t in os.listdir(f"/proc/{pid}/task"))


def thread_groups(pid: int) -> dict:
    return {"main": [pid], "workers": [t for t in threads_of(pid) if t != pid]}


def strace_words(log, point=None) -> list:
    words = ["strace", "-qq", "-o", str(log), "-e", "trace=" + ",".join(KINDS), "-e", "signal=none"]
    if point:
        words += ["-e", f"inject={point.kind}:signal=SIGKILL:when={point.n}"]
    return words


class Attached:
    """strace on running threads, with or without a kill at `point`. Leaves them running at the end."""

    def __init__(self, folder: Path, threads, point=None, children: bool = False):
        self.log = folder / "strace.log"
        self.log.unlink(missing_ok=True)
        words = strace_words(self.log, point) + (["-f"] if children else [])
        for thread in threads:
            words += ["-p", str(thread)]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            until(lambda: all(self._traced(t) for t in threads), "strace is attached", 10)
        except AssertionError:
            self.close()
            raise

    def _traced(self, thread: int) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError("strace ended: " + self.process.stderr.read().decode(errors="replace"))
        status = Path(f"/proc/{thread}/status").read_text()
        return f"TracerPid:\t{self.process.pid}\n" in status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # it lets go of what it traces
        self.process.wait(10)
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def counted(log: Path) -> dict:
    """thread → how many calls of each kind"""
    found = {}
    for line in log.read_text(errors="replace").splitlines():
        call = CALL.match(line)
        if call:
            found.setdefault(int(call[1]), Counter())[call[2]] += 1
    return found


def points_of(flow: str, where: str, counts) -> list:
    return [Point(flow, where, kind, n) for kind in KINDS for n in range(1, counts[kind] + 1)]


def sample(points: list, wanted) -> list:
    """Every so many of them, so that each flow and kind has its share; all with "all"."""
    points = sorted(points)
    if wanted == "all" or int(wanted) >= len(points):
        return points
    wanted = int(wanted)
    return [points[i * len(points) // wanted] for i in range(wanted)]


class Trials:
    """The points to try, in turn: a sample and, for each of it that was not reached, one more, up to twice the sample.

    What a thread does differs from time to time by a report more or less, and so does which of the workers does it.
    """

    def __init__(self, points: list, wanted):
        self.all = len(points)
        self.left = sample(points, wanted)
        self.spare = sorted(set(points) - set(self.left))
        self.limit = 2 * len(self.left)
        self.tried = 0
        self.missed = []

    def __iter__(self):
        while self.left:
            self.tried += 1
            yield self.left.pop(0)

    def miss(self, point: Point) -> None:
        self.missed.append(point)
        if self.spare and self.tried + len(self.left) < self.limit:
            # The first calls of their kind are the likeliest to come again.
            other = min(self.spare, key=lambda p: ((p.where, p.kind) != (point.where, point.kind), p.n))
            self.spare.remove(other)
            self.left.append(other)


def may_trace() -> str:
    """Empty, or why strace cannot be used here."""
    try:
        subprocess.run(["strace", "-o", "/dev/null", "true"], check=True, capture_output=True, timeout=20)
        return ""
    except FileNotFoundError:
        return "strace is not installed"
    except subprocess.CalledProcessError as error:
        return "strace may not trace here: " + error.stderr.decode(errors="replace").strip()


class Stopped:
    """A process that is held still by SIGSTOP meanwhile, so that it starts nothing again."""

    def __init__(self, pid: int):
        self.pid = pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        if alive(self.pid):
            os.kill(self.pid, signal.SIGCONT)
