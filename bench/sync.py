"""bench/run sync: what files cost on their way to the center, against rsync, Unison and Syncthing. bench/README.md has the method."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Figure
from page import Line
import sync_saves
from sync_hasp import Hasp, settle
from sync_others import Syncthing, Unison
from sync_rsync import Rsync, told, variants
from sync_table import show
from sync_workloads import MANY_FILES, NAMES, SEED, workload
from sync_texts import Sources

ALONE = "HASP_BENCH_SYNC_ALONE"
WAN = (20_000_000, 50)  # bits a second, ms each way
# While trees are made. As far away: TCP (BBR) holds the shortest round trip of the last ten seconds for the line's.
WIDE = (2_000_000_000, 50)
QUEUE_KB = 1500
MEMORY_MB_MAX = 34  # 32 and 2 for one stream
# What hasp may take of rsync's best: bytes, CPU, wall.
LIMITS = {"edit100": (0.10, 0.5, 0.3), "none": (0.001, 0.1, 0.15), "one": (0.001, 0.1, 0.15), "sqlite": (0.10, 1.0, 0.5), "append": (0.80, 1.0, 0.7),
          "insert": (0.05, 1.0, 0.3), "rename": (0.001, 0.1, 0.1), "move": (0.001, 0.1, 0.1), "first": (1.0, 1.0, 1.0), "office": (0.30, 2.0, 0.5),
          "mailbox": (0.30, 1.0, 0.4), "csv": (0.30, 1.0, 0.4)}
# rsync finds nothing to compare a file with in these, so its block size can change nothing.
WITHOUT_BASIS = ("none", "rename", "move", "first")
WITH_OTHERS = ("none", "one")
WITH_MEMORY = ("sqlite", "insert", "first")
FIGURES = (("bytes", "bytes"), ("cpu", "s"), ("wall", "s"))
USER = "anna"
EXTRAS = ("saves", "growth")
GROWTH = (10_000, 100_000, 1_000_000)


class Bench:
    def __init__(self, line: Line, folder: Path, chosen):
        self.line, self.folder, self.chosen = line, folder, chosen
        self.sources = Sources(SEED)
        self.figures, self.rows = [], []

    def say(self, text: str) -> None:
        print(("QUICK " if self.chosen.quick else "") + text, flush=True)

    def figure(self, name: str, unit: str, limit=None, peer: str = "") -> Figure:
        figure = Figure(name, unit, "min", None if self.chosen.quick or self.chosen.perf else limit, peer)
        self.figures.append(figure)
        return figure

    def hasp(self) -> Hasp:
        self.line.become(*WIDE)
        return Hasp(self.line, self.chosen.perf)

    def rsync_round(self, rsync: Rsync, name: str, number: int, kept: dict, label: str = "") -> dict:
        """All variants in the first round; after that those that were the best in a figure. The best of each figure, and its variant."""
        first = not kept
        runs = variants(name not in WITHOUT_BASIS and not label) if first or self.chosen.all_variants else sorted(set(kept.values()))
        seen = {}
        for variant in runs:
            one = seen[variant] = rsync.measure(variant, contents=number == 1 and variant == runs[0])
            self.say(f"{name} round {number}: rsync, {told(variant):28} {one.bytes:11} bytes {one.cpu:7.3f} s CPU {one.wall:7.2f} s wall")
        best = {key: min(seen, key=lambda v, k=key: getattr(seen[v], k)) for key, _ in FIGURES}
        if first:
            kept.update(best)
        if number == 1 and name not in ("none", "rename"):
            one = rsync.measure(best["wall"], fsync=True, contents=False)
            self.say(f"{name} round {number}: rsync with --fsync (not in the figures), {told(best['wall'])}: {one.cpu:.3f} s CPU {one.wall:.2f} s wall")
        return {key: (getattr(seen[best[key]], key), best[key]) for key, _ in FIGURES}

    def hasp_round(self, hasp: Hasp, name: str, number: int, user: str, change, figures: dict) -> None:
        one = hasp.round(user, change)
        parts = ", ".join(f"{part} {seconds:.3f}" for part, seconds in sorted(one.parts.items(), key=lambda p: -p[1]) if seconds >= 0.002)
        peaks = ", ".join(f"{part} {mb:.0f}" for part, mb in sorted(one.peak.items(), key=lambda p: -p[1])[:3])
        self.say(f"{name} round {number}: hasp {one.bytes:41} bytes {one.cpu:7.3f} s CPU {one.wall:7.2f} s wall; CPU of {parts}; peak MB of {peaks}")
        for key, _ in FIGURES:
            figures[key].ours.append(getattr(one, key))
        if "memory" in figures:
            figures["memory"].add(max(one.peak.values()))

    def pair(self, names: list, files: int = 0, label: str = "", rounds: int = 0) -> None:
        """Workloads on one tree, in rounds of hasp and rsync in turn."""
        scale = 0.1 if self.chosen.quick else 1.0
        rounds = rounds or self.chosen.rounds
        begun = time.monotonic()
        made = {name: workload(name, self.sources, scale, files) for name in names}
        first = made[names[0]]
        if self.chosen.perf:
            rounds = 1
        hasp, rsync, others = self.hasp(), Rsync(self.line, self.folder / "rsync"), []
        try:
            user = USER
            settle(hasp, user, first.make)
            count = hasp.verify(user)
            rsync.settle(first.make)
            self.say(f"{', '.join(names)}{label}: {first.told()}; {count} entries at both ends after {time.monotonic() - begun:.0f} s")
            if names[0] in WITH_OTHERS and files <= MANY_FILES:
                others = [kind(self.line, self.folder / kind.name, rsync.here) for kind in (Unison, Syncthing)]
            self.line.become(*WAN)
            at = 0
            for name in names:
                limits = (None,) * 3 if label else LIMITS[name]
                figures = {key: self.figure(f"{name}{label}_{key}", unit, limit and 1 / limit, "rsync")
                           for (key, unit), limit in zip(FIGURES, limits)}
                if name in WITH_MEMORY:
                    figures["memory"] = self.figure(f"{name}{label}_memory", "MB", MEMORY_MB_MAX)
                shown = {other.name: {key: self.figure(f"{name}{label}_{key}_{other.name}", unit, None, other.name) for key, unit in FIGURES} for other in others}
                self.rows.append((name + label, figures, limits, shown))
                kept = {}
                for number in range(1, rounds + 1):
                    at += 1
                    if name == "first":
                        user = f"{USER}{number}"
                        self.line.become(*WIDE)
                        hasp.arrive(user)
                        self.line.become(*WAN)
                        rsync.begin_anew()

                    def change(root, number=at, name=name):
                        return made[name].change(root, number)

                    def ours(number=number, name=name, user=user, change=change, figures=figures):
                        self.hasp_round(hasp, name, number, user, change, figures)
                        if name != "none" or number == 1:
                            self.line.become(*WIDE)
                            hasp.verify(user)
                            self.line.become(*WAN)

                    if number % 2:
                        ours()
                    rsync.change(change)
                    best = self.rsync_round(rsync, name, number, kept, label)
                    rsync.agree()
                    if not number % 2:
                        ours()
                    for other in others:
                        one = other.measure(change)
                        self.say(f"{name} round {number}: {other.name:34} {one.bytes:12} bytes {one.cpu:7.3f} s CPU {one.wall:7.2f} s wall")
                        for key, _ in FIGURES:
                            shown[other.name][key].add(figures[key].ours[-1], getattr(one, key))
                    for key, _ in FIGURES:
                        figures[key].theirs.append(best[key][0])
                        figures[key].variant = told(best[key][1])
        finally:
            trouble = hasp.close()
            for peer in (rsync, *others):
                peer.close()
        if trouble:
            raise SystemExit("bench/run sync: " + "\n".join(trouble))
        self.say(f"{', '.join(names)}{label}: {time.monotonic() - begun:.0f} s in all")

    def acts(self, names: list):
        """What is to be done, and its name."""
        size = self.chosen.size
        for group in groups(names):
            if group == ["saves"]:
                made = workload("one", self.sources, 0.1 if self.chosen.quick else 1.0, size)
                yield (lambda made=made: sync_saves.measure(self, made)), "saves"
            elif group == ["growth"]:
                for files in [size] if size else GROWTH:
                    yield (lambda files=files: self.pair(["none", "one"], files, f"@{files}", 1)), f"growth@{files}"
            else:
                yield (lambda group=group: self.pair(group, size, f"@{size}" if size else "")), ", ".join(group)

    def forget_unfinished(self) -> None:
        self.figures = [f for f in self.figures if f.ours and (not f.peer or f.theirs)]
        kept = {id(f) for f in self.figures}
        self.rows = [row for row in self.rows if all(id(f) in kept for f in row[1].values())]


def groups(names: list) -> list:
    """none and one share their tree."""
    out, many = [], [name for name in names if name in ("none", "one")]
    for name in names:
        if name not in many:
            out.append([name])
        elif name == many[0]:
            out.append(many)
    return out


def measure(line: Line, folder: Path, chosen, names: list) -> int:
    bench = Bench(line, folder, chosen)
    kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", folder], capture_output=True, text=True, check=True).stdout.strip()
    if kind.startswith("tmpfs"):
        raise SystemExit(f"bench/run sync: {folder} is in memory, where nothing is durable. Give a folder on a disk: TMPDIR=/var/tmp bench/run sync")
    version = subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    bench.say(f"rsync {version}; files on {kind} below {folder}; {WAN[0] / 1e6:g} Mbit/s and {2 * WAN[1]} ms there and back")
    failed = {}
    for act, group in bench.acts(names):
        try:
            act()
        except (SystemExit, AssertionError, OSError) as error:
            # The others are measured all the same; what failed has no figure, and the end says so.
            failed[group] = str(error)
            bench.say(f"{group}: FAILED: {error}")
            bench.forget_unfinished()
    show(bench.rows, chosen.quick)
    in_rows = {id(figure) for _, figures, _, shown in bench.rows for figure in [*figures.values(), *(f for s in shown.values() for f in s.values())]}
    for figure in bench.figures:
        if id(figure) not in in_rows:
            print(figure.row())
    missed = [figure.name for figure in bench.figures if figure.limit is not None and figure.misses()]
    if chosen.json:
        Path(chosen.json).write_text(json.dumps({"quick": chosen.quick, "rounds": chosen.rounds, "failed": failed, "figures": [f.as_json() for f in bench.figures]}, indent=1) + "\n")
    for name in missed:
        print(f"{name} misses its limit")
    for group, why in failed.items():
        print(f"{group} FAILED: {why}")
    return 1 if missed or failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run sync", description=__doc__)
    parser.add_argument("--json", default="", metavar="FILE", help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="NAME,…", help=f"these alone, of {', '.join(NAMES + EXTRAS)}")
    parser.add_argument("--size", type=int, default=0, metavar="N", help="files of none, one, saves and growth; no limits then, and rsync's default block size alone")
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes, to try the bench itself; such figures are nobody's")
    parser.add_argument("--all-variants", action="store_true", help="all variants of rsync in every round, not in the first alone")
    parser.add_argument("--perf", default="", metavar="FOLDER", help="let perf sample hasp's processes during rounds, which costs time: no figures")
    chosen = parser.parse_args()
    names = [name for name in chosen.only.split(",") if name] or (["none", "one"] if chosen.size else [*NAMES, "saves"])
    for name in names:
        if name not in NAMES + EXTRAS:
            parser.error(f"there is no workload '{name}'. There are: {', '.join(NAMES + EXTRAS)}")
    if ALONE not in os.environ:
        # A network in which nothing else passes.
        return subprocess.run(["unshare", "--net", sys.executable, "-B", *sys.argv], env={**os.environ, ALONE: "1"}, check=False).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    line = Line(QUEUE_KB, *WAN)
    try:
        with tempfile.TemporaryDirectory(prefix="hasp-bench.") as folder:
            return measure(line, Path(folder), chosen, names)
    finally:
        line.close()


if __name__ == "__main__":
    sys.exit(main())
