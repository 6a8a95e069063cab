"""Waiting for events and for states, always with a deadline and never for a fixed time."""
import os
import threading
import time

PACE_S = 0.05


def slack() -> float:
    """How many times longer and larger things may be in a build with sanitizers."""
    return 3.0 if os.environ.get("HASP_SANITIZE") else 1.0


class Deadline(AssertionError):
    """What was waited for did not come about in time."""


def until(probe, what: str, seconds: float = 20.0, every: float = PACE_S):
    """Calls probe(), `every` so many seconds, until it gives something true, and returns that. Deadline says what was missing and what was last seen."""
    end = time.monotonic() + seconds
    pace = threading.Event()
    last = None
    while True:
        try:
            value = probe()
            if value:
                return value
            last = repr(value)
        except (OSError, AssertionError, ValueError, KeyError) as error:
            last = f"{type(error).__name__}: {error}"
        if time.monotonic() >= end:
            raise Deadline(f"not within {seconds:g} s: {what} (last: {last})")
        pace.wait(every)


def holds_for(probe, what: str, seconds: float) -> int:
    """Calls probe() again and again for so long; it must be true each time. Returns how often it was asked."""
    end = time.monotonic() + seconds
    asked = 0
    while time.monotonic() < end:
        assert probe(), f"did not hold: {what} (call {asked})"
        asked += 1
    return asked
