"""bench/run soak: a tree at full load while apps are killed, links flap, certificates and releases change. bench/README.md has the method."""
import argparse
import json
import os
import re
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from measure import ROOT, Figure, finish
from peers import TOOLS

sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness.apps import processes_of  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.handover_app import release  # noqa: E402
from harness.memory import pss_kb  # noqa: E402
from harness.tree import Tree, free_port  # noqa: E402
from harness.waiting import Deadline, until  # noqa: E402
from soak_load import ANSWER_S_MAX, Client, Faults, Listener, Talker, judge  # noqa: E402

CHAIN = ["head", "center", "tokyo"]
USER, PASSWORD = "reception", "sakura-2001"
GROWTH_MB_MAX = 8.0
SAMPLE_S = 2.0
IDLE_S = 90.0  # connections that are kept for reuse close after 60 s
LINK_BACK_S = 15.0
FULL_CONNECTIONS, FULL_BATCH = 32, 20_000

ECHO = '[app]\nname = "killed"\ntitle = "Killed"\nkind = "process"\ninstance = "app"\naccess = "public"\n' \
       '[process]\ncommand = ["/usr/bin/python3", "-B", "{app}/server.py", "{port}", "killed-app"]\nlisten = "tcp:8080"\n'
SERVER = '''
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
    do_PUT = do_POST = do_GET
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    def handle_error(self, *_): pass
Server(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
'''


def folder_of(tree, name: str, manifest: str, files: dict) -> Path:
    folder = tree.folder / f"app-{name}"
    folder.mkdir()
    (folder / "hasp-app.toml").write_text(manifest)
    for file, text in files.items():
        (folder / file).write_text(text)
    return folder


class FullLoad:
    """The C++ generator at the local's static app without pause."""

    def __init__(self, port: int, path: str):
        self.folder = tempfile.TemporaryDirectory(prefix="hasp-soak.")
        self.request = Path(self.folder.name) / "request"
        self.request.write_text(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")
        self.port, self.kind = port, "static, full speed"
        self.count, self.errors, self.p99_ms, self.told, self.rps = 0, 0, [], "", []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.over.is_set():
            done = subprocess.run([TOOLS / "load", str(self.port), str(FULL_CONNECTIONS), str(FULL_BATCH), "0", str(self.request)],
                                  capture_output=True, text=True, check=False, timeout=600)
            self.count += FULL_BATCH
            if done.returncode != 0:
                self.errors += 1
                self.told = (done.stdout + done.stderr)[-400:]
                continue
            said = json.loads(done.stdout)
            self.p99_ms.append(said["p99_us"] / 1000)
            self.rps.append(said["rps"])

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.over.set()
        self.thread.join(600)
        self.folder.cleanup()


ROLES = ("supervisor", "front", "keeper", "spawner")


def processes_of_roles(supervisor: int) -> dict:
    """{role: pids}: a front that was followed by another is there until what was begun at it has ended."""
    found = {role: [] for role in ROLES}
    found["supervisor"].append(supervisor)
    for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue  # it has just ended
        role = words[2] if words[1:2] == ["process"] else ""
        if role in found:
            found[role].append(int(pid))
    return found


class Memory:
    """Of each tier's own processes (not its apps'), and their descriptors."""

    def __init__(self, tree):
        self.supervisors = {tier.name: tier.processes()["supervisor"] for tier in tree.tiers}
        self.samples = {name: {role: [] for role in ROLES} for name in self.supervisors}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self.over.wait(SAMPLE_S):
            for name, supervisor in self.supervisors.items():
                for role, pids in processes_of_roles(supervisor).items():
                    self.samples[name][role].append(sum(pss_kb(pid) for pid in pids) / 1024)

    def descriptors(self) -> dict:
        return {name: sum(len(os.listdir(f"/proc/{pid}/fd")) for pids in processes_of_roles(supervisor).values() for pid in pids)
                for name, supervisor in self.supervisors.items()}

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.over.set()
        self.thread.join()

    def growth_mb(self, name: str) -> float:
        """From the second fifth, when it is warm, to the last one."""
        all_ = [sum(of_all) for of_all in zip(*self.samples[name].values())]
        part = max(1, len(all_) // 5)
        return statistics.median(all_[-part:]) - statistics.median(all_[part:2 * part])

    def tell(self) -> None:
        for name, roles in self.samples.items():
            for role, all_ in roles.items():
                print(f"memory of {name}'s {role}: " + " ".join(f"{mb:.1f}" for mb in all_[::max(1, len(all_) // 16)]) + " MB")


class Soak:
    def __init__(self, tree, seconds: float):
        self.tree, self.seconds, self.faults, self.trouble = tree, seconds, Faults(), []
        self.top, self.center, self.bottom = tree.tiers
        self.backends = [Backend(), Backend()]
        self.versions = self.certificates = 0
        self.command = threading.Lock()
        self.done = {}

    def furnish(self) -> None:
        tree, bottom = self.tree, self.bottom
        bottom.app_add(folder_of(tree, "files", '[app]\nname = "files"\ntitle = "Files"\nkind = "static"\naccess = "public"\n',
                                 {"page.html": "x" * 1024}))
        bottom.app_add(folder_of(tree, "killed", ECHO, {"server.py": SERVER}))
        bottom.app_add(release(tree.folder, "beds", "v0"))
        bottom.upstream_app("near", self.backends[0].url, access="public")
        bottom.upstream_app("own", self.backends[0].url)
        self.center.upstream_app("far", self.backends[1].url, access="public")
        self.top.upstream_app("head", self.backends[1].url, access="public")
        self.top.user_add(USER, PASSWORD, apps=["own"])
        for path in ("files/page.html", "killed/", "beds/", "near/bytes/1", "far/bytes/1", "head/bytes/1"):
            bottom.wait_reaches(f"/apps/{path}", seconds=60)
        for path in ("near/bytes/1", "head/bytes/1"):
            self.center.wait_reaches(f"/apps/{path}")

    def clients(self) -> list:
        """Everybody who asks. Which of their failures are allowed is soak_load.judge's to say, by the kind."""
        port, browser = self.bottom.web_port, self.bottom.browser()
        browser.log_in(USER, PASSWORD)
        self.bottom.wait_reaches("/apps/own/bytes/1", browser)
        cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies["localhost"].items())}
        tls = ssl.create_default_context(cafile=self.tree.tls_ca)
        idempotent, any_ = ("GET", "PUT"), ("GET", "PUT", "POST")
        page = {"Accept": "text/html"}
        return [
            FullLoad(port, "/apps/files/page.html"),
            Client("static by TLS", self.bottom.tls_port, "/apps/files/page.html", tls=tls),
            *[Client("killed", port, "/apps/killed/x", idempotent) for _ in range(3)],
            Client("killed", port, "/apps/killed/x", any_, keep=1),
            *[Client("release", port, "/apps/beds/") for _ in range(2)],
            Client("near", port, "/apps/near/bytes/10000"),
            Client("signed on", port, "/apps/own/bytes/1000", headers=cookie),
            Client("far", port, "/apps/far/bytes/2000", keep=50),
            Client("far, a browser", port, "/apps/far/bytes/2000", headers=page, keep=1),
            Client("far", port, "/apps/head/echo", idempotent),
            Client("below, a browser", self.center.web_port, "/apps/near/bytes/2000", headers=page),
            Client("center's own", self.center.web_port, "/apps/head/bytes/2000"),
            *[Talker(port, "/apps/near/ws") for _ in range(3)],
            Listener(self.bottom.browser(), "/apps/near/events", self.backends[0]),
        ]

    # -- what is done to the tree meanwhile: (every so many seconds, what) -------------------------------------------------
    def acts(self) -> list:
        return [(31.0, self.kill_app), (11.0, self.flap), (5.0, self.rotate_log), (17.0, self.renew_certificate), (23.0, self.release),
                (37.0, self.reload), (71.0, self.restart), (53.0, self.restart_center)]

    def kill_app(self) -> None:
        pids = processes_of(self.bottom, "killed-app")
        begin = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.faults.kills.append((begin, time.monotonic()))

    def flap(self) -> None:
        """In turn a line that is cut, and one that falls silent."""
        gate, count = self.bottom.gate, len(self.faults.cuts) + len(self.faults.holds)
        windows = self.faults.holds if count % 3 == 2 else self.faults.cuts
        begin = time.monotonic()
        windows.append((begin, float("inf")))
        gate.hold() if windows is self.faults.holds else gate.cut()
        self.bottom.wait_link("down")
        end = time.monotonic() + 2.0
        until(lambda: time.monotonic() >= end or self.over.is_set(), "it was down for a while", 10)
        gate.restore()
        self.bottom.wait_link("up", LINK_BACK_S)
        # What the parent holds, and what it knows of us, comes over the link that is back: a round trip or two.
        windows[-1] = (begin, time.monotonic())

    def rotate_log(self) -> None:
        log = self.bottom.state / "log/access.jsonl"
        log.replace(log.with_suffix(".1"))
        self.bottom.process.send_signal(signal.SIGHUP)
        until(log.exists, "the access log is opened anew", 20)

    def renew_certificate(self) -> None:
        self.certificates += 1
        tree, folder = self.tree, self.tree.folder / f"renewed-{self.certificates}"
        folder.mkdir()
        (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for command in (["req", "-new", "-key", tree.tls_key, "-subj", f"/CN=renewed {self.certificates}", "-out", folder / "csr"],
                        ["x509", "-req", "-in", folder / "csr", "-CA", tree.tls_ca, "-CAkey", tree.folder / "ca.key", "-CAcreateserial",
                         "-days", "30", "-extfile", folder / "ext", "-out", folder / "web.pem"]):
            subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
        shutil.move(folder / "web.pem", tree.tls_cert)

    def release(self) -> None:
        self.versions += 1
        self.bottom.app_add(release(self.tree.folder, "beds", f"v{self.versions}"))
        until(lambda: self.bottom.browser().get("/apps/beds/").text == f"v{self.versions}", "the new release answers", 60)

    def reload(self) -> None:
        """Another front in place of the one that serves, which ends when its last connection does."""
        self.bottom.run("reload", timeout=100)

    def restart(self) -> None:
        self.bottom.run("restart", timeout=100)

    def restart_center(self) -> None:
        self.center.run("restart", timeout=100)

    def _act(self, every: float, what) -> None:
        while not self.over.wait(min(every, self.seconds / 2.5)):
            try:
                with self.command:  # a tier that is being restarted takes no other command
                    what()
                self.done[what.__name__] = self.done.get(what.__name__, 0) + 1
            except (AssertionError, OSError, Deadline, subprocess.SubprocessError) as error:
                self.trouble.append(f"{what.__name__}: {error!r:.600}")

    def run(self) -> list:
        self.furnish()
        memory = Memory(self.tree)
        clients = self.clients()
        before = memory.descriptors()
        self.over = threading.Event()
        acts = [threading.Thread(target=self._act, args=row, daemon=True) for row in self.acts()]
        for one in (memory, *clients, *acts):
            one.start()
        begin = time.monotonic()
        until(lambda: time.monotonic() >= begin + self.seconds, "the time is over", self.seconds + 60)
        self.over.set()
        for act in acts:
            act.join(120)
        for one in (*clients, memory):
            one.stop()
        return self.figures(clients, memory, before)

    def figures(self, clients, memory, before: dict) -> list:
        full, rest = clients[0], clients[1:]
        bad, allowed = [], {}
        for client in rest:
            for one in client.bad:
                rule = judge(one, self.faults, {"far": self.center.name, "below": self.bottom.name})
                if rule:
                    allowed[f"{one.kind}: {rule}"] = allowed.get(f"{one.kind}: {rule}", 0) + 1
                else:
                    bad.append(one)
        self.tell(clients, allowed, bad, memory)
        after = memory.descriptors()
        try:
            until(lambda: all(now <= before[name] for name, now in memory.descriptors().items()), "as many descriptors as before", IDLE_S)
        except Deadline as late:
            print(late)
        after = memory.descriptors()
        print(f"descriptors before {before}, after {after}")

        def figure(name, unit, value, limit, sense="min"):
            one = Figure(name, unit, sense, limit)
            one.add(value)
            return one

        p99 = {client.kind: sorted(client.took)[int(len(client.took) * 0.99)] * 1000 for client in rest if client.took}
        return [
            figure("soak_requests", "requests", full.count + sum(c.count for c in rest), None),
            figure("soak_failed", "requests", len(bad) + full.errors, 0),
            figure("soak_trouble", "acts", len(self.trouble), 0),
            *[figure(f"growth_{name}", "MB", memory.growth_mb(name), GROWTH_MB_MAX) for name in memory.supervisors],
            *[figure(f"fds_lost_{name}", "descriptors", max(0, after[name] - before[name]), 0) for name in memory.supervisors],
            figure("p99_static", "ms", statistics.median(full.p99_ms), None), figure("rps_static", "req/s", statistics.median(full.rps), None, "max"),
            *[figure(re.sub(r"\W+", "_", f"p99 {kind}"), "ms", value, None) for kind, value in p99.items()],
        ]

    def tell(self, clients, allowed: dict, bad: list, memory) -> None:
        print("acts: " + ", ".join(f"{name} {count}" for name, count in sorted(self.done.items())))
        for line in self.trouble:
            print(f"TROUBLE {line}")
        if clients[0].errors:
            print(f"NOT ALLOWED full load: {clients[0].told}")
        for rule, count in sorted(allowed.items()):
            print(f"allowed: {count} {rule}")
        start = min([w[0] for w in self.faults.kills + self.faults.cuts] or [0.0])
        for one in bad[:12]:
            print(f"NOT ALLOWED {one.kind} {one.method} at {one.begin - start:.3f} for {one.end - one.begin:.3f} s: {one.status} {one.told!r}")
        for client in clients[1:]:
            for one in client.slow[:5]:
                print(f"slow {one.kind} at {one.begin - start:.3f}: {one.end - one.begin:.2f} s")
        print("kills at " + ", ".join(f"{b - start:.2f}" for b, _ in self.faults.kills))
        print("cuts " + ", ".join(f"{b - start:.2f} to {e - start:.2f}" for b, e in self.faults.cuts))
        print("holds " + ", ".join(f"{b - start:.2f} to {e - start:.2f}" for b, e in self.faults.holds))
        memory.tell()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run soak", description=__doc__)
    parser.add_argument("--json", default="", help="write the figures to this file")
    parser.add_argument("--seconds", type=float, default=600.0)
    chosen = parser.parse_args()
    with Tree(CHAIN, tls=True, port=free_port()) as tree:
        soak = Soak(tree, chosen.seconds)
        try:
            return finish(soak.run(), chosen.json)
        finally:
            for backend in soak.backends:
                backend.close()


if __name__ == "__main__":
    sys.exit(main())
