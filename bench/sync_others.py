"""Unison and Syncthing of Debian in bench/run sync: only shown, for trees of which nothing or one file has changed."""
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path

from page import FAR
from sync_hasp import Seen
from sync_measure import cpu_by_process, must_be_equal, pause, process_cpu_s, same_content, wait_cpu, when_quiet
from harness.waiting import until

UNISON_PORT, SYNCTHING_PORT, REST_PORT = 8741, 8751, 8752
SETTLE_S_MAX = 600
BETWEEN_S = 0.005
ENDS = ("here", "there")


def listens(pid: int, port: int) -> bool:
    rows = Path(f"/proc/{pid}/net/tcp").read_text() + Path(f"/proc/{pid}/net/tcp6").read_text()
    return f":{port:04X} " in rows


class Other:
    """Two copies of a tree, and a folder for each end's state."""

    def __init__(self, line, folder: Path, tree: Path):
        self.line, self.folder = line, folder
        self.here, self.there = folder / "here/tree", folder / "there/tree"
        for copy in (self.here, self.there):
            copy.parent.mkdir(parents=True)
            subprocess.run(["cp", "-a", tree, copy], check=True)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Unison(Other):
    name = "unison"

    def __init__(self, line, folder: Path, tree: Path):
        super().__init__(line, folder, tree)
        self.measure(lambda root: None)  # both learn what is there

    def measure(self, change) -> Seen:
        change(self.here)
        os.sync()
        with self.line.beyond():
            server = subprocess.Popen(["unison", "-socket", str(UNISON_PORT), "-host", FAR], env={**os.environ, "UNISON": str(self.folder / "there")},
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until(lambda: listens(server.pid, UNISON_PORT), "unison listens", 20)
        started = process_cpu_s(server.pid)
        self.line.passed()
        begun = time.monotonic()
        client = subprocess.Popen(["unison", str(self.here), f"socket://{FAR}:{UNISON_PORT}/{self.there}", "-batch", "-auto", "-times", "-ui", "text"],
                                  env={**os.environ, "UNISON": str(self.folder / "here")}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        code, ours = wait_cpu(client)
        wall = time.monotonic() - begun
        passed = self.line.passed()["payload"]
        server.send_signal(signal.SIGTERM)
        _, theirs = wait_cpu(server)
        if code != 0:
            raise SystemExit(f"bench/run sync: unison ended with {code}")
        must_be_equal(self.here, self.there, "unison", contents=False)
        return Seen(wall, ours + theirs - started, passed)


class Syncthing(Other):
    """Both daemons run and are connected; the scan is asked for, as `hasp sync` asks for it."""
    name = "syncthing"

    def __init__(self, line, folder: Path, tree: Path):
        super().__init__(line, folder, tree)
        self.running, self.devices, self.keys = [], {}, {}
        for end in ENDS:
            home = folder / end / "home"
            subprocess.run(["syncthing", "generate", f"--home={home}", "--no-default-folder", "--skip-port-probing"], check=True, capture_output=True)
            self.devices[end] = ET.parse(home / "config.xml").getroot().find("device").get("id")
        for end in ENDS:
            self._configure(end)
        self.start()
        self.stop()

    def _configure(self, end: str) -> None:
        file = self.folder / end / "home/config.xml"
        root = ET.parse(file).getroot()
        other = self.devices["there" if end == "here" else "here"]
        for device in root.findall("device"):
            root.remove(device)
        folder = ET.SubElement(root, "folder", id="tree", label="tree", path=str(self.folder / end / "tree"), type="sendreceive", rescanIntervalS="3600",
                               fsWatcherEnabled="true", fsWatcherDelayS="10", ignorePerms="false", autoNormalize="true")
        for known, where in ((self.devices[end], "dynamic"), (other, f"tcp://{FAR}:{SYNCTHING_PORT}" if end == "here" else "dynamic")):
            ET.SubElement(folder, "device", id=known)
            device = ET.SubElement(root, "device", id=known, name=known[:7], compression="metadata")
            ET.SubElement(device, "address").text = where
        options = root.find("options")
        wanted = {"listenAddress": f"tcp://{FAR}:{SYNCTHING_PORT}" if end == "there" else f"tcp://127.0.0.1:{SYNCTHING_PORT}", "globalAnnounceEnabled": "false",
                  "localAnnounceEnabled": "false", "relaysEnabled": "false", "natEnabled": "false", "urAccepted": "-1", "crashReportingEnabled": "false",
                  "autoUpgradeIntervalH": "0", "startBrowser": "false"}
        for key, value in wanted.items():
            for old in options.findall(key):
                options.remove(old)
            ET.SubElement(options, key).text = value
        gui = root.find("gui")
        gui.find("address").text = f"127.0.0.1:{REST_PORT}"
        self.keys[end] = gui.find("apikey").text
        ET.ElementTree(root).write(file)
        (self.folder / end / "tree/.stfolder").mkdir(exist_ok=True)

    def ask(self, method: str, path: str) -> dict:
        """The daemon here."""
        request = urllib.request.Request(f"http://127.0.0.1:{REST_PORT}/rest/{path}", method=method, headers={"X-API-Key": self.keys["here"]})
        with urllib.request.urlopen(request, timeout=SETTLE_S_MAX) as answer:
            body = answer.read()
        return json.loads(body) if body.strip() else {}

    def _is_settled(self) -> bool:
        there = self.devices["there"]
        return (self.ask("GET", "system/connections")["connections"][there]["connected"] and self.ask("GET", "db/status?folder=tree")["state"] == "idle"
                and self.ask("GET", f"db/completion?folder=tree&device={there}")["completion"] == 100
                and self.ask("GET", "db/status?folder=tree")["needFiles"] == 0)

    def start(self) -> None:
        def one(end):
            with open(self.folder / end / "log", "ab") as log:
                return subprocess.Popen(["syncthing", "serve", f"--home={self.folder / end / 'home'}", "--no-browser", "--no-upgrade"], stdout=log, stderr=log)
        with self.line.beyond():
            self.running.append(one("there"))
        self.running.append(one("here"))
        until(self._is_settled, "both ends of syncthing are equal", SETTLE_S_MAX)

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(60)
        self.running.clear()

    def cpu(self) -> tuple:
        return sum(sum(cpu_by_process(process.pid).values()) for process in self.running), None

    def _came(self, path: Path) -> bool:
        try:
            return same_content(path, self.there / path.relative_to(self.here))
        except FileNotFoundError:
            return False  # it is being put in place

    def measure(self, change) -> Seen:
        self.start()
        moved = lambda: self.line.passed()["payload"]  # noqa: E731
        when_quiet(self.cpu, moved, 0.02)
        os.sync()
        before, _ = self.cpu()
        moved()
        touched = change(self.here) or []
        begun = time.monotonic()
        self.ask("POST", "db/scan?folder=tree")
        while not all(map(self._came, touched)):
            if time.monotonic() - begun > SETTLE_S_MAX:
                raise SystemExit("bench/run sync: syncthing does not bring the change over")
            pause(BETWEEN_S)
        wall = time.monotonic() - begun
        (after, _), passed = when_quiet(self.cpu, moved, 0.02)
        self.stop()
        must_be_equal(self.here, self.there, "syncthing", contents=False)
        return Seen(wall, after - before, passed)

    def close(self) -> None:
        self.stop()
        super().close()
