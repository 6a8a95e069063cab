"""bench/run passon: processor time per request that is passed on, hasp against nginx. bench/README.md has the method."""
import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from measure import OTHERS_PCT_MAX, Figure, core_busy_s, finish, tree_cpu_s
from peers import BackendProcess, Nginx, load, nginx_version

from harness.tree import Tree, free_port  # found by measure.py's path

SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 32
BODY_BYTES = 1024
RATE_OF_PEERS_FULL_SPEED = 0.7
ROUNDS_DISCARDED_MAX = 20

BROWSER_HEADERS = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,ja;q=0.8", "Accept-Encoding: gzip, deflate, br", "Cache-Control: max-age=0",
    "Upgrade-Insecure-Requests: 1", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
    "DNT: 1"]


class Side:
    """hasp or nginx: where it listens, what is sent to it, and the process whose tree is measured."""

    def __init__(self, name, port, pid, request):
        self.name, self.port, self.pid, self.request = name, port, pid, request

    def round(self, count, rate):
        begin, own, busy = time.monotonic(), tree_cpu_s(self.pid), core_busy_s(SERVER_CORE)
        seen = load(self.port, CONNECTIONS, count, rate, self.request, LOAD_CORE)
        own, busy = tree_cpu_s(self.pid) - own, core_busy_s(SERVER_CORE) - busy
        seconds = time.monotonic() - begin
        seen["cpu_us"] = own * 1e6 / count
        seen["others_pct"] = max(0.0, busy - own) / seconds * 100.0
        return seen


def request_file(folder: Path, name: str, host: str, cookie: str) -> Path:
    file = folder / f"{name}.request"
    lines = ["GET /apps/bench/page?id=17 HTTP/1.1", f"Host: {host}", *BROWSER_HEADERS, f"Cookie: {cookie}"]
    file.write_bytes(("\r\n".join(lines) + "\r\n\r\n").encode())
    return file


def compare(title, sides, rounds, count, rate, figures, quiet_wanted):
    """ABBA: each round measures ours, theirs, theirs, ours, and counts the two means. Rounds that others disturbed go."""
    ours, theirs = sides
    kept = discarded = 0
    while kept < rounds:
        seen = [side.round(count, rate) for side in (ours, theirs, theirs, ours)]
        others = max(s["others_pct"] for s in seen)
        mean = {key: ((seen[0][key] + seen[3][key]) / 2, (seen[1][key] + seen[2][key]) / 2)
                for key in ("cpu_us", "rps", "p50_us", "p99_us", "idle_pct")}
        verdict = ""
        if others > OTHERS_PCT_MAX and quiet_wanted:
            discarded += 1
            verdict = "  discarded: others took part of the core"
            if discarded > ROUNDS_DISCARDED_MAX:
                raise SystemExit(f"{discarded} rounds were disturbed: this machine is too busy to measure on")
        else:
            kept += 1
            for figure, key in figures:
                figure.add(*mean[key])
        print(f"{title} round {kept}: " + ", ".join(
            f"{side.name} {mean['cpu_us'][i]:.2f} us {mean['rps'][i]:.0f}/s p50 {mean['p50_us'][i]:.0f} p99 {mean['p99_us'][i]:.0f} us "
            f"generator idle {mean['idle_pct'][i]:.0f} %" for i, side in enumerate(sides)) + f", others {others:.1f} %{verdict}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run passon")
    parser.add_argument("--json", default="", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=100000, help="of each measurement")
    parser.add_argument("--any-noise", action="store_true", help="keep rounds that others disturbed (to try the bench itself)")
    parser.add_argument("--peer-only", action="store_true", help="nginx against bare nginx (to try the bench itself)")
    chosen = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("bench/run passon needs two cores: one for the server, one for the generator and the backend")

    with tempfile.TemporaryDirectory(prefix="hasp-bench.") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        backend = BackendProcess(free_port(), BODY_BYTES, LOAD_CORE)
        nginx = Nginx(folder / "nginx", free_port(), backend.port, SERVER_CORE)
        bare = Nginx(folder / "bare", free_port(), backend.port, SERVER_CORE, duties=False)
        tree = None
        try:
            cookie = "session=0123456789abcdef0123456789abcdef0123456789a"
            if not chosen.peer_only:
                os.sched_setaffinity(0, {SERVER_CORE})  # inherited by the tiers that are started now
                tree = Tree(["center"], gates=False)
                os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
                tree.top.upstream_app("bench", f"http://127.0.0.1:{backend.port}")
                tree.top.user_add("reception", "sakura-2001", "Reception", groups=["desk"], apps=["bench"])
                browser = tree.top.browser()
                browser.log_in("reception", "sakura-2001")
                assert browser.get("/apps/bench/page?id=17").status == 200, "the app is not reached"
                cookie = "; ".join(f"{k}={v}" for k, v in browser.cookies["localhost"].items())
                ours = Side("hasp", tree.top.web_port, tree.top.process.pid,
                            request_file(folder, "hasp", f"localhost:{tree.top.web_port}", cookie))
            peer_request = request_file(folder, "nginx", f"localhost:{nginx.port}", cookie)
            theirs = Side("nginx", nginx.port, nginx.pid, peer_request)
            plainest = Side("bare nginx", bare.port, bare.pid, request_file(folder, "bare", f"localhost:{bare.port}", cookie))
            if chosen.peer_only:
                ours = plainest

            full = load(theirs.port, CONNECTIONS, chosen.requests, 0, peer_request, LOAD_CORE)
            load(ours.port, CONNECTIONS, chosen.requests, 0, ours.request, LOAD_CORE)
            rate = full["rps"] * RATE_OF_PEERS_FULL_SPEED
            print(f"nginx {nginx_version()}, server on core {SERVER_CORE}, generator and backend on core {LOAD_CORE}; "
                  f"{CONNECTIONS} connections, {chosen.requests} requests a measurement, fixed rate {rate:.0f}/s", flush=True)
            plain = Figure("plain_c32", "cpu_us/req", "min", 1.0, "nginx")
            plain_full = Figure("plain_c32_full", "cpu_us/req", "min", None, "nginx")
            rps = Figure("rps_c32_full", "req/s", "max", None, "nginx")
            p99 = Figure("p99_c32", "us", "min", None, "nginx")
            quiet = not chosen.any_noise
            compare("fixed rate", (ours, theirs), chosen.rounds, chosen.requests, rate, [(plain, "cpu_us"), (p99, "p99_us")], quiet)
            compare("full speed", (ours, theirs), chosen.rounds, chosen.requests, 0, [(plain_full, "cpu_us"), (rps, "rps")], quiet)
            if not chosen.peer_only:
                alone = Figure("bare_nginx_c32", "cpu_us/req", "min", None, "bare")
                compare("no log, no auth", (ours, plainest), 3, chosen.requests, rate, [(alone, "cpu_us")], quiet)
                return finish([plain, plain_full, rps, p99, alone], chosen.json)
            return finish([plain, plain_full, rps, p99], chosen.json)
        finally:
            if tree is not None:
                for line in tree.close():
                    print(line, file=sys.stderr)
            for process in (bare, nginx, backend):
                process.close()


if __name__ == "__main__":
    sys.exit(main())
