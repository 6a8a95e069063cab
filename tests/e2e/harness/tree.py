"""Trees of real tiers: each is a `hasp serve` or `hasp relay` of its own, enrolled by a real invitation.

    with Tree(["head", "center", "tokyo"]) as tree:      # a chain, topmost first
        tree.top.user_add("reception", "sakura-2001", groups=["clinic"])
        tree.bottom.browser().log_in("reception", "sakura-2001")

A tree of another shape: Tree([]) and tree.add_center(NAME), tree.add_local(NAME, parent). Every link runs through a Gate
(tier.gate). Everything is below one temporary folder and gone at the end; only processes that were started here are
ended, by their own process id.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from .browser import Browser
from .gate import Gate
from .memory import alive
from .waiting import Deadline, until

ROOT = Path(__file__).resolve().parents[3]
START_S = 30.0
REALM = "sakura"


def binary() -> str:
    """The hasp to test: $HASP_BIN, else the last build's."""
    named = os.environ.get("HASP_BIN")
    if named:
        return named
    built = [p for p in (ROOT / "build" / d / "cmd/hasp/hasp" for d in ("release", "dev", "asan")) if p.exists()]
    if not built:
        raise SystemExit("there is no hasp yet: build it with  cmake --preset dev && cmake --build --preset dev")
    return str(max(built, key=lambda p: p.stat().st_mtime))


def app_folder(name: str) -> Path:
    return Path(os.environ.get("HASP_APPS") or ROOT / "build/apps") / name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class CommandFailed(AssertionError):
    def __init__(self, arguments, code, out, err):
        super().__init__(f"hasp {' '.join(arguments)}: exit {code}\n{out}{err}")
        self.code, self.out, self.err = code, out, err


class Tier:
    """One tier: its state folder, its process and the commands an operator gives it."""

    def __init__(self, tree, name: str, parent=None, web_port: int = 0, config: str = "", tls_port: int = 0):
        self.tree, self.name, self.parent = tree, name, parent
        self.state = tree.folder / name
        self.web_port = web_port or free_port()
        self.link_port = free_port()
        self.tls_port = tls_port
        self.gate = None  # on the link to the parent
        self.process = None
        self.state.mkdir(mode=0o755)
        self.write_config(config)

    def write_config(self, extra: str):
        # `extra` holds further lines, each group beginning with its [section]; sections of ours are merged by name.
        sections = {"web": [f'listen = ["127.0.0.1:{self.web_port}"]'],
                    # No addresses: each invitation names the gate of its link.
                    "link": [f'listen = ["127.0.0.1:{self.link_port}"]', "reconnect_s_max = 1", "heartbeat_s = 1"],
                    "log": ["access_flush_ms = 10"]}
        if loops := os.environ.get("HASP_LOOPS"):  # the same tests with fronts of several loops
            sections["web"].append(f"loops = {loops}")
        if self.tls_port:
            sections["web"] += [f'tls_listen = ["127.0.0.1:{self.tls_port}"]', f'tls_cert = "{self.tree.tls_cert}"',
                                f'tls_key = "{self.tree.tls_key}"']
        current = "web"
        for line in extra.splitlines():
            if line.startswith("["):
                current = line.strip("[] ")
            elif line.strip():
                key = line.split("=")[0].strip()
                known = sections.setdefault(current, [])
                known[:] = [old for old in known if old.split("=")[0].strip() != key] + [line]
        text = "".join(f"[{name}]\n" + "\n".join(lines) + "\n\n" for name, lines in sections.items())
        (self.state / "hasp.toml").write_text(text)

    # -- commands ---------------------------------------------------------------------------------------------------
    def run(self, *arguments, stdin: str = "", check: bool = True, timeout: float = 60.0):
        """Runs a command on this tier's state; returns what it printed (check) or the finished process."""
        arguments = [str(a) for a in arguments]
        done = subprocess.run([binary(), *arguments, "--state", str(self.state)], input=stdin, text=True,
                              capture_output=True, timeout=timeout, env=self.tree.environment, check=False)
        if not check:
            return done
        if done.returncode != 0:
            raise CommandFailed(arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def status(self) -> dict:
        return json.loads(self.run("status", "--json"))

    def processes(self) -> dict:
        """{"supervisor": pid, "front": …, "keeper": …, "spawner": …}"""
        return {role: int(pid) for role, pid in self.status()["processes"].items()}

    def user_add(self, name: str, password: str, full_name: str = "", groups=(), apps=()):
        arguments = ["user", "add", name, "--password-file", "-"]
        if full_name:
            arguments += ["--name", full_name]
        for group in groups:
            arguments += ["--group", group]
        self.run(*arguments, stdin=password + "\n")
        if apps:
            self.run("user", "entitle", name, *apps)

    def token(self, user: str, *apps, days: int = 0) -> str:
        arguments = ["token", "create", user, "--label", "test"]
        for app in apps:
            arguments += ["--app", app]
        if days:
            arguments += ["--expires", days]
        return self.run(*arguments).strip()

    def app_add(self, folder, *to) -> None:
        # A tier far below is known here once those between have told of it.
        for tier in to:
            until(lambda: self.knows(tier), f"{self.name} knows the tier {tier}", 20)
        arguments = ["app", "add", folder]
        for tier in to or (self.name,):
            arguments += ["--to", tier]
        self.run(*arguments, timeout=180)

    def upstream_app(self, name: str, url: str, access: str = "users", extra: str = "", app: str = "") -> None:
        folder = self.tree.folder / f"app-{name}-{self.name}"
        folder.mkdir()
        (folder / "hasp-app.toml").write_text(
            f'[app]\nname = "{name}"\ntitle = "{name}"\nkind = "upstream"\naccess = "{access}"\n{app}'
            f'[upstream]\nurls = ["{url}"]\n{extra}')
        self.app_add(folder)

    def invite(self, name: str, *addresses) -> str:
        arguments = ["local", "invite", name]
        for address in addresses:
            arguments += ["--address", address]
        return self.run(*arguments).strip()

    # -- the process ------------------------------------------------------------------------------------------------
    def start(self, invitation: str = "") -> None:
        verb = ["relay"] if self.parent else ["serve"]
        arguments = [binary(), *verb, "--state", str(self.state)] + (["--join", "-"] if invitation else [])
        if not self.tree.outlives_us:
            # A test that is killed for its time limit must not leave tiers behind.
            arguments = ["setpriv", "--pdeathsig", "TERM", *arguments]
        self.out_file = self.tree.folder / f"{self.name}.out"
        # Files, not pipes: a tree that is left running must not depend on who started it.
        with open(self.tree.folder / f"{self.name}.log", "ab") as log, open(self.out_file, "wb") as out:
            self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=out, stderr=log,
                                            env=self.tree.environment, start_new_session=True)
        with self.process.stdin as pipe:
            pipe.write((invitation + "\n").encode() if invitation else b"")

        def ready_or_ended():
            return b"ready " in self.out_file.read_bytes() or self.process.poll() is not None

        try:
            until(ready_or_ended, f"{self.name} says ready", START_S)
        except Deadline as late:
            raise Deadline(f"{late}\n{self.log()}") from None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode} instead of serving:\n{self.log()}")

    def log(self) -> str:
        try:
            return "\n".join((self.tree.folder / f"{self.name}.log").read_text(errors="replace").splitlines()[-40:])
        except OSError:
            return ""

    def sanitizer_reports(self) -> list:
        """What sanitizers said in the log, also at the end of a process whose exit status nobody asks for. Leaks are looked
        for in every process but front: there LeakSanitizer says "fatal error", which is no report, because it would have to
        open /proc and to trace, and the jail forbids both. tests/e2e/CMakeLists.txt says which tests leave it open."""
        try:
            lines = (self.tree.folder / f"{self.name}.log").read_text(errors="replace").splitlines()
        except OSError:
            return []
        marks = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:")
        return [f"{self.name}: " + "\n".join(lines[at:at + 40]) for at, line in enumerate(lines)
                if any(mark in line for mark in marks)][:3]

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM; the exit status. A tier that does not end in time is killed, which is an error."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Deadline(f"{self.name} did not end within {seconds:g} s of SIGTERM:\n{self.log()}") from None
        self.process = None
        return code

    def kill(self) -> None:
        """SIGKILL to the supervisor; its processes end by themselves when it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    # -- what others see ----------------------------------------------------------------------------------------------
    def browser(self, **rest) -> Browser:
        return Browser(self.web_port, **rest)

    def link_is_up(self) -> bool:
        return self.status()["link"]["state"] == "up"

    def wait_link(self, state: str = "up", seconds: float = 20.0) -> None:
        until(lambda: self.status()["link"]["state"] == state, f"{self.name}'s link is {state}", seconds)

    def knows(self, name: str) -> bool:
        def below(status):
            for child in (status or {}).get("children", []):
                yield child["name"]
                yield from below(child.get("status"))
        return name == self.name or name in below(self.status())

    def wait_holds(self, name: str, seconds: float = 60.0) -> None:
        until(lambda: any(a["name"] == name for a in self.status()["apps"]), f"{self.name} holds the app {name}", seconds)

    def wait_reaches(self, path: str, browser=None, seconds: float = 20.0) -> None:
        """Until a path that is an app's leads somewhere: what a child holds is known above once the child has said so."""
        asking = browser or self.browser()
        until(lambda: asking.get(path).status == 200, f"{path} is reached at {self.name}", seconds)

    def access_lines(self) -> list:
        try:
            lines = (self.state / "log/access.jsonl").read_text().splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # the last line may be half written
        return found

    def access_of(self, rid: str, seconds: float = 10.0) -> dict:
        """The access log's line of a request, once it is there."""
        return until(lambda: next((x for x in self.access_lines() if x.get("request") == rid), None),
                     f"{self.name} logged the request {rid}", seconds)


class Tree:
    def __init__(self, chain=(), config: str = "", port: int = 0, tls: bool = False, gates: bool = True,
                 operator: str = "operator", password: str = "operator-of-the-test", outlives_us: bool = False):
        self.folder = Path(tempfile.mkdtemp(prefix="hasp-tree."))
        # Apps run as other users when hasp runs as root, so they must be able to pass through.
        self.folder.chmod(0o755)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("HASP_")}
        # AddressSanitizer keeps 256 MiB of freed memory by default, which would be taken for the tiers' own.
        self.environment.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8:abort_on_error=1")
        self.environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        if os.environ.get("HASP_TEST_UNJAILED"):
            self.environment["HASP_FRONT_UNJAILED"] = "1"
        self.gates, self.operator, self.password = gates, operator, password
        self.outlives_us = outlives_us
        self.tiers = []
        self.tls_cert = self.tls_key = self.tls_ca = None
        try:
            self.build(chain, config, port, tls)
        except BaseException:
            self.close()
            raise

    def build(self, chain, config: str = "", port: int = 0, tls: bool = False) -> None:
        """A chain of tiers, topmost first. `port` and `tls` are the lowest tier's: with tls, it serves HTTPS at port."""
        if tls and not self.tls_ca:
            self._make_certificate()
        parent = None
        for position, name in enumerate(chain):
            last = position == len(chain) - 1
            settings = {"config": config}
            if last:
                settings.update({"tls_port": port or free_port()} if tls else {"web_port": port})
            parent = self.add_local(name, parent, **settings) if parent else self.add_center(name, **settings)

    @property
    def top(self) -> Tier:
        return self.tiers[0]

    @property
    def bottom(self) -> Tier:
        return self.tiers[-1]

    def __getitem__(self, name: str) -> Tier:
        return next(t for t in self.tiers if t.name == name)

    def add_center(self, name: str, **rest) -> Tier:
        tier = Tier(self, name, None, **rest)
        self.tiers.append(tier)
        password = self.folder / "operator.password"
        password.write_text(self.password + "\n")
        password.chmod(0o600)
        tier.run("init", "--realm", REALM, "--name", name, "--operator", self.operator, "--password-file", password)
        tier.start()
        return tier

    def add_local(self, name: str, parent: Tier, address: str = "", **rest) -> Tier:
        """`address`: where the parent's links are reached, if not on loopback."""
        tier = Tier(self, name, parent, **rest)
        self.tiers.append(tier)
        address = address or f"127.0.0.1:{parent.link_port}"
        if self.gates:
            tier.gate = Gate(parent.link_port)
            address = f"127.0.0.1:{tier.gate.port}"
        tier.start(invitation=parent.invite(name, address))
        tier.wait_link()
        return tier

    def hops(self, rid: str) -> list:
        """(tier, where it was served from there, app, status) of a request at every tier whose log has it, lowest first."""
        found = []
        for tier in reversed(self.tiers):
            for line in tier.access_lines():
                if line.get("request") == rid:
                    found.append((tier.name, line["served"], line.get("app", ""), line["status"]))
        return found

    def wait_hops(self, rid: str, count: int) -> list:
        return until(lambda: (h := self.hops(rid)) and len(h) >= count and h, f"{count} tiers logged {rid}", 10.0)

    def _make_certificate(self):
        self.tls_ca, ca_key = self.folder / "ca.pem", self.folder / "ca.key"
        self.tls_cert, self.tls_key = self.folder / "web.pem", self.folder / "web.key"
        request, extensions = self.folder / "web.csr", self.folder / "web.ext"
        extensions.write_text("subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for command in (
                ["req", "-x509", *curve, "-keyout", ca_key, "-out", self.tls_ca, "-days", "2", "-subj", "/CN=hasp lab"],
                ["req", "-new", *curve, "-keyout", self.tls_key, "-out", request, "-subj", "/CN=localhost"],
                ["x509", "-req", "-in", request, "-CA", self.tls_ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
                 "-extfile", extensions, "-out", self.tls_cert]):
            subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)

    def close(self) -> list:
        """Stops every tier, lowest first. Returns what did not end as it should."""
        trouble = []
        for tier in reversed(self.tiers):
            known = []
            try:
                if tier.process is not None:
                    known = list(tier.processes().values())
            except (AssertionError, OSError, KeyError, ValueError, subprocess.SubprocessError):
                pass
            try:
                code = tier.stop()
                if code != 0:
                    trouble.append(f"{tier.name} ended with {code}:\n{tier.log()}")
                left = [pid for pid in known if alive(pid)]
                if left:
                    trouble.append(f"{tier.name} left processes behind: {left}")
            except AssertionError as error:
                trouble.append(str(error))
            trouble += tier.sanitizer_reports()
            if tier.gate:
                tier.gate.close()
        self.tiers = []
        shutil.rmtree(self.folder, ignore_errors=True)
        return trouble

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for tier in self.tiers:
                print(f"--- {tier.name}\n{tier.log()}", file=sys.stderr)
        trouble = self.close()
        if kind is None and trouble:
            raise AssertionError("\n".join(trouble))
