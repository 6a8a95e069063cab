#!/usr/bin/python3
"""Process crashes at every fsync, fdatasync, syncfs and rename: one consistent state, nothing acknowledged lost, back within 2 s.

$HASP_CRASH_POINTS says how many points are tried: a number, or "all" (scripts/test --nightly).
"""
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import unittest
from collections import Counter
from pathlib import Path

from harness.case import main
from harness.crashes import Attached, Trials, counted, may_trace, points_of, strace_words, thread_groups
from harness.memory import alive
from harness.tree import START_S, Tier, Tree, binary
from harness.waiting import slack, until

BACK_S = 2.0 * slack()
REACH_S = 20.0 * slack()
SAMPLE = os.environ.get("HASP_CRASH_POINTS") or ("13" if slack() == 1.0 else "8")
REFUSED = "the pack ended the process that read it"
# Few calls but those of the flow: heartbeats make time durable.
CONFIG = "[link]\nheartbeat_s = 100\n"


def share(part: float):
    return SAMPLE if SAMPLE == "all" else max(1, round(int(SAMPLE) * part))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def database(tier, *queries):
    """One row of each query, from the tier's store as it lies on the disk; the store is whole."""
    with sqlite3.connect(f"file:{tier.state}/keeper.db?mode=ro", uri=True, timeout=20) as db:
        answers = [db.execute("PRAGMA integrity_check").fetchone()] + [db.execute(q).fetchone() for q in queries]
    assert answers[0] == ("ok",), answers[0]
    return answers[1:]


def half_done(tier) -> list:
    """What a crash may leave while it lasts, and what the next start must have thrown away."""
    return [str(p) for folder in ("keys", "releases") for p in (tier.state / folder).rglob("*")
            if p.name.startswith((".unfinished-", ".stage-"))]


class CrashPoints(unittest.TestCase):
    sums = Counter()

    @classmethod
    def tearDownClass(cls):
        if cls.sums["all"]:
            say(f"\ncrash points: {cls.sums['tried']} of {cls.sums['all']}, {cls.sums['not reached']} not reached")

    def setUp(self):
        why = may_trace()
        if why:
            self.skipTest(why)
        self.tree = Tree(["center"], config=CONFIG)
        self.addCleanup(self.end)
        # LeakSanitizer traces, and what is traced already cannot be.
        options = self.tree.environment["ASAN_OPTIONS"]
        self.tree.environment["ASAN_OPTIONS"] = options + ":detect_leaks=0"
        self.center = self.tree.top
        self.center.restart()
        self.version, self.lent, self.syncing = 0, 0, None
        self.folder = self.tree.folder / "notices"
        self.folder.mkdir()
        self.trials, self.slowest = Trials([], 0), 0.0

    def end(self):
        if self.syncing is not None:
            self.syncing.kill()
            self.syncing.wait()
        self.assertEqual(self.tree.close(), [])

    def report(self):
        flow = self._testMethodName.removeprefix("test_").replace("_", " ")
        tried, missed = self.trials.tried, self.trials.missed
        say(f"\ncrash points: {flow}: {tried} of {self.trials.all}, {len(missed)} not reached, slowest back after {self.slowest:.2f} s")
        for name, n in (("tried", tried), ("all", self.trials.all), ("not reached", len(missed))):
            CrashPoints.sums[name] += n
        self.assertLessEqual(len(missed), max(1, tried // 2), [str(p) for p in missed])

    # -- what is done, and what must hold ---------------------------------------------------------------------------
    def new_version(self):
        self.version += 1
        (self.folder / "hasp-app.toml").write_text(
            '[app]\nname = "notices"\ntitle = "Notices"\nkind = "static"\naccess = "public"\n[static]\nroot = "."\n')
        (self.folder / "index.html").write_text(f"version {self.version}\n")
        for number in range(3):
            (self.folder / f"page{number}.html").write_text(f"version {self.version} of page {number}\n" * 200)

    def push(self):
        self.new_version()
        self.center.run("app", "add", self.folder, "--to", "tokyo", timeout=60)

    def child_row(self) -> dict:
        return next(c for c in self.center.status()["children"] if c["name"] == "tokyo")

    def wanted(self) -> dict:
        row = self.child_row()
        return {"generation": row["desired"]["generation"], "lease": row["lease"]}

    def converged(self) -> bool:
        row = self.child_row()
        return (row["state"] == "up" and row["reached"]["generation"] == row["desired"]["generation"]
                and row["reached"]["lease"] == row["lease"])

    def done_since(self, before: dict, act) -> bool:
        """What was done has come to its end: a release moves both numbers, what a user may do only the lease's."""
        now = self.wanted()
        moved = [name for name in now if now[name] != before[name]]
        return "lease" in moved and ("generation" in moved or act != self.push) and self.converged()

    def page(self, tier) -> str:
        answer = tier.browser(timeout=5).get("/apps/notices/index.html")
        self.assertEqual(answer.status, 200)
        return answer.text

    def serves(self, tier) -> bool:
        return tier.browser(timeout=2).get("/apps/notices/index.html").status == 200

    def held(self, tier) -> dict:
        lease, reached, apps = database(
            tier, "SELECT number FROM maint_leases WHERE child = ''", "SELECT value FROM maint_facts WHERE name = 'reached'",
            "SELECT release_id FROM maint_apps WHERE name = 'notices'")
        return {"lease": lease[0], "generation": json.loads(reached[0])["number"], "release": apps[0]}

    def check_offline(self, tier, before: int, point):
        """What the child is after the crash, without its parent: nothing that it had acknowledged is missing."""
        said = self.child_row()["reached"]
        has = self.held(tier)
        self.assertGreaterEqual(has["lease"], said["lease"], f"{point}: an acknowledged lease was lost")
        self.assertGreaterEqual(has["generation"], said["generation"], f"{point}: an acknowledged release was lost")
        text = self.page(tier)
        self.assertIn(text, (f"version {before}\n", f"version {self.version}\n"), str(point))
        number = text.split()[1]
        for page in range(3):
            self.assertEqual(tier.browser(timeout=5).get(f"/apps/notices/page{page}.html").text,
                             f"version {number} of page {page}\n" * 200, f"{point}: a mixture of releases")
        self.assertEqual(half_done(tier), [], str(point))

    # -- the child ----------------------------------------------------------------------------------------------------
    def furnish_child(self) -> Tier:
        self.center.user_add("reception", "sakura-2001")
        tokyo = self.tree.add_local("tokyo", self.center, config=CONFIG)
        self.push()
        until(self.converged, "tokyo has what it is to have", REACH_S)
        until(lambda: self.serves(tokyo), "the notices are served", REACH_S)
        return tokyo

    def count(self, flow: str, tier, act) -> list:
        keeper = tier.processes()["keeper"]
        groups = thread_groups(keeper)
        before = self.wanted()
        with Attached(self.tree.folder, [keeper], children=True) as trace:
            act()
            until(lambda: self.done_since(before, act), "the flow came to its end", REACH_S)
        found = counted(trace.log)
        points = points_of(flow, "main", found.get(keeper, Counter()))
        workers = Counter()
        for thread in groups["workers"]:
            for kind, n in (found.get(thread) or Counter()).items():
                workers[kind] = max(workers[kind], n)
        # The child process that reads packs stands beside its worker: its calls are counted by its own thread.
        for thread, counts in found.items():
            if thread not in groups["main"] + groups["workers"]:
                points += points_of(flow, "importer", counts)
        return points + points_of(flow, "workers", workers)

    def threads(self, tier, where) -> list:
        groups = thread_groups(tier.processes()["keeper"])
        return groups["workers"] if where == "importer" else groups[where]

    def crash_child(self, tier, point, act, whole: bool):
        before, wanted = self.version, self.wanted()
        pids = tier.processes()
        importer = point.where == "importer"
        refusals = self.refusals(tier)
        with Attached(self.tree.folder, self.threads(tier, point.where), point, children=importer):
            if whole:
                os.kill(pids["supervisor"], signal.SIGSTOP)  # it starts nothing again
            try:
                act()
                end = time.monotonic() + REACH_S
                while alive(pids["keeper"]) and not self.settled(wanted, act) and time.monotonic() < end:
                    if importer and self.refusals(tier) > refusals:
                        break
            finally:
                hit = not alive(pids["keeper"])
                if whole and not hit:
                    os.kill(pids["supervisor"], signal.SIGCONT)
        if importer:
            # The keeper lives, has noticed and tries again.
            self.assertFalse(hit, str(point))
            hit = self.refusals(tier) > refusals
        if not hit:
            self.trials.miss(point)
            until(self.converged, f"{point}: the flow comes to its end", REACH_S)
            return
        if importer:
            tier.gate.cut()
        elif whole:
            tier.gate.cut()
            tier.kill()
            until(lambda: not any(alive(p) for p in pids.values()), "all of it is gone", 10)
            begin = time.monotonic()
            tier.start()
            until(lambda: self.serves(tier), f"{point}: it serves again", REACH_S)
            self.back(point, begin)
        else:
            begin = time.monotonic()
            tier.gate.cut()
            until(lambda: (p := tier.processes())["keeper"] not in (pids["keeper"], -1) and alive(p["keeper"]),
                  f"{point}: the keeper is back", REACH_S)
            until(lambda: self.serves(tier), f"{point}: it serves", REACH_S)
            self.back(point, begin)
        if importer:
            tier.restart()
        self.check_offline(tier, before, point)
        tier.gate.restore()
        until(self.converged, f"{point}: it reaches what it is to have: {self.child_row()}", REACH_S)
        if act == self.push:
            until(lambda: self.page(tier) == f"version {self.version}\n", f"{point}: the new release is served", REACH_S)

    @staticmethod
    def refusals(tier) -> int:
        return (tier.tree.folder / f"{tier.name}.log").read_text(errors="replace").count(REFUSED)

    def settled(self, before: dict, act) -> bool:
        try:
            return self.done_since(before, act)
        except AssertionError:
            return False

    def back(self, point, begin: float):
        took = time.monotonic() - begin
        self.slowest = max(self.slowest, took)
        self.assertLessEqual(took, BACK_S, f"{point}: back after {took:.2f} s")

    def crash_everywhere(self, flow: str, act, part: float):
        tokyo = self.furnish_child()
        points = self.count(flow, tokyo, act)
        self.assertGreater(len(points), 0, "the flow makes something durable")
        self.trials = Trials(points, share(part))
        for number, point in enumerate(self.trials):
            # In turn the whole tier and only its keeper, which its supervisor then starts again.
            with self.subTest(str(point)):
                try:
                    self.crash_child(tokyo, point, act, whole=number % 2 == 0)
                except BaseException:
                    say(f"--- {point}\n{tokyo.log()}\n{json.dumps(tokyo.status(), indent=1)}")
                    self.recover(tokyo)
                    raise
        self.report()

    def recover(self, tier):
        """So that one failure is not taken for many."""
        tier.gate.restore()
        tier.kill()
        until(lambda: not (tier.state / "admin.sock").exists() or tier.run("status", check=False).returncode == 0, "it is gone", 10)
        tier.start()
        until(self.converged, "tokyo has what it is to have", REACH_S)

    def test_lease_install(self):
        self.crash_everywhere("lease", self.lend, 0.25)

    def lend(self):
        # One more each time: a lease that drops much waits for an operator's word.
        self.lent += 1
        self.center.user_add(f"nurse{self.lent}", "sakura-2001")
        self.center.run("local", "allow", "tokyo", f"nurse{self.lent}")

    def test_release_install(self):
        self.crash_everywhere("release", self.push, 0.4)

    # -- usage --------------------------------------------------------------------------------------------------------
    def ledger(self, tier) -> dict:
        """Events of tokyo in a tier's ledger, and how many of them its parent has confirmed."""
        with sqlite3.connect(f"file:{tier.state}/ledger.db?mode=ro", uri=True, timeout=20) as db:
            whole = db.execute("PRAGMA integrity_check").fetchone()
            row = db.execute("SELECT events, acked_events FROM billing_chains WHERE tier LIKE '%/tokyo'").fetchone()
        self.assertEqual(whole, ("ok",))
        return {"events": row[0], "acked": row[1]} if row else {"events": 0, "acked": 0}

    def use(self):
        for _ in range(10):
            self.assertEqual(self.user.get("/apps/notices/index.html").status, 200)
            self.used += 1

    def all_there(self, tokyo) -> bool:
        below, above = self.ledger(tokyo), self.ledger(self.center)
        return below["events"] == above["events"] == below["acked"] >= self.used

    def crash_usage(self, victim, tokyo, point, whole: bool):
        pids = victim.processes()
        acknowledged = self.ledger(tokyo)["acked"]
        with Attached(self.tree.folder, [pids["keeper"]], point):
            if whole:
                os.kill(pids["supervisor"], signal.SIGSTOP)
            try:
                self.use()
                end = time.monotonic() + REACH_S
                while alive(pids["keeper"]) and not self.all_there(tokyo) and time.monotonic() < end:
                    pass
            finally:
                hit = not alive(pids["keeper"])
                if whole and not hit:
                    os.kill(pids["supervisor"], signal.SIGCONT)
        if not hit:
            self.trials.miss(point)
            return
        begin = time.monotonic()
        if whole:
            victim.kill()
            until(lambda: not any(alive(p) for p in pids.values()), "all of it is gone", 10)
            begin = time.monotonic()
            victim.start()
        until(lambda: victim.processes()["keeper"] not in (pids["keeper"], -1), f"{point}: its keeper is back", REACH_S)
        until(lambda: self.user.get("/apps/notices/index.html").status == 200, f"{point}: it serves", REACH_S)
        self.used += 1
        self.back(point, begin)
        self.assertGreaterEqual(self.ledger(tokyo)["events"], acknowledged, f"{point}: confirmed usage was lost")
        tokyo.wait_link()
        if whole:
            # What nobody had sealed went with the machine's memory, in the customer's favour; no more than that, and nothing twice.
            until(lambda: (n := self.ledger(tokyo))["acked"] == n["events"] == self.ledger(self.center)["events"],
                  f"{point}: usage is reported", REACH_S)
            events = self.ledger(self.center)["events"]
            self.assertLessEqual(events, self.used, str(point))
            self.assertGreaterEqual(events, self.used - 11, str(point))
            self.used = events
        else:
            until(lambda: self.all_there(tokyo), f"{point}: all usage arrives: {self.used}, {self.ledger(self.center)}", REACH_S)
            self.assertEqual(self.ledger(self.center)["events"], self.used, f"{point}: usage arrives once")

    def crash_usage_everywhere(self, flow: str, above: bool, part: float):
        tokyo = self.furnish_child()
        self.center.run("user", "entitle", "reception", "notices")
        self.user = tokyo.browser(timeout=10)
        until(lambda: self.user.log_in("reception", "sakura-2001").status == 200, "log-in works")
        self.used = 0
        self.use()
        until(lambda: self.all_there(tokyo), f"usage arrives: {self.ledger(tokyo)}, {self.ledger(self.center)}", REACH_S)
        self.used = self.ledger(self.center)["events"]
        victim = self.center if above else tokyo
        with Attached(self.tree.folder, [victim.processes()["keeper"]]) as trace:
            self.use()
            until(lambda: self.all_there(tokyo), "usage arrives", REACH_S)
        points = points_of(flow, "main", counted_alone(trace.log))
        self.assertGreater(len(points), 0)
        self.trials = Trials(points, share(part))
        for number, point in enumerate(self.trials):
            with self.subTest(str(point)):
                try:
                    self.crash_usage(victim, tokyo, point, whole=number % 2 == 1)
                except BaseException:
                    say(f"--- {point}\n{victim.log()}\n{tokyo.log()}")
                    raise
        for tier in (tokyo, self.center):
            tier.run("bill", "verify")
        self.report()

    def test_usage_report(self):
        self.crash_usage_everywhere("report", False, 0.15)

    def test_usage_report_at_the_parent(self):
        self.crash_usage_everywhere("report above", True, 0.15)

    # -- files --------------------------------------------------------------------------------------------------------
    def furnish_files(self) -> Tier:
        tokyo = self.furnish_child()
        notebook = self.tree.folder / "notebook"
        notebook.mkdir()
        (notebook / "hasp-app.toml").write_text(
            '[app]\nname = "notebook"\ntitle = "Notebook"\nkind = "process"\ninstance = "user"\n'
            '[process]\ncommand = ["/bin/cat"]\nlisten = "tcp:5232"\n[data]\nscope = "user"\n')
        self.center.app_add(notebook, "center", "tokyo")
        tokyo.wait_holds("notebook")
        self.center.run("user", "entitle", "reception", "notebook")
        self.center.run("local", "allow", "tokyo", "reception")
        for tier in (self.center, tokyo):
            until(lambda t=tier: t.browser(timeout=10).log_in("reception", "sakura-2001").status in (200, 303), "log-in works")
            self.notes(tier).mkdir(parents=True, exist_ok=True)
        self.write(tokyo)
        until(lambda: self.equal(tokyo), "the files are equal", REACH_S)
        return tokyo

    @staticmethod
    def notes(tier) -> Path:
        return tier.state / "data/users/reception/notebook"

    def text(self, side: str, version: int) -> str:
        return "".join(f"{side}, line {n} of version {version}\n" for n in range(400))

    def write(self, tokyo):
        """Something new on both sides, so that one round carries both ways."""
        self.version += 1
        for tier in (self.center, tokyo):
            new = self.tree.folder / "new"
            new.write_text(self.text(tier.name, self.version))
            new.rename(self.notes(tier) / f"of-{tier.name}")
        self.begin_sync(tokyo)

    def begin_sync(self, tokyo):
        # In the background: it lasts for as long as the other side may be asked again.
        if self.syncing is None or self.syncing.poll() is not None:
            self.syncing = subprocess.Popen([binary(), "sync", "--state", str(tokyo.state)], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.tree.environment)

    def equal(self, tokyo) -> bool:
        wanted = {f"of-{t.name}": self.text(t.name, self.version) for t in (self.center, tokyo)}
        return all(self.files(t) == wanted for t in (self.center, tokyo)) and self.synced_folder(tokyo)["unsent_files"] == 0

    def files(self, tier) -> dict:
        return {p.name: p.read_text() for p in self.notes(tier).rglob("*") if p.is_file()}

    def equal_soon(self, tokyo) -> bool:
        try:
            return self.equal(tokyo)
        except (AssertionError, OSError, ValueError):
            return False

    def synced_folder(self, tokyo) -> dict:
        listed = json.loads(tokyo.run("sync", "--list", "--json"))["folders"]
        return next(f for f in listed if f["app"] == "notebook")

    def check_files(self, tokyo, point, agreed):
        """Each file is the old or the new one, nothing else lies there, and what the home confirmed is in the home."""
        for tier in (self.center, tokyo):
            for name, found in self.files(tier).items():
                side = name.removeprefix("of-")
                self.assertTrue(found in [self.text(side, v) for v in (self.version - 1, self.version)],
                                f"{point}: {name} at {tier.name} is neither old nor new")
        if (self.synced_folder(tokyo)["synced"] or "") > agreed:
            # The home has it, and gives it to the copy beside it without asking tokyo once more.
            tokyo.gate.cut()
            until(lambda: self.files(self.center)["of-tokyo"] == self.text("tokyo", self.version),
                  f"{point}: what was confirmed is there", REACH_S)
            tokyo.gate.restore()

    def crash_files(self, victim, tokyo, point, whole: bool):
        until(lambda: victim.run("status", check=False).returncode == 0, f"{victim.name} is back since the crash before", 20)
        pids = victim.processes()
        until(lambda: self.syncing.poll() is not None, "no round is under way", 60)
        agreed = self.synced_folder(tokyo)["synced"]
        with Attached(self.tree.folder, self.threads(victim, point.where), point):
            if whole:
                os.kill(pids["supervisor"], signal.SIGSTOP)
            try:
                self.write(tokyo)
                end = time.monotonic() + REACH_S
                while alive(pids["keeper"]) and not self.equal_soon(tokyo) and time.monotonic() < end:
                    pass
            finally:
                hit = not alive(pids["keeper"])
                if whole and not hit:
                    os.kill(pids["supervisor"], signal.SIGCONT)
        if not hit:
            self.trials.miss(point)
        else:
            begin = time.monotonic()
            if whole:
                victim.kill()
                until(lambda: not any(alive(p) for p in pids.values()), "all of it is gone", 10)
                begin = time.monotonic()
                victim.start()
            until(lambda: victim.processes()["keeper"] not in (pids["keeper"], -1), f"{point}: its keeper is back", REACH_S)
            until(lambda: self.serves(victim), f"{point}: it serves", REACH_S)
            self.back(point, begin)
            self.check_files(tokyo, point, agreed)
        tokyo.wait_link()
        until(lambda: self.synced(tokyo), f"{point}: the files are equal", REACH_S)

    def synced(self, tokyo) -> bool:
        self.begin_sync(tokyo)
        return self.equal_soon(tokyo)

    def crash_files_everywhere(self, flow: str, above: bool, part: float):
        tokyo = self.furnish_files()
        victim = self.center if above else tokyo
        keeper = victim.processes()["keeper"]
        groups = thread_groups(keeper)
        with Attached(self.tree.folder, groups["main"] + groups["workers"]) as trace:
            self.write(tokyo)
            until(lambda: self.equal(tokyo), "the files are equal", REACH_S)
        found = counted(trace.log)
        workers = Counter()
        for thread in groups["workers"]:
            for kind, n in found.get(thread, Counter()).items():
                workers[kind] = max(workers[kind], n)
        points = points_of(flow, "main", found.get(keeper, Counter())) + points_of(flow, "workers", workers)
        self.assertGreater(len(points), 0, "files are made durable")
        self.trials = Trials(points, share(part))
        for number, point in enumerate(self.trials):
            with self.subTest(str(point)):
                try:
                    self.crash_files(victim, tokyo, point, whole=number % 2 == 0)
                except BaseException:
                    say(f"--- {point}\n{victim.log()}\n{tokyo.log()}\n{tokyo.run('sync', '--list', check=False).stdout}")
                    raise
        self.report()

    def test_sync(self):
        self.crash_files_everywhere("sync", False, 0.25)

    def test_sync_at_the_home(self):
        self.crash_files_everywhere("sync at the home", True, 0.2)

    # -- enrolment ----------------------------------------------------------------------------------------------------
    def join(self, tier, line: str, words=()):
        """`hasp relay --join -`, under `words`; until it serves or has ended. True: it serves."""
        out, log = self.tree.folder / f"{tier.name}.out", self.tree.folder / f"{tier.name}.log"
        with open(out, "wb") as stdout, open(log, "ab") as stderr:
            tier.process = subprocess.Popen([*words, binary(), "relay", "--state", str(tier.state), "--join", "-"],
                                            stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, env=self.tree.environment,
                                            start_new_session=True)
        with tier.process.stdin as pipe:
            pipe.write((line + "\n").encode())
        until(lambda: b"ready " in out.read_bytes() or tier.process.poll() is not None, f"{tier.name} serves or ends", START_S)
        return tier.process.poll() is None

    def new_box(self):
        name = f"box{self.version}"
        self.version += 1
        tier = Tier(self.tree, name, self.center, config=CONFIG)
        self.tree.tiers.append(tier)
        return tier, self.center.invite(name, f"127.0.0.1:{self.center.link_port}")

    def leave(self, tier):
        tier.stop()
        self.tree.tiers.remove(tier)

    def check_joined(self, tier, line: str, point):
        begin = time.monotonic()
        self.assertTrue(self.join(tier, line), f"{point}: it joins when the command is given again:\n{tier.log()}")
        self.back(point, begin)
        tier.wait_link()
        rows = [c for c in self.center.status()["children"] if c["name"] == tier.name]
        self.assertEqual([c["state"] for c in rows], ["up"], str(point))
        self.assertEqual(half_done(tier), [], str(point))
        self.leave(tier)

    def test_enrolment_at_the_box(self):
        tier, line = self.new_box()
        log = self.tree.folder / "join.log"
        # Followed, so that the log names the process of each call; only those of the command itself are its points.
        self.assertTrue(self.join(tier, line, [*strace_words(log), "-f"]))
        pid = next(int(p) for p in os.listdir("/proc") if p.isdigit() and self.parent_of(p) == tier.process.pid)
        points = points_of("enrolment", "command", counted(log).get(pid) or Counter())
        os.kill(pid, signal.SIGTERM)
        tier.process.wait(20)
        tier.process = None
        self.tree.tiers.remove(tier)
        self.assertGreater(len(points), 5)
        self.trials = Trials(points, share(0.2))
        for point in self.trials:
            with self.subTest(str(point)):
                tier, line = self.new_box()
                if self.join(tier, line, strace_words(log, point)):
                    self.trials.miss(point)
                tier.process = None
                self.check_joined(tier, line, point)
        self.report()

    @staticmethod
    def parent_of(pid) -> int:
        try:
            return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return -1

    def test_enrolment_at_the_parent(self):
        def keeper():
            return self.center.processes()["keeper"]

        tier, line = self.new_box()
        with Attached(self.tree.folder, [keeper()]) as trace:
            self.assertTrue(self.join(tier, line))
            tier.wait_link()
        points = points_of("enrolment above", "main", counted_alone(trace.log))
        self.leave(tier)
        self.assertGreater(len(points), 0)
        self.trials = Trials(points, share(0.15))
        for point in self.trials:
            with self.subTest(str(point)):
                tier, line = self.new_box()
                old = keeper()
                with Attached(self.tree.folder, [old], point):
                    joined = self.join(tier, line)
                    until(lambda p=old, t=tier, j=joined: not alive(p) or (j and t.link_is_up()), "the crash, or the link", REACH_S)
                    hit = not alive(old)
                if not hit:
                    self.trials.miss(point)
                else:
                    begin = time.monotonic()
                    until(lambda o=old: keeper() not in (o, -1), f"{point}: the keeper is back", REACH_S)
                    self.back(point, begin)
                    database(self.center)
                if joined:
                    tier.wait_link()
                    self.leave(tier)
                else:
                    tier.process = None
                    self.check_joined(tier, line, point)
        self.report()


def counted_alone(log) -> Counter:
    """Of one thread, whose lines bear no number."""
    return Counter(line.split("(", 1)[0] for line in log.read_text().splitlines() if "(" in line)


if __name__ == "__main__":
    main()
