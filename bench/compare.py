"""Comparing hasp with a peer at the same fixed rate: processor time per request, ABBA, rounds that others disturbed discarded."""
import argparse
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from measure import OTHERS_PCT_MAX, Figure, core_busy_s, finish, tree_cpu_s
from peers import load, nginx_version

SERVER_CORE, LOAD_CORE = 0, 1
RATE_OF_PEERS_FULL_SPEED = 0.7
ROUNDS_DISCARDED_MAX = 20

BROWSER_HEADERS = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,ja;q=0.8", "Accept-Encoding: gzip, deflate, br", "Cache-Control: max-age=0",
    "Upgrade-Insecure-Requests: 1", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
    "DNT: 1"]


@dataclass
class Place:
    """Where a side is reached: its port, the processes whose time counts, its cookie, and the CA where it speaks TLS."""
    name: str
    port: int
    pids: list
    cookie: str
    ca: Path = None


@dataclass
class Case:
    """One comparison. `figures` are (figure, key of what a round has seen)."""
    name: str
    ours: Place
    theirs: Place
    figures: list
    connections: int = 32
    count: int = 100_000
    target: str = "/apps/bench/page?id=17"
    chunked_bytes: int = 0
    rate_part: float = RATE_OF_PEERS_FULL_SPEED  # of nginx's full speed; 0: full speed
    rounds: int = 0
    rate: float = field(default=0.0)


class Bench:
    def __init__(self, folder: Path, rounds: int, scale: float, quiet: bool):
        self.folder, self.rounds, self.scale, self.quiet = folder, rounds, scale, quiet
        self.full_speed = {}

    def request_file(self, case: Case, place: Place) -> Path:
        file = self.folder / f"{case.name}.{place.name}.request".replace(" ", "-")
        method = "POST" if case.chunked_bytes else "GET"
        lines = [f"{method} {case.target} HTTP/1.1", f"Host: localhost:{place.port}", *BROWSER_HEADERS, f"Cookie: {place.cookie}"]
        body = b""
        if case.chunked_bytes:
            lines += ["Content-Type: application/octet-stream", "Transfer-Encoding: chunked"]
            piece = 4096
            body = (b"%x\r\n" % piece + b"x" * piece + b"\r\n") * (case.chunked_bytes // piece) + b"0\r\n\r\n"
        file.write_bytes(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        return file

    def measure(self, case: Case, place: Place, rate: float, count: int) -> dict:
        request = self.request_file(case, place)
        begin, own, busy = time.monotonic(), sum(map(tree_cpu_s, place.pids)), core_busy_s(SERVER_CORE)
        seen = load(place.port, case.connections, count, rate, request, LOAD_CORE, place.ca)
        own, busy = sum(map(tree_cpu_s, place.pids)) - own, core_busy_s(SERVER_CORE) - busy
        seen["cpu_us"] = own * 1e6 / count
        seen["others_pct"] = max(0.0, busy - own) / (time.monotonic() - begin) * 100.0
        return seen

    def peers_full_speed(self, case: Case, count: int) -> float:
        key = (case.theirs.name, case.connections, case.target, case.chunked_bytes)
        if key not in self.full_speed:
            for place in (case.ours, case.theirs):  # both are warm then
                seen = self.measure(case, place, 0, count)
            self.full_speed[key] = seen["rps"]
        return self.full_speed[key]

    def run(self, case: Case) -> None:
        """ABBA: each round measures ours, theirs, theirs, ours, and counts the two means. Rounds that others disturbed go."""
        count = max(int(case.count * self.scale), 20)
        rounds = case.rounds or self.rounds
        rate = self.peers_full_speed(case, count) * case.rate_part
        kept = discarded = 0
        while kept < rounds:
            seen = [self.measure(case, place, rate, count) for place in (case.ours, case.theirs, case.theirs, case.ours)]
            others = max(s["others_pct"] for s in seen)
            mean = {key: ((seen[0][key] + seen[3][key]) / 2, (seen[1][key] + seen[2][key]) / 2)
                    for key in ("cpu_us", "rps", "p50_us", "p99_us", "idle_pct")}
            verdict = ""
            if others > OTHERS_PCT_MAX and self.quiet:
                discarded += 1
                verdict = "  discarded: others took part of the core"
                if discarded > ROUNDS_DISCARDED_MAX:
                    raise SystemExit(f"{discarded} rounds were disturbed: this machine is too busy to measure on")
            else:
                kept += 1
                for figure, key in case.figures:
                    if key == "above_us":
                        figure.add(mean["cpu_us"][0] - mean["cpu_us"][1])
                    else:
                        figure.add(*mean[key])
            print(f"{case.name} round {kept}, {f'{rate:.0f}/s' if rate else 'full speed'}: " + ", ".join(
                f"{place.name} {mean['cpu_us'][i]:.2f} us {mean['rps'][i]:.0f}/s p50 {mean['p50_us'][i]:.0f} "
                f"p99 {mean['p99_us'][i]:.0f} us generator idle {mean['idle_pct'][i]:.0f} %"
                for i, place in enumerate((case.ours, case.theirs))) + f", others {others:.1f} %{verdict}", flush=True)


def cpu(name: str, limit=None, peer: str = "nginx") -> Figure:
    return Figure(name, "cpu_us/req", "min", limit, peer)


def main_of(name: str, make_servers, cases) -> int:
    """bench/run NAME: cases(servers) is {figure: a function that makes its Case}; what is not chosen is not started."""
    parser = argparse.ArgumentParser(prog=f"bench/run {name}")
    parser.add_argument("--json", default="", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="NAME,…", help="these figures alone")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests (to try the bench itself)")
    parser.add_argument("--any-noise", action="store_true", help="keep rounds that others disturbed (to try the bench itself)")
    chosen = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit(f"bench/run {name} needs two cores: one for the server, one for the generator and the backend")
    with tempfile.TemporaryDirectory(prefix="hasp-bench.") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        servers = make_servers(folder)
        try:
            known = cases(servers)
            names = [n for n in chosen.only.split(",") if n] or list(known)
            for name in names:
                if name not in known:
                    raise SystemExit(f"there is no figure '{name}' here. There are: {', '.join(known)}")
            print(f"nginx {nginx_version()}, server on core {SERVER_CORE}, generator and backend on core {LOAD_CORE}; "
                  f"fixed rates are parts of nginx's full speed ({RATE_OF_PEERS_FULL_SPEED:.0%} unless the name says another)", flush=True)
            bench = Bench(folder, chosen.rounds, chosen.scale, not chosen.any_noise)
            figures = []
            for name in names:
                case = known[name]()
                bench.run(case)
                figures += [figure for figure, _ in case.figures]
            return finish(figures, chosen.json)
        finally:
            servers.close()
