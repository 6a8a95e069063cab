"""A clamd of Debian's clamav-daemon, with one signature: the string of EICAR's test file. It asks nobody for others."""
import os
import socket
import subprocess
from pathlib import Path

from .waiting import slack, until

# In two pieces: a scanner of the machine that runs the tests would find it here.
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + "ANTIVIRUS-TEST-FILE!$H+H*"
FOUND = "Hasp.Test.Eicar.UNOFFICIAL"


class Clamd:
    """Ends with the test; its socket is at `socket_path`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.socket_path = folder / "clamd.ctl"
        self.process = None
        (folder / "signatures").mkdir(parents=True)
        # Of any kind of file, at any place in it.
        (folder / "signatures/eicar.ndb").write_text(f"{FOUND.removesuffix('.UNOFFICIAL')}:0:*:{EICAR.encode().hex()}\n")
        config = {"DatabaseDirectory": folder / "signatures", "LocalSocket": self.socket_path, "Foreground": "yes",
                  "FixStaleSocket": "yes", "TemporaryDirectory": folder, "LogFile": folder / "clamd.log"}
        (folder / "clamd.conf").write_text("".join(f"{key} {value}\n" for key, value in config.items()))
        folder.chmod(0o777)

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HASP_")}
        with open(self.folder / "clamd.out", "ab") as out:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "/usr/sbin/clamd", "-c", self.folder / "clamd.conf"],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)

        def answers():
            assert self.process.poll() is None, (self.folder / "clamd.out").read_text()
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(str(self.socket_path))
                one.sendall(b"zPING\0")
                return one.recv(16) == b"PONG\0"
        until(answers, "clamd answers", 30 * slack())

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
