"""bench/run page: a page of 40 requests in Chromium, through a local and its center or straight to the center. bench/README.md has the method."""
import argparse
import base64
import contextlib
import ctypes
import gzip
import hashlib
import http.server
import json
import os
import re
import ssl
import subprocess
import sys
import threading
from pathlib import Path

from measure import ROOT, Figure, finish

sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness.browser import Browser  # noqa: E402
from harness.tree import Tree, free_port  # noqa: E402
from harness.waiting import until  # noqa: E402

ALONE = "HASP_BENCH_PAGE_ALONE"
RATE_BITS, DELAY_MS = 20_000_000, 50
FAR = "10.77.0.2"
CLONE_NEWNET = 0x40000000
PLAYWRIGHT = ROOT / "tests/browser/node_modules/playwright-core"
PASSWORD = "sakura-2001"
PAKS = ("chrome_100_percent.pak", "chrome_200_percent.pak")
PNG = re.compile(rb"\x89PNG\r\n\x1a\n.*?IEND\xaeB`\x82", re.S)
SCRIPTS = ("generated/injectedScriptSource.js", "server/frames.js", "server/dom.js", "server/page.js", "client/page.js",
           "utils/isomorphic/cssTokenizer.js", "client/network.js", "client/browserContext.js", "utils/isomorphic/locatorGenerators.js",
           "common/socksProxy.js", "client/frame.js", "client/locator.js", "client/fetch.js", "utils/isomorphic/selectorParser.js")
STYLES, PICTURES, CALLS = 4, 16, 5


class Page:
    """What the app answers, by path: (type, Cache-Control, body)."""

    def __init__(self):
        self.files = {}
        library = PLAYWRIGHT / "lib"
        scripts, styles, pictures = [], [], []
        for number, name in enumerate(SCRIPTS):
            # As a function that nobody calls: it is fetched, decoded and parsed, and needs nothing of node.
            text = f"function part{number}() {{\n{(library / name).read_text()}\n}}\n"
            scripts.append(self._add(f"{Path(name).stem}.js", "text/javascript", text.encode()))
        sheets = sorted(library.glob("vite/*/**/*.css"), key=lambda file: -file.stat().st_size)[:STYLES]
        for number, file in enumerate(sheets):
            styles.append(self._add(f"style{number}.css", "text/css", re.sub(rb"url\([^)]*\)", b"none", file.read_bytes())))
        found = {png for pak in PAKS for png in PNG.findall(Path("/usr/lib/chromium", pak).read_bytes())}
        for number, png in enumerate(sorted(found, key=len, reverse=True)[:PICTURES]):
            pictures.append(self._add(f"picture{number}.png", "image/png", png))
        rows = [{"id": n, "name": f"Bed {n}", "ward": f"Ward {n % 7}", "state": ("free", "taken", "cleaned")[n % 3],
                 "since": f"2026-11-{1 + n % 28:02}T08:{n % 60:02}:00Z"} for n in range(200)]
        for number in range(CALLS):
            self.files[f"api/{number}"] = ("application/json", "no-store", json.dumps(rows[:40 * (number + 1)]).encode())
        page = ["<!doctype html><html lang=en><head><meta charset=utf-8><title>Beds</title><link rel=icon href='data:,'>"]
        page += [f"<link rel=stylesheet href='{name}'>" for name in styles]
        page += [f"<script src='{name}' defer></script>" for name in scripts]
        page += ["</head><body><h1>Beds</h1><p>" + "A ward is a row of beds. " * 200 + "</p>"]
        page += [f"<img src='{name}' alt='' width=64 height=64>" for name in pictures]
        page += [f"<script>window.answered = new Promise((all) => addEventListener('DOMContentLoaded', () => all(Promise.all("
                 f"[...Array({CALLS}).keys()].map((n) => fetch('api/' + n).then((a) => a.json()))))))</script></body></html>"]
        self.files[""] = ("text/html; charset=utf-8", "no-cache", "\n".join(page).encode())
        self.requests = len(self.files)

    def _add(self, name: str, kind: str, body: bytes) -> str:
        stem, _, suffix = name.rpartition(".")
        name = f"{stem}.{hashlib.sha256(body).hexdigest()[:8]}.{suffix}"  # as build tools name them
        self.files[name] = (kind, "public, max-age=31536000, immutable", body)
        return name

    def told(self) -> str:
        texts = [b for k, _, b in self.files.values() if not k.startswith("image")]
        return (f"{self.requests} requests, {sum(len(b) for _, _, b in self.files.values()) / 1e3:.0f} kB, of which "
                f"{sum(map(len, texts)) / 1e3:.0f} kB are text ({sum(len(gzip.compress(b)) for b in texts) / 1e3:.0f} kB as gzip)")


class App:
    """The app at the center. /vN/… is the same for every N: a page that no cache has seen."""

    def __init__(self, page: Page):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                kind, control, body = page.files[re.sub(r"^/v\w+/", "", self.path)]
                tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
                same = control != "no-store" and self.headers.get("If-None-Match") == tag
                head = [f"HTTP/1.1 {304 if same else 200} OK", f"Content-Type: {kind}", f"Cache-Control: {control}", "Server: bench"]
                head += [f"ETag: {tag}"] if control != "no-store" else []
                head += [] if same else [f"Content-Length: {len(body)}"]
                self.wfile.write(("\r\n".join(head) + "\r\n\r\n").encode() + (b"" if same else body))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Line:
    """bench/tools/line: the namespace behind it, and what has passed."""
    address = FAR

    def __init__(self, queue_kb: int, rate_bits: int = RATE_BITS, delay_ms: int = DELAY_MS):
        self.process = subprocess.Popen([ROOT / "build/bench/line", str(rate_bits), str(delay_ms), str(queue_kb * 1000)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("bench/tools/line does not start")
        self.near = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.far = os.open(f"/proc/{self.process.pid}/ns/net", os.O_RDONLY)

    @staticmethod
    def _enter(space: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(space, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    @contextlib.contextmanager
    def beyond(self):
        """What is begun in here runs at the far end."""
        self._enter(self.far)
        try:
            yield
        finally:
            self._enter(self.near)

    def passed(self) -> dict:
        """Bytes up and down, packets dropped and payload of TCP since it was asked last."""
        return self._say("?")

    def become(self, rate_bits: int, delay_ms: float) -> dict:
        """Another line from now on. What has passed until then, as passed()."""
        return self._say(f"{rate_bits} {delay_ms}")

    def _say(self, text: str) -> dict:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate("")
        os.close(self.near)
        os.close(self.far)


class Chromium:
    def __init__(self, certificate: Path):
        pem = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=pem, capture_output=True, check=True).stdout
        key = base64.b64encode(hashlib.sha256(der).digest()).decode()
        self.process = subprocess.Popen(
            ["/usr/bin/node", ROOT / "bench/tools/page.js", PLAYWRIGHT, f"--ignore-certificate-errors-spki-list={key}",
             f"--host-resolver-rules=MAP center.example {FAR}, MAP local.example 127.0.0.1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = json.loads(self.process.stdout.readline())["version"]

    def load(self, place: "Place", user: str, path: str) -> dict:
        url = f"https://{place.host}:{place.port}"
        cookies = [{"name": name, "value": value, "url": url} for name, value in place.cookies[user].items()]
        self.process.stdin.write(json.dumps({"url": url + path, "cookies": cookies}) + "\n")
        self.process.stdin.flush()
        seen = json.loads(self.process.stdout.readline())
        if seen["failed"]:
            raise SystemExit(f"{place.name}: {seen['failed'][:3]}")
        if {line["protocol"] for line in seen["all"]} != {"h2"}:
            raise SystemExit(f"{place.name}: not by HTTP/2: {seen['all']}")
        # Loaded: the page's load event has ended and what its program asked for has come.
        seen["done_ms"] = max(seen["load_ms"], *(line["end"] for line in seen["all"]))
        return seen

    def close(self) -> None:
        self.process.communicate("")


class Place:
    """A tier as Chromium reaches it, with the sessions of its users."""

    def __init__(self, name: str, host: str, port: int, address: str, ca: Path, users):
        self.name, self.host, self.port, self.cookies = name, host, port, {}
        for user in users:
            context = ssl.create_default_context(cafile=ca)
            context.check_hostname = False  # a session holds for the host that it was begun at, and the certificate names localhost
            browser = Browser(port, host=host, address=address, tls=context)
            browser.log_in(user, PASSWORD)
            until(lambda one=browser: one.get("/apps/beds/v0/api/0").status == 200, f"{name} answers {user}", 20)
            self.cookies[user] = browser.cookies[host]


class Bench:
    def __init__(self, chromium, line, ours, theirs, requests: int):
        self.chromium, self.line, self.ours, self.theirs, self.requests = chromium, line, ours, theirs, requests
        self.pages = 0

    def load(self, place, warm: bool) -> dict:
        self.pages += 1
        path = f"/apps/beds/v{self.pages}/"
        if warm:
            self.chromium.load(place, "first", path)
        self.line.passed()
        seen = self.chromium.load(place, "second", path)
        seen.update(self.line.passed())
        if len(seen["all"]) != self.requests:
            raise SystemExit(f"{len(seen['all'])} requests instead of {self.requests}")
        return seen

    def round(self, figure, warm: bool, waterfall: bool) -> None:
        """ABBA."""
        seen = [(place, self.load(place, warm)) for place in (self.ours, self.theirs, self.theirs, self.ours)]
        mean = [sum(s["done_ms"] for p, s in seen if p is place) / 2 for place in (self.ours, self.theirs)]
        figure.add(*mean)
        print(f"{figure.name} round {len(figure.ours)}: " + ", ".join(
            f"{place.name} {one['done_ms']:.0f} ms ({one['down'] / 1e3:.0f} kB down, {one['up'] / 1e3:.0f} up, {one['dropped']} dropped)"
            for place, one in seen), flush=True)
        for place, one in seen[:2] if waterfall else []:
            print(f"  {place.name}: load event {one['load_ms']:.0f} ms, connected {one['connected_ms']:.0f} ms")
            for line in one["all"]:
                print(f"  {line['begin']:7.0f} sent {line['sent']:6.0f} first byte {line['first']:6.0f} end {line['end']:6.0f} "
                      f"{line['bytes']:7} {line['name'].rsplit('/', 1)[-1]}")


def measure(line: Line, chosen) -> int:
    page = Page()
    with line.beyond():
        app = App(page)
    link = "[link]\nheartbeat_s = 15\nreconnect_s_max = 60\n"
    try:
        with Tree([], gates=False) as tree:
            tree._make_certificate()
            with line.beyond():
                web, tls, links = free_port(), free_port(), free_port()
                center = tree.add_center("center", tls_port=tls, config=f'[web]\nlisten = ["{FAR}:{web}"]\n'
                                         f'tls_listen = ["{FAR}:{tls}"]\n{link}listen = ["{FAR}:{links}"]\n')
            local = tree.add_local("local", center, address=f"{FAR}:{links}", tls_port=free_port(), config=link)
            center.upstream_app("beds", app.url)
            users = ("first", "second")
            for user in users:
                center.user_add(user, PASSWORD, apps=["beds"])
            ours = Place("through the local", "local.example", local.tls_port, "127.0.0.1", tree.tls_ca, users)
            theirs = Place("straight", "center.example", tls, FAR, tree.tls_ca, users)
            chromium = Chromium(tree.tls_cert)
            try:
                print(f"Chromium {chromium.version}; {page.told()}; {RATE_BITS / 1e6:.0f} Mbit/s, {2 * DELAY_MS} ms there and back", flush=True)
                bench = Bench(chromium, line, ours, theirs, page.requests)
                cold, warm = Figure("page_cold", "ms", "min", 0.90, "h2"), Figure("page_warm", "ms", "min", 2.0, "h2")
                for _ in range(chosen.rounds):
                    bench.round(cold, False, chosen.waterfall)
                    bench.round(warm, True, chosen.waterfall)
                return finish([cold, warm], chosen.json)
            finally:
                chromium.close()
    finally:
        app.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run page", description=__doc__)
    parser.add_argument("--json", default="", help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--queue", type=int, default=1500, metavar="KB",
                        help="what waits on the line at most: 1000 packets, as netem has it, unless given; 250 is a round trip of it")
    parser.add_argument("--waterfall", action="store_true", help="print when each request was sent and answered")
    chosen = parser.parse_args()
    if ALONE not in os.environ:
        # A namespace that carries nothing else, and in which the line's near end can be made.
        return subprocess.run(["unshare", "--net", sys.executable, "-B", *sys.argv], env={**os.environ, ALONE: "1"}, check=False).returncode
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)  # everything below inherits it: both sides before whoever else is at work here
    line = Line(chosen.queue)
    try:
        return measure(line, chosen)
    finally:
        line.close()


if __name__ == "__main__":
    sys.exit(main())
