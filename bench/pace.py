"""bench/run pace: a user's small requests while a release of 30 MB comes over the same narrow link. bench/README.md has the method."""
import argparse
import http.server
import os
import statistics
import subprocess
import sys
import threading
import time

from measure import ROOT, Figure, finish
from page import FAR, Line

sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness.tree import Tree, free_port  # noqa: E402
from harness.waiting import until  # noqa: E402

ALONE = "HASP_BENCH_PACE_ALONE"
RATE_BITS, DELAY_MS = 8_000_000, 20
EVERY_S = 0.1
RELEASE_BYTES = 30_000_000
LINK = "[link]\nheartbeat_s = 15\nreconnect_s_max = 60\n"


class Small(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = b"x" * 1000
        self.wfile.write(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Bench:
    def __init__(self, tree, center, local, line):
        self.tree, self.center, self.local, self.line = tree, center, local, line
        self.browser = local.browser()
        self.releases = 0

    def one(self) -> float:
        begun = time.monotonic()
        if self.browser.get("/apps/small/").status != 200:
            raise SystemExit("the small app does not answer")
        return (time.monotonic() - begun) * 1000

    def until(self, done) -> list:
        """A request each tenth of a second until that is so: how long each took, in ms."""
        took = []
        while not done():
            begun = time.monotonic()
            took.append(self.one())
            end = begun + EVERY_S
            until(lambda limit=end: time.monotonic() >= limit, "the next is due", 10)
        return took

    def release(self) -> str:
        self.releases += 1
        name = f"atlas{self.releases}"
        folder = self.tree.folder / name
        folder.mkdir()
        (folder / "hasp-app.toml").write_text(f'[app]\nname = "{name}"\ntitle = "Atlas"\nkind = "static"\naccess = "public"\n')
        (folder / "index.html").write_text("<h1>Atlas</h1>\n")
        (folder / "noise").write_bytes(os.urandom(RELEASE_BYTES))
        self.center.app_add(folder, "local")
        return name

    def came(self) -> int:
        return self.local.status()["wan"]["parent"]["packs"]["in"]

    def with_a_release(self, users: bool) -> tuple:
        """How long requests took while it came, and how much of the link it had."""
        before = self.came()
        self.release()
        until(lambda: self.came() > before + 1_000_000, "it comes", 60)
        begun, at, seen = time.monotonic(), self.came(), []
        ended = threading.Event()

        def watch():
            until(lambda: self.came() >= before + RELEASE_BYTES - 500_000, "it has come", 900)
            seen.append((self.came() - at) / (time.monotonic() - begun))
            ended.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        took = self.until(ended.is_set) if users else []
        watcher.join()
        self.local.wait_holds(f"atlas{self.releases}", 120)
        return took, 100 * seen[0] * 8 / RATE_BITS


def measure(line: Line, rounds: int, json: str) -> int:
    with line.beyond():
        app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Small)
        app.daemon_threads = True
        threading.Thread(target=app.serve_forever, daemon=True).start()
    with Tree([], gates=False) as tree:
        with line.beyond():
            web, links = free_port(), free_port()
            center = tree.add_center("center", config=f'[web]\nlisten = ["{FAR}:{web}"]\n{LINK}listen = ["{FAR}:{links}"]\n')
        local = tree.add_local("local", center, address=f"{FAR}:{links}", config=LINK + "yield = true\n")
        center.upstream_app("small", f"http://127.0.0.1:{app.server_port}", access="public")
        local.wait_reaches("/apps/small/")
        bench = Bench(tree, center, local, line)
        quiet = Figure("pace_quiet", "ms", "min", None)
        beside = Figure("pace_beside", "ms", "min", 200)
        p95 = Figure("pace_beside_p95", "ms", "min", None)
        without = Figure("pace_without", "ms", "min", None)
        without_p95 = Figure("pace_without_p95", "ms", "min", None)
        share = Figure("pace_share", "% of the link", "max", 85)
        shared = Figure("pace_share_beside_users", "% of the link", "max", None)
        for number in range(rounds):
            for yields in (True, False):
                config = local.state / "hasp.toml"
                config.write_text(config.read_text().replace(f"yield = {'false' if yields else 'true'}", f"yield = {'true' if yields else 'false'}"))
                local.run("reload")
                local.wait_link()
                bench.browser = local.browser()
                end = time.monotonic() + 5
                alone = bench.until(lambda limit=end: time.monotonic() >= limit)
                took, had = bench.with_a_release(True)
                took.sort()
                middle, late = statistics.median(took), took[len(took) * 95 // 100]
                print(f"round {number + 1}, yield = {yields}: a request takes {statistics.median(alone):.0f} ms alone, {middle:.0f} ms "
                      f"(p95 {late:.0f}, most {took[-1]:.0f}, of {len(took)}) beside a release that has {had:.0f} % of the link", flush=True)
                (beside if yields else without).add(middle)
                (p95 if yields else without_p95).add(late)
                if yields:
                    quiet.add(statistics.median(alone))
                    shared.add(had)
                    until(lambda limit=time.monotonic() + 3: time.monotonic() >= limit, "users are quiet", 10)
                    had = bench.with_a_release(False)[1]
                    print(f"round {number + 1}: a release alone has {had:.0f} % of the link", flush=True)
                    share.add(had)
        return finish([quiet, beside, p95, without, without_p95, share, shared], json)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run pace", description=__doc__)
    parser.add_argument("--json", default="", help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--queue", type=int, default=500, metavar="KB", help="what waits on the line at most")
    chosen = parser.parse_args()
    if ALONE not in os.environ:
        return subprocess.run(["unshare", "--net", sys.executable, "-B", *sys.argv], env={**os.environ, ALONE: "1"}, check=False).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    line = Line(chosen.queue, RATE_BITS, DELAY_MS)
    try:
        return measure(line, chosen.rounds, chosen.json)
    finally:
        line.close()


if __name__ == "__main__":
    sys.exit(main())
