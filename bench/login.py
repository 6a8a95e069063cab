"""bench/run login: how long a user who comes to another tier waits for his app, and for a file. bench/README.md has the method."""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Figure, finish
from page import Line
from sync_hasp import APP, LINK, PASSWORD, Hasp
from sync_measure import as_owner, must_be_equal
from sync_rsync import Rsync, told, variants
from harness.waiting import until

RATE, DELAY_MS, QUEUE_KB = 20_000_000, 50, 1500
WIDE = (2_000_000_000, 50)
ALONE = "HASP_BENCH_ALONE"
MODES = {"off": False, "on": True}
USER = "anna"
READ_BYTES = 1 << 20


def make(root: Path, megabytes: int) -> None:
    """A user's folder, a day's files a folder: notes, letters and photographs, none of which compresses."""
    chance = random.Random(7)
    left, day = megabytes << 20, 0
    while left > 0:
        day += 1
        folder = root / f"day-{day:04}"
        folder.mkdir()
        for name, size in [*((f"note-{n}.txt", chance.randint(200, 8_000)) for n in range(10)),
                           ("letter.odt", chance.randint(20_000, 200_000)),
                           *((f"photo-{n}.jpg", chance.randint(1_500_000, 5_000_000)) for n in range(3))]:
            file = folder / name
            file.write_bytes(chance.randbytes(size))
            os.utime(file, (1_700_000_000 + 86_400 * day, 1_700_000_000 + 86_400 * day))
            left -= size


def read_s(file: Path) -> float:
    begun = time.monotonic()
    with open(file, "rb") as content:
        while content.read(READ_BYTES):
            pass
    return time.monotonic() - begun


class Arrival:
    """One log-in at a tier that never saw the user."""

    def __init__(self, line, megabytes: int, on_demand: bool):
        self.line = line
        self.line.become(*WIDE)
        self.hasp = Hasp(line)
        try:
            self._measure(megabytes, on_demand)
        finally:
            trouble = self.hasp.close()
        if trouble:
            raise SystemExit("bench/run login: " + "\n".join(trouble))

    def _measure(self, megabytes: int, on_demand: bool) -> None:
        hasp = self.hasp
        hasp.center.user_add(USER, PASSWORD, apps=[APP])
        with self.line.beyond():
            hasp.other.start()
            hasp.other.wait_link()
            assert hasp.other.browser().log_in(USER, PASSWORD).status == 200
            there = hasp.folder(hasp.other, USER)
            until(there.exists, "the user's folder is there", 30)
            as_owner(there, lambda: make(there, megabytes))
            photographs = sorted(p.relative_to(there) for p in there.rglob("*.jpg"))
            hasp.other.run("sync", "--wait", "--user", USER, "--app", APP, timeout=600)
            hasp.other.stop(60)
        hasp.local.stop()
        hasp.local.write_config(LINK + f"[files]\non_demand = {str(on_demand).lower()}\n")
        hasp.local.start()
        hasp.local.wait_link()
        self.line.become(RATE, DELAY_MS)
        self.line.passed()
        begun = time.monotonic()
        browser = hasp.local.browser()
        assert browser.log_in(USER, PASSWORD).status == 200
        until(lambda: browser.get(f"/apps/{APP}/").body == b"up\n", "the user's app answers", 3600)
        self.app_s = time.monotonic() - begun
        here = hasp.folder(hasp.local, USER)
        listed = sorted(p.relative_to(here) for p in here.rglob("*.jpg"))
        if listed != photographs:
            raise SystemExit(f"bench/run login: {len(listed)} of {len(photographs)} photographs are listed when the app answers")
        to_come = [p for p in listed if (here / p).stat().st_blocks * 512 < 65_536]
        self.open_s = read_s(here / (to_come or listed)[0])  # the oldest, which comes last by itself
        hasp.local.run("sync", "--wait", "--user", USER, "--app", APP, timeout=3600)
        self.all_s = time.monotonic() - begun
        self.bytes = self.line.passed()["payload"]
        must_be_equal(there, here, f"a log-in with on_demand {on_demand}")


def measure(line: Line, folder: Path, chosen) -> int:
    app = Figure("login_app", "s", "min", None if chosen.quick else 10.0, "rsync")
    opened = Figure("login_open", "s", "min", None)
    whole = Figure("login_all", "s", "min", None if chosen.quick else 0.9, "rsync")
    passed = Figure("login_bytes", "bytes", "min", None, "rsync")
    off = Figure("login_app_off", "s", "min", None, "rsync")
    off_all = Figure("login_all_off", "s", "min", None, "rsync")
    rsync = Rsync(line, folder / "rsync")
    line.become(*WIDE)
    make(rsync.here, chosen.mb)
    for number in range(1, chosen.rounds + 1):
        line.become(RATE, DELAY_MS)
        peer = rsync.measure(variants(False)[0])
        print(f"round {number}: rsync ({told(variants(False)[0])}) {peer.wall:8.2f} s {peer.bytes:12} bytes", flush=True)
        for mode, on_demand in MODES.items():
            one = Arrival(line, chosen.mb, on_demand)
            print(f"round {number}: on_demand {mode:3} app after {one.app_s:8.2f} s, the oldest file {one.open_s:6.2f} s later, all after "
                  f"{one.all_s:8.2f} s, {one.bytes:12} bytes", flush=True)
            (app if on_demand else off).add(one.app_s, peer.wall)
            (whole if on_demand else off_all).add(one.all_s, peer.wall)
            if on_demand:
                opened.add(one.open_s)
                passed.add(one.bytes, peer.bytes)
    rsync.close()
    return finish([app, opened, whole, passed, off, off_all], chosen.json)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run login", description=__doc__)
    parser.add_argument("--json", default="", metavar="FILE", help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--mb", type=int, default=1000, help="of files that the user has")
    parser.add_argument("--quick", action="store_true", help="50 MB, without limits, to try the bench itself")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.mb = 50
    if ALONE not in os.environ:
        # A network in which nothing else passes.
        return subprocess.run(["unshare", "--net", sys.executable, "-B", *sys.argv], env={**os.environ, ALONE: "1"}, check=False).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    line = Line(QUEUE_KB, RATE, DELAY_MS)
    try:
        with tempfile.TemporaryDirectory(prefix="hasp-bench.") as folder:
            return measure(line, Path(folder), chosen)
    finally:
        line.close()


if __name__ == "__main__":
    sys.exit(main())
