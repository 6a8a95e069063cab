"""bench/run notfound: can the time of a 404 tell an app that one may not use from one that does not exist?

Requests for both, and for a second name that does not exist as the measure of the noise, in random order over one kept-alive
connection of a signed-on user, at depth 1 and 2. Compared are medians; the interval is by bootstrap.
"""
import argparse
import random
import socket
import statistics
import time

from measure import Figure, finish  # also puts the harness on the path
from harness.backend import Backend
from harness.tree import Tree
from harness.waiting import until

ABSENT, CONTROL = "absent-aa", "absent-bb"
RESAMPLES = 400


class Asker:
    """One kept-alive connection that asks for /apps/NAME/x; the time until the whole answer is here, in µs."""

    def __init__(self, port: int, cookie: str):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.cookie, self.port = cookie, port

    def ask(self, name: str) -> float:
        request = f"GET /apps/{name}/x HTTP/1.1\r\nHost: localhost:{self.port}\r\nCookie: {self.cookie}\r\n\r\n".encode()
        begin = time.perf_counter_ns()
        self.socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        took = (time.perf_counter_ns() - begin) / 1000
        assert head.startswith(b"HTTP/1.1 404"), head[:80]
        return took

    def _more(self) -> bytes:
        data = self.socket.recv(65536)
        assert data, "the connection ended"
        return data


def interval(one: list, other: list) -> tuple:
    """95 % of the difference of medians."""
    seed = random.Random(1)
    differences = sorted(statistics.median(seed.choices(one, k=len(one))) - statistics.median(seed.choices(other, k=len(other)))
                         for _ in range(RESAMPLES))
    return differences[int(RESAMPLES * 0.025)], differences[int(RESAMPLES * 0.975)]


def measure(tree, depth: int, names: dict, requests: int) -> list:
    tier = tree.tiers[depth - 1]
    browser = tier.browser()
    until(lambda: browser.log_in("nurse", "kiku-1912").status == 200, "the log-in works")
    for name in names:
        assert browser.get(f"/apps/{name}/x").status == 404, name
    cookie = "; ".join(f"{k}={v}" for k, v in browser.cookies["localhost"].items())
    asker = Asker(tier.web_port, cookie)
    times = {name: [] for name in names}
    order = [name for name in names for _ in range(requests)]
    random.Random(depth).shuffle(order)
    for name in order[:200]:
        asker.ask(name)
    for name in order:
        times[name].append(asker.ask(name))
    print(f"depth {depth}: {requests} requests each")
    figures = []
    absent = times[ABSENT]
    for name, what in names.items():
        quartiles = statistics.quantiles(times[name], n=4)
        low, high = interval(times[name], absent) if name != ABSENT else (0.0, 0.0)
        print(f"  {what:36} median {quartiles[1]:8.1f} µs (quartiles {quartiles[0]:.1f} to {quartiles[2]:.1f}, "
              f"fastest {min(times[name]):.1f})   median less that of absent: {low:+.2f} to {high:+.2f} µs")
        if name != ABSENT:
            figure = Figure(f"{what.replace(' ', '_')}_depth{depth}", "µs", "min", None, "absent")
            figure.add(quartiles[1], statistics.median(absent))
            figures.append(figure)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run notfound")
    parser.add_argument("--json", default="")
    parser.add_argument("--requests", type=int, default=5000, help="of each name")
    options = parser.parse_args()
    backend = Backend()
    try:
        with Tree(["center", "tokyo"], gates=False) as tree:
            tree.top.upstream_app("above", backend.url)
            tree.bottom.upstream_app("below", backend.url)
            folder = tree.folder / "hosted"
            folder.mkdir()
            (folder / "hasp-app.toml").write_text('[app]\nname = "hosted"\ntitle = "h"\nkind = "upstream"\nmount = "host"\n'
                                                  f'[upstream]\nurls = ["{backend.url}"]\n')
            tree.bottom.app_add(folder)
            tree.top.user_add("nurse", "kiku-1912")
            until(lambda: all(any(a["name"] == n for a in tree.bottom.status()["apps"]) for n in ("below", "hosted")), "apps")
            names = {"above": "not mine, of the top", "below": "not mine, of the lower", "hosted": "has only a host",
                     ABSENT: "does not exist", CONTROL: "does not exist, another"}
            figures = []
            for depth in (1, 2):
                figures += measure(tree, depth, names, options.requests)
    finally:
        backend.close()
    return finish(figures, options.json)


if __name__ == "__main__":
    raise SystemExit(main())
