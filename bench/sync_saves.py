"""What a save costs that nobody asks for, in bench/run sync: a write in a user's folder until the center has it, and what an idle minute takes.

On this machine's loopback, without a line: as on a LAN.
"""
import contextlib
import random
import statistics
import time

from sync_hasp import APP, Admin, Hasp, settle
from sync_measure import pause, peak_mb
from harness.waiting import until

SAVES, SAVES_S_MAX = 50, 180
EMPTY_S, IDLE_S = 30, 60
BETWEEN_S, BETWEEN_LATE_S, LATE_S = 0.003, 0.03, 2.0
SAVE_S_MAX = 120
USER = "anna"


class Lan:
    """In place of a line: nothing is between the tiers."""
    address = "127.0.0.1"

    @staticmethod
    def beyond():
        return contextlib.nullcontext()

    @staticmethod
    def passed() -> dict:
        return {"payload": 0}


def folder_of(admin: Admin) -> dict:
    return next(f for f in admin.ask("sync.status")["folders"] if f["user"] == USER and f["app"] == APP)


def use(hasp: Hasp) -> None:
    """The user's app runs, as it does when something is saved."""
    until(lambda: hasp.user_browser.get(f"/apps/{APP}/").status == 200, "the user's app answers", 60)


def idle_ms_s(hasp: Hasp, seconds: float) -> float:
    """Processor time of both tiers, in ms a second."""
    before = hasp.cpu()[0]
    pause(seconds)
    return (hasp.cpu()[0] - before) * 1000 / seconds


def save(admin: Admin, path, text: str) -> float:
    """Writes the file anew, in place. Milliseconds from its end until the local knows that the center has it."""
    before = folder_of(admin)["revision"]["number"]
    path.write_text(text)
    begun = time.monotonic()
    while True:
        now = folder_of(admin)
        took = time.monotonic() - begun
        if now["revision"]["number"] > before and now["unsent_files"] == 0:
            return took * 1000
        if took > SAVE_S_MAX:
            raise SystemExit(f"bench/run sync: a save was not at the center after {SAVE_S_MAX} s")
        pause(BETWEEN_S if took < LATE_S else BETWEEN_LATE_S)


def measure(bench, small) -> None:
    """`small`: the workload whose tree it is."""
    p50, p99 = bench.figure("save_p50", "ms"), bench.figure("save_ms", "ms", 100)
    idle = bench.figure("idle_cpu", "ms/s", 0.2)
    memory = bench.figure("saves_memory", "MB")
    chance = random.Random(f"{small.seed}/saves")
    hasp = Hasp(Lan())
    try:
        hasp.arrive(USER)
        use(hasp)
        hasp.quiet()
        empty = idle_ms_s(hasp, EMPTY_S)
        folder = settle(hasp, USER, small.make, arrived=True)
        use(hasp)
        hasp.quiet()
        full = idle_ms_s(hasp, IDLE_S)
        idle.add(max(full - empty, 0.0))
        bench.say(f"saves: an idle second takes {full:.2f} ms CPU with {small.files} files, {empty:.2f} ms without")
        admin, took, begun = Admin(hasp.local.state), [], time.monotonic()
        while len(took) < SAVES and time.monotonic() - begun < SAVES_S_MAX:
            pause(chance.uniform(0.1, 1.0))
            path = small.path(folder, chance.randrange(small.files))
            took.append(save(admin, path, path.read_text() + small.sources.sentence(chance) + "\n"))
        took.sort()
        hasp.sync(USER)
        late = took[min(len(took) - 1, len(took) * 99 // 100)]
        p50.add(statistics.median(took))
        p99.add(late)
        memory.add(max(peak_mb(pid) for pid in hasp.names))
        bench.say(f"saves: {len(took)} in {time.monotonic() - begun:.0f} s; {took[0]:.0f} ms at least, p50 {statistics.median(took):.0f}, p99 {late:.0f} ms")
        hasp.verify(USER)
    finally:
        trouble = hasp.close()
    if trouble:
        raise SystemExit("bench/run sync: " + "\n".join(trouble))
