"""rsync of Debian in bench/run sync, in daemon mode: the tree here, the daemon and its copy beyond the line."""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from page import FAR
from sync_hasp import Seen
from sync_measure import must_be_equal, process_cpu_s, wait_cpu
from harness.memory import children_of
from harness.waiting import until

BLOCKS = (0, 700, 2_000, 8_000, 32_000, 128_000)
CONFIG = "uid = {uid}\ngid = {gid}\nuse chroot = no\nlog file = {folder}/log\n[copy]\npath = {folder}/there\nread only = no\n"
PORT = 8730


def variants(blocks: bool) -> list:
    """(block size or 0, incremental recursion). Without `blocks` the default size alone: nothing is there to compare with."""
    return [(block, recursion) for block in (BLOCKS if blocks else BLOCKS[:1]) for recursion in (True, False)]


def told(variant: tuple) -> str:
    block, recursion = variant
    return f"block {block or 'default'}, {'incremental' if recursion else 'whole'} list"


class Rsync:
    def __init__(self, line, folder: Path):
        self.line, self.folder = line, folder
        folder.mkdir()
        self.here, self.there, self.before = folder / "here", folder / "there", folder / "before"
        for made in (self.here, self.there, self.before):
            made.mkdir()
        self.config = folder / "rsyncd.conf"
        self.config.write_text(CONFIG.format(folder=folder, uid=os.getuid(), gid=os.getgid()))

    def _copy(self, source: Path, target: Path) -> None:
        """On this machine, not measured."""
        subprocess.run(["rsync", "-a", "--delete", "--whole-file", f"{source}/", f"{target}/"], check=True)

    def settle(self, make) -> None:
        """Both ends have the tree."""
        make(self.here)
        self._copy(self.here, self.there)
        self._copy(self.here, self.before)

    def begin_anew(self) -> None:
        """Nothing is anywhere."""
        for made in (self.here, self.there, self.before):
            shutil.rmtree(made)
            made.mkdir()

    def change(self, change) -> None:
        change(self.here)

    def agree(self) -> None:
        """After a round: what is here is what the next one begins with."""
        self._copy(self.here, self.before)

    def measure(self, variant: tuple, fsync: bool = False, contents: bool = True) -> Seen:
        """One run, from the tree as it was before the change."""
        block, recursion = variant
        self._copy(self.before, self.there)
        os.sync()
        with self.line.beyond():
            daemon = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={self.config}", f"--address={FAR}", f"--port={PORT}"])
            listening = f":{PORT:04X} "
            until(lambda: listening in Path(f"/proc/{daemon.pid}/net/tcp").read_text(), "the rsync daemon listens", 10)
        started = process_cpu_s(daemon.pid)
        self.line.passed()
        options = [*([f"--block-size={block}"] if block else []), *([] if recursion else ["--no-inc-recursive"]), *(["--fsync"] if fsync else [])]
        begun = time.monotonic()
        client = subprocess.Popen(["rsync", "-az", "--delete", *options, f"{self.here}/", f"rsync://{FAR}:{PORT}/copy/"])
        code, ours = wait_cpu(client)
        wall = time.monotonic() - begun
        until(lambda: not children_of(daemon.pid), "the daemon's children have ended", 60)
        passed = self.line.passed()["payload"]
        daemon.send_signal(signal.SIGTERM)
        _, theirs = wait_cpu(daemon)
        if code != 0:
            raise SystemExit(f"bench/run sync: rsync ended with {code}")
        must_be_equal(self.here, self.there, f"rsync ({told(variant)})", contents)
        return Seen(wall, ours + theirs - started, passed)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
