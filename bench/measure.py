"""Measuring: processor time of process trees, what others took of a core, medians and the JSON of bench/run."""
import json
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness.memory import descendants_of  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
OTHERS_PCT_MAX = 10.0


def tree_cpu_s(root: int) -> float:
    """utime + stime of a process and all below it, those that ended and were waited for included."""
    total = 0
    for pid in [root, *descendants_of(root)]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(f) for f in fields[11:15])
    return total / TICKS


def core_busy_s(core: int) -> float:
    """Time the core was not idle; steal counts, interrupts of the network stack do not (they are the measured side's own)."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _wait, irq, _soft, steal = (int(x) for x in line.split()[1:9])
            return (user + nice + system + irq + steal) / TICKS
    raise ValueError(f"there is no core {core}")


class Figure:
    """One figure: values of hasp and of the peer by round. sense: "min" when less is better."""

    def __init__(self, name: str, unit: str, sense: str, limit, peer: str = "", by_interval: bool = False):
        """by_interval: the limit holds if the interval of the ratio reaches it (for what varies by its nature, like p99)."""
        self.name, self.unit, self.sense, self.limit, self.peer = name, unit, sense, limit, peer
        self.by_interval = by_interval
        self.ours, self.theirs = [], []

    def add(self, ours, theirs=None):
        self.ours.append(ours)
        if theirs is not None:
            self.theirs.append(theirs)

    @property
    def value(self):
        return statistics.median(self.ours)

    @property
    def peer_value(self):
        return statistics.median(self.theirs) if self.theirs else None

    @property
    def ratio(self):
        """Above 1 always means that hasp is better; None without a peer."""
        if not self.theirs:
            return None
        return self.peer_value / self.value if self.sense == "min" else self.value / self.peer_value

    @property
    def rounds(self) -> list:
        """The ratio of each round. Of five rounds or more, their range is an interval of 94 % or more for the median."""
        return [t / o if self.sense == "min" else o / t for o, t in zip(self.ours, self.theirs)]

    def misses(self) -> bool:
        """Against a peer the ratio must reach the limit; alone, the value must keep to its side of it."""
        if self.peer:
            return (max(self.rounds) if self.by_interval else self.ratio) < self.limit
        return self.value > self.limit if self.sense == "min" else self.value < self.limit

    def as_json(self) -> dict:
        return {"name": self.name, "value": round(self.value, 4), "unit": self.unit, "sense": self.sense,
                "limit": self.limit, "peer": self.peer or None,
                "peer_value": round(self.peer_value, 4) if self.theirs else None,
                "ratio": round(self.ratio, 4) if self.theirs else None}

    def row(self) -> str:
        def spread(values):
            return f"{statistics.median(values):9.2f} ({min(values):.2f} to {max(values):.2f})" if values else "-"
        ratio = f"{self.ratio:6.2f}" if self.ratio else "     -"
        if self.theirs:
            ratio += f" ({min(self.rounds):.2f} to {max(self.rounds):.2f})"
        limit = f" limit {self.limit}" if self.limit is not None else ""
        return f"{self.name:16} {self.unit:12} hasp {spread(self.ours):32} {self.peer or '-':6} {spread(self.theirs):32} ratio {ratio}{limit}"


def finish(figures: list, file: str) -> int:
    """Prints the table, writes the JSON; 1 when a figure has a limit and misses it."""
    print()
    missed = []
    for figure in figures:
        print(figure.row())
        if figure.limit is not None and figure.misses():
            missed.append(figure.name)
    if file:
        Path(file).write_text(json.dumps({"figures": [f.as_json() for f in figures]}, indent=1) + "\n")
    for name in missed:
        print(f"{name} misses its limit")
    return 1 if missed else 0
