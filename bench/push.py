"""bench/run push: what a one-line change of a 50 MB app costs on the wire. bench/README.md has the method."""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import ROOT, Figure, finish
from peers import listening

sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness.gate import Gate  # noqa: E402
from harness.tree import Tree, free_port  # noqa: E402
from harness.waiting import until  # noqa: E402

ROUNDS = 5
QUIET_S = 3.0
APP_MB = 50
WORDS = "ward room bed chart dose fever nurse visit blood pulse table mail".split()

NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port} {tls}; {certificate} root {folder}/www; }}
}}
"""


class Bundles:
    """nginx with a folder of bundles behind a gate that counts."""

    def __init__(self, folder: Path, certificate=None):
        self.folder = folder
        self.scheme = "https" if certificate else "http"
        (folder / "www").mkdir(parents=True)
        for path in (folder, folder.parent):
            path.chmod(0o755)  # nginx's worker is another user
        port = free_port()
        config = folder / "nginx.conf"
        keys = f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]};" if certificate else ""
        config.write_text(NGINX.format(folder=folder, port=port, tls="ssl" if certificate else "", certificate=keys))
        self.process = subprocess.Popen(["nginx", "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(config),
                                         "-g", "daemon off;"])
        listening(port)
        self.gate = Gate(port)

    def fetch(self, bundle: Path, ca=None) -> int:
        """Bytes of one fetch, both ways."""
        shutil.copy(bundle, self.folder / "www/app.bundle")
        before = self.gate.bytes_passed
        trust = ["--cacert", str(ca)] if ca else []
        got = subprocess.run(["curl", "-sS", "--fail", *trust, f"{self.scheme}://localhost:{self.gate.port}/app.bundle"],
                             capture_output=True, check=True, timeout=60)
        assert got.stdout == bundle.read_bytes()
        until(lambda: not self.gate.is_used(), "the fetch has ended", 20)  # close_notify counts too
        return self.gate.bytes_passed - before

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.gate.close()


def git(repo: Path, *arguments) -> str:
    done = subprocess.run(["git", "-C", str(repo), "-c", "user.name=dev", "-c", "user.email=dev@clinic.example", *arguments],
                          capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_app(folder: Path, chance: random.Random) -> list:
    """50 MB in some 900 files as web apps have them: many small texts, some larger ones, pictures that do not compress."""
    folder.mkdir()
    (folder / "hasp-app.toml").write_text('[app]\nname = "atlas"\ntitle = "Atlas"\nkind = "static"\naccess = "public"\n')
    (folder / "index.html").write_text("<h1>Atlas</h1>\n")
    texts = []

    def text(path: Path, size: int):
        path.parent.mkdir(parents=True, exist_ok=True)
        lines, total = [], 0
        while total < size:
            line = " ".join(chance.choice(WORDS) for _ in range(9)) + f" {chance.getrandbits(40):x};"
            lines.append(line)
            total += len(line) + 1
        path.write_text("\n".join(lines) + "\n")
        texts.append(path)

    for package in range(40):
        for part in range(20):
            text(folder / f"lib/package-{package:02}/src/part-{part:02}.js", chance.randint(2_000, 20_000))
    for number in range(10):
        text(folder / f"dist/bundle-{number}.js", 1_500_000)
    left = APP_MB * 1_000_000 - sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    for number in range(60):
        path = folder / f"img/page-{number:02}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(chance.randbytes(left // 60))
    return texts


def change_one_line(path: Path, chance: random.Random) -> None:
    lines = path.read_text().split("\n")
    lines[chance.randrange(len(lines) - 1)] = f"changed to {chance.getrandbits(60):x};"
    path.write_text("\n".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--requests", type=int, default=0, help="not used here")
    chosen = parser.parse_args()
    over_tls = Figure("push_delta", "bytes", "min", 0.95, "nginx")
    plain = Figure("push_plain_http", "bytes", "min", None, "nginx")
    pack = Figure("push_release", "bytes", "min", None, "bundle")
    chance = random.Random(2311)
    with tempfile.TemporaryDirectory(prefix="push.") as name, \
            Tree(["center", "tokyo"], config="[link]\nheartbeat_s = 30\n", tls=True) as tree:
        folder = Path(name)
        center, tokyo = tree["center"], tree["tokyo"]
        app = folder / "atlas"
        texts = make_app(app, chance)
        git(app, "init", "-q", "-b", "main")
        git(app, "add", "-A")
        git(app, "commit", "-qm", "first")
        center.app_add(app, "tokyo")
        tokyo.wait_holds("atlas", 300)
        servers = Bundles(folder / "plain"), Bundles(folder / "tls", (tree.tls_cert, tree.tls_key))

        def quiet():
            """What passes when nothing is pushed ends: reports, leases."""
            seen = [-1, 0.0]

            def is_quiet():
                if seen[0] != tokyo.gate.bytes_passed:
                    seen[:] = tokyo.gate.bytes_passed, time.monotonic()
                return time.monotonic() - seen[1] > QUIET_S

            until(is_quiet, "nothing passes", 60)
            return seen[0]

        def release():
            return next((a["release"] for a in tokyo.status()["apps"] if a["name"] == "atlas"), "")

        try:
            for number in range(chosen.rounds):
                file = texts[0 if number == 0 else chance.randrange(len(texts))]
                change_one_line(file, chance)
                git(app, "commit", "-qam", f"change {number}")
                bundle = folder / "app.bundle"
                git(app, "bundle", "create", "-q", str(bundle), "HEAD~1..HEAD")
                old, before = release(), quiet()
                at = tokyo.status()["wan"]["parent"]
                center.app_add(app, "tokyo")
                until(lambda: release() != old, "tokyo has the change", 120)  # noqa: B023
                ours = quiet() - before
                now = tokyo.status()["wan"]["parent"]
                split = {k: now[k]["in"] + now[k]["out"] - at[k]["in"] - at[k]["out"] for k in now}
                theirs = servers[0].fetch(bundle)
                theirs_tls = servers[1].fetch(bundle, tree.tls_ca)
                plain.add(ours, theirs)
                over_tls.add(ours, theirs_tls)
                pack.add(split["packs"], bundle.stat().st_size)
                print(f"round {number + 1}: {file.relative_to(app)} ({file.stat().st_size} bytes): link {ours} bytes {split}; "
                      f"bundle {bundle.stat().st_size}, fetched {theirs}, over TLS {theirs_tls}", flush=True)
        finally:
            for server in servers:
                server.close()
    return finish([over_tls, plain, pack], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
