"""What bench/run sync measures with: processor time of long-lived process trees to the nanosecond, peaks of memory, quiet, equal trees."""
import os
import stat
import threading
import time
from pathlib import Path

from measure import ROOT, TICKS  # noqa: F401  (it also makes the harness known)
from harness.memory import tree_of
from harness.waiting import Deadline

CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED, of include/linux/posix-timers_types.h: clock_getcpuclockid(3) makes the same
QUIET_S, QUIET_CPU_S, QUIET_S_MAX = 0.4, 0.003, 30.0
READ_BYTES = 1 << 20


def process_cpu_s(pid: int) -> float:
    """Of all its threads, those that ended too, and of its children that ended and were waited for."""
    try:
        own = time.clock_gettime((~pid << 3) | CLOCK_OF_PROCESS)
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return own + sum(int(f) for f in fields[13:15]) / TICKS


def cpu_by_process(root: int) -> dict:
    """{pid: seconds} of a process and all below it."""
    return {pid: process_cpu_s(pid) for pid in tree_of(root)}


def wait_cpu(process) -> tuple:
    """Waits for a Popen; its exit code, and the processor time of it and of its children that it waited for."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


def forget_peak(pid: int) -> None:
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        pass


def peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM:")), 0.0)


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def when_quiet(sample, moved, little_s: float = QUIET_CPU_S) -> tuple:
    """sample() at the first moment after which moved() says nothing passed and little processor time was taken for a while.

    sample() returns (processor seconds, anything); moved(): bytes since it was asked last. So what is done after an
    acknowledgement counts, and the waiting for quiet does not. Returns (the sample, all bytes).
    """
    passed = moved()
    end = time.monotonic() + QUIET_S_MAX
    last = sample()
    while time.monotonic() < end:
        pause(QUIET_S)
        now, more = sample(), moved()
        if more == 0 and now[0] - last[0] < little_s:
            return last, passed
        passed += more
        last = now
    raise Deadline(f"not quiet within {QUIET_S_MAX:g} s: bytes pass or processes work on")


def entries(root: Path) -> dict:
    """{path: (kind, mode, size, mtime in us, target)}; mtimes of files alone count."""
    found = {}

    def walk(folder: str, below: str):
        with os.scandir(folder) as items:
            for item in items:
                s = item.stat(follow_symlinks=False)
                path = below + item.name
                if stat.S_ISDIR(s.st_mode):
                    found[path] = ("folder", stat.S_IMODE(s.st_mode), 0, 0, "")
                    walk(item.path, path + "/")
                elif stat.S_ISLNK(s.st_mode):
                    found[path] = ("link", 0, 0, 0, os.readlink(item.path))
                else:
                    found[path] = ("file", stat.S_IMODE(s.st_mode), s.st_size, s.st_mtime_ns // 1000, "")

    walk(str(root), "")
    return found


def same_content(one: Path, other: Path) -> bool:
    with open(one, "rb") as a, open(other, "rb") as b:
        while True:
            x, y = a.read(READ_BYTES), b.read(READ_BYTES)
            if x != y:
                return False
            if not x:
                return True


def differences(here: Path, there: Path, contents: bool = True) -> list:
    """What is not equal, at most ten lines of it."""
    ours, theirs = entries(here), entries(there)
    out = [f"{path}: missing there" for path in ours.keys() - theirs.keys()]
    out += [f"{path}: only there" for path in theirs.keys() - ours.keys()]
    for path in ours.keys() & theirs.keys():
        if ours[path] != theirs[path]:
            out.append(f"{path}: {ours[path]} here, {theirs[path]} there")
        elif contents and ours[path][0] == "file" and not same_content(here / path, there / path):
            out.append(f"{path}: other content")
        if len(out) > 10:
            break
    return sorted(out)[:10]


def must_be_equal(here: Path, there: Path, who: str, contents: bool = True) -> int:
    """How many entries there are; the bench ends when the trees differ."""
    wrong = differences(here, there, contents)
    if wrong:
        raise SystemExit(f"bench/run sync: after {who} the trees differ:\n  " + "\n  ".join(wrong))
    return len(entries(here))


def as_owner(folder: Path, act) -> None:
    """Does it in a child process as the folder's owner, as an app of that user would, and waits. Its time is nobody's."""
    owner = folder.stat()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
            os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
            act()
            code = 0
        except BaseException as error:  # noqa: BLE001  the parent says the rest
            print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(code)
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit("bench/run sync: the change could not be made")
