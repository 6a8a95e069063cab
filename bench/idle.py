"""bench/run idle: what the link of a site costs that nobody uses. bench/README.md has the method."""
import argparse
import os
import subprocess
import sys
import time

from measure import ROOT, Figure, finish

sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness.tree import Tree  # noqa: E402
from harness.waiting import until  # noqa: E402

ALONE = "HASP_BENCH_IDLE_ALONE"
MONTH_S = 30 * 24 * 3600
SETTLE_S = 300  # the link has just been used: its heartbeats come often for a while
ACCOUNTS = 20


def wire_bytes() -> int:
    """Bytes that the loopback of this network namespace carried, with the headers of IP and TCP."""
    with open("/proc/self/net/dev", encoding="ascii") as lines:
        for line in lines:
            name, _, counters = line.partition(":")
            if name.strip() == "lo":
                return int(counters.split()[0])
    raise SystemExit("bench/run idle: there is no loopback here")


def pass_s(seconds: float) -> None:
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, "the time has passed", seconds + 10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=4, help="of one round; a heartbeat each two minutes")
    chosen = parser.parse_args()
    if ALONE not in os.environ:
        # A loopback that carries nothing else.
        return subprocess.run(["unshare", "--net", sys.executable, "-B", *sys.argv], env={**os.environ, ALONE: "1"}, check=False).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    wire = Figure("idle_mb_month", "MB/month", "min", 10)
    payload = Figure("idle_tls_mb_month", "MB/month", "min", None)
    # As a site has it: the values that the harness makes short for tests are the defaults here.
    with Tree(["center", "tokyo"], config="[link]\nheartbeat_s = 15\nreconnect_s_max = 60\n") as tree:
        center, tokyo = tree["center"], tree["tokyo"]
        app = tree.folder / "leaflets"
        app.mkdir()
        (app / "hasp-app.toml").write_text('[app]\nname = "leaflets"\ntitle = "Leaflets"\nkind = "static"\n')
        (app / "index.html").write_text("<h1>Leaflets</h1>\n")
        center.app_add(app, "tokyo")
        tokyo.wait_holds("leaflets", 60)
        for number in range(ACCOUNTS):
            center.user_add(f"user{number}", "sakura-2001", apps=["leaflets"])
        tokyo.browser().log_in("user1", "sakura-2001")
        pass_s(SETTLE_S)
        for number in range(chosen.rounds):
            before = wire_bytes(), tokyo.gate.bytes_passed
            pass_s(60 * chosen.minutes)
            # The gate is a hop of its own: what crosses the link crosses the loopback twice.
            on_wire, passed = (wire_bytes() - before[0]) / 2, tokyo.gate.bytes_passed - before[1]
            month = MONTH_S / (60 * chosen.minutes) / 1e6
            wire.add(on_wire * month)
            payload.add(passed * month)
            print(f"round {number + 1}: {on_wire:.0f} bytes in {chosen.minutes} minutes, {passed} of them TLS", flush=True)
    return finish([wire, payload], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
