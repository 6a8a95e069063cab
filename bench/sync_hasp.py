"""hasp in bench/run sync: a center beyond the line, a local here, and another local that shows what the center holds."""
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from sync_measure import as_owner, cpu_by_process, forget_peak, must_be_equal, pause, peak_mb, wait_cpu, when_quiet
from harness.tree import Tree, binary, free_port
from harness.waiting import until

PASSWORD = "sakura-2001"
APP = "notes"
LINK = "[link]\nheartbeat_s = 15\nreconnect_s_max = 60\n"
MANIFEST = (f'[app]\nname = "{APP}"\ntitle = "Notes"\nkind = "process"\ninstance = "user"\n'
            '[process]\ncommand = ["/usr/bin/python3", "-B", "{app}/server.py", "{port}"]\nlisten = "tcp:8080"\n[data]\nscope = "user"\n')
SERVER = '''
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"up\\n")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
'''
SYNC_S_MAX = 3600


@dataclass
class Seen:
    """Of one round: `wall` in seconds, `cpu` in seconds, `bytes` of TCP; `parts`: processor seconds by process; `peak`: MB by process."""
    wall: float
    cpu: float
    bytes: int
    parts: dict = field(default_factory=dict)
    peak: dict = field(default_factory=dict)


class Admin:
    """A tier's admin socket: questions without the cost of a command each."""

    def __init__(self, state: Path):
        self.path = str(state / "admin.sock")

    def ask(self, command: str, **args) -> dict:
        head = json.dumps({"cmd": command, "args": args}).encode()
        with socket.socket(socket.AF_UNIX) as to:
            to.settimeout(60)
            to.connect(self.path)
            to.sendall(struct.pack("<II", 8 + len(head), len(head)) + head)
            with to.makefile("rb") as answer:
                total, length = struct.unpack("<II", answer.read(8))
                said = json.loads(answer.read(total - 8)[:length & 0xfffffff])
        if "error" in said:
            raise AssertionError(said["error"])
        return said.get("result", said)


class Hasp:
    def __init__(self, line, perf: str = ""):
        """perf: a folder for samples of all processes, taken during rounds."""
        self.line, self.perf = line, perf
        self.tree = Tree([], gates=False)
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        with self.line.beyond():
            web, links = free_port(), free_port()
            self.center = self.tree.add_center("center", config=f'[web]\nlisten = ["{self.line.address}:{web}"]\n{LINK}listen = ["{self.line.address}:{links}"]\n')
        self.local = self.tree.add_local("tokyo", self.center, address=f"{self.line.address}:{links}", config=LINK)
        with self.line.beyond():
            self.other = self.tree.add_local("osaka", self.center, address=f"{self.line.address}:{links}", config=LINK)
        app = self.tree.folder / "app"
        app.mkdir()
        (app / "hasp-app.toml").write_text(MANIFEST)
        (app / "server.py").write_text(SERVER)
        self.center.app_add(app, "tokyo", "osaka")
        self.local.wait_holds(APP)
        self.other.wait_holds(APP)
        self.other.stop()
        self.names = {}
        for tier in (self.center, self.local):
            for role, pid in tier.processes().items():
                self.names[pid] = f"{tier.name} {role}"

    def folder(self, tier, user: str) -> Path:
        return tier.state / "data/users" / user / APP

    def arrive(self, user: str) -> Path:
        """A new user, logged in here: his folder."""
        self.center.user_add(user, PASSWORD, apps=[APP])
        browser = self.local.browser()
        assert browser.log_in(user, PASSWORD).status == 200
        self.user_browser = browser
        folder = self.folder(self.local, user)
        until(folder.exists, f"{user}'s folder is there", 30)
        self.sync(user)
        return folder

    def command(self, user: str) -> list:
        return [binary(), "sync", "--wait", "--quiet", "--user", user, "--app", APP, "--state", str(self.local.state)]

    def sync(self, user: str) -> float:
        """`hasp sync` to its end; the processor time of the command itself."""
        process = subprocess.Popen(self.command(user), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.tree.environment)
        said = process.stdout.read()
        process.stdout.close()
        code, cpu = wait_cpu(process)
        if code != 0:
            raise SystemExit(f"bench/run sync: hasp sync ended with {code}: {said}\n{self.local.log()}\n{self.center.log()}")
        return cpu

    def cpu(self) -> tuple:
        """All processor time of both tiers until now, and by process."""
        parts = {}
        for tier in (self.center, self.local):
            for pid, seconds in cpu_by_process(tier.process.pid).items():
                name = self.names.get(pid, f"{tier.name} others")
                parts[name] = parts.get(name, 0.0) + seconds
        return sum(parts.values()), parts

    def moved(self) -> int:
        return self.line.passed()["payload"]

    def quiet(self) -> None:
        when_quiet(self.cpu, self.moved)

    @contextlib.contextmanager
    def sampled(self, what: str):
        if not self.perf:
            yield
            return
        file = Path(self.perf) / f"{what}.{int(time.time())}.perf"
        sampler = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-g", "-p", ",".join(map(str, self.names)), "-o", file])
        pause(0.5)  # until it samples
        try:
            yield
        finally:
            sampler.send_signal(signal.SIGINT)
            sampler.wait()

    def round(self, user: str, change) -> Seen:
        """What the change costs: bytes and processor time from before it is made until all is quiet, time from its end to the
        end of `hasp sync`."""
        folder = self.folder(self.local, user)
        os.sync()
        self.quiet()
        for pid in self.names:
            forget_peak(pid)
        before, parts_before = self.cpu()
        self.moved()
        with self.sampled(user):
            as_owner(folder, lambda: change(folder))
            begun = time.monotonic()
            command = self.sync(user)
            wall = time.monotonic() - begun
        (after, parts), passed = when_quiet(self.cpu, self.moved)
        used = {name: seconds - parts_before.get(name, 0.0) for name, seconds in parts.items()}
        return Seen(wall, after - before + command, passed, {**used, "command": command}, {self.names[pid]: peak_mb(pid) for pid in self.names})

    def verify(self, user: str) -> int:
        """The other local starts, fetches all from the center, and has what is here. It ends then, so that it costs nothing."""
        with self.line.beyond():
            self.other.start()
            self.other.wait_link()
            folder = self.folder(self.other, user)
            if not folder.exists():
                assert self.other.browser().log_in(user, PASSWORD).status == 200
                until(folder.exists, f"{user}'s folder is there", 30)
            self.other.run("sync", "--wait", "--user", user, "--app", APP, timeout=SYNC_S_MAX)
            count = must_be_equal(self.folder(self.local, user), folder, "hasp sync")
            self.other.stop(60)
        return count

    def close(self) -> list:
        return self.tree.close()


def settle(hasp: Hasp, user: str, make, arrived: bool = False) -> Path:
    """A user's folder with a tree in it that the center has."""
    folder = hasp.folder(hasp.local, user) if arrived else hasp.arrive(user)
    as_owner(folder, lambda: make(folder))
    hasp.sync(user)
    return folder
