"""Trees of real tiers on loopback, for the tests, the demo and the lab. Standard library only.

tree.py       tiers as processes, enrolled by real invitations
gate.py       a forwarder on a link that cuts, holds, slows and restores it
browser.py    an HTTP client that behaves like a browser: cookies by host, Origin, redirects
websocket.py  a WebSocket client
backend.py    an upstream server that echoes, counts and streams
waiting.py    waiting for something to become true, with a deadline
memory.py     processes' memory, from /proc
"""
import faulthandler
import os
import sys
import threading
from pathlib import Path

from .memory import command_of, descendants_of


def show_processes() -> None:
    """What each process below us does and holds open, on stderr."""
    for pid in [os.getpid(), *descendants_of(os.getpid())]:
        try:
            folder = Path(f"/proc/{pid}")
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
            wait = (folder / "wchan").read_text() or "-"
            held = [f"{fd.name}>{os.readlink(fd)}" for fd in sorted((folder / "fd").iterdir(), key=lambda fd: int(fd.name))[:40]]
        except OSError as gone:
            state, wait, held = "?", str(gone), []
        print(f"process {pid} {state} {wait}: {command_of(pid)[:200]}\n    {' '.join(held)}", file=sys.stderr, flush=True)


# A test that hangs shows where each thread and each process is before its time is up.
if os.environ.get("HASP_STACKS_S"):
    faulthandler.dump_traceback_later(float(os.environ["HASP_STACKS_S"]))
    watch = threading.Timer(float(os.environ["HASP_STACKS_S"]) + 1, show_processes)
    watch.daemon = True
    watch.start()
