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

# A test that hangs shows where each thread is before its time is up.
if os.environ.get("HASP_STACKS_S"):
    faulthandler.dump_traceback_later(float(os.environ["HASP_STACKS_S"]))
