#!/usr/bin/python3
"""What is billed is what was used: a tree serves, this test counts, and the invoice says the same number, over killed keepers,
cut links and a disk that takes nothing; a copied box is refused and shown; a planted corruption is found and named."""
import csv
import datetime
import io
import json
import os
import resource
import shutil
import signal
import sqlite3
import threading
import unittest

from harness.apps import processes_of
from harness.backend import Backend
from harness.case import TreeCase, depth_adds_nothing, main
from harness.memory import alive
from harness.tree import Tree, app_folder
from harness.waiting import until

TARIFF = """[tariff]
version = "test"
currency = "EUR"
effective_from = "2020-01-01"

[[price]]
line = "Far"
per = "request"
rate = "0.0125"
tax = "19"
apps = ["echo"]

[[price]]
line = "Near"
per = "request"
rate = "0.005"
tax = "19"
apps = ["leaflets"]

[[price]]
line = "Starts"
per = "app_start"
rate = "0.1"
apps = ["wiki"]
"""


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Load:
    """Threads that ask 100 times a second each, as far as they are answered, and count the whole answers that they got."""

    def __init__(self, tier, cookies, path, threads=2):
        self.failures, self._counts = [], [0] * threads
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i, tier, cookies, path), daemon=True) for i in range(threads)]

    def _ask(self, i, tier, cookies, path):
        browser = tier.browser(timeout=20)
        browser.cookies = cookies
        while not self._stop.wait(0.01):
            try:
                status = browser.get(path).status
            except OSError as error:
                status = repr(error)
            if status == 200:
                self._counts[i] += 1
            else:
                self.failures.append(status)

    @property
    def answers(self):
        return sum(self._counts)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        until(lambda: self.answers > 20, "the load runs")
        return self

    def go_on(self, more: int):
        begin = self.answers
        until(lambda: self.answers >= begin + more, f"{more} more answers", 60)

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def lines_of(tier, period, user="reception"):
    shown = json.loads(tier.run("bill", "show", period, "--user", user, "--json"))
    return {line["text"]: line["quantity"] for line in shown["invoices"][0]["lines"]}


def unsent(tier):
    return tier.status()["usage"]["unsent_events"]


def close(tier, period, *more):
    """Until the tiers below have said that they sent all."""
    def tried():
        done = tier.run("bill", "close", period, "--json", *more, check=False)
        return done if done.returncode != 3 else None
    return until(tried, f"{period} can be closed", 60)


class Billing(TreeCase):
    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("echo", cls.backend.url)
        cls.tree.top.app_add(app_folder("leaflets"), cls.tree.bottom.name)
        cls.tree.top.app_add(app_folder("wiki"), cls.tree.bottom.name)
        for name in ("leaflets", "wiki"):
            cls.tree.bottom.wait_holds(name)
        cls.tree.top.user_add("intern", "momiji-1990", apps=["wiki"])
        cls.tree.top.user_add("reception", "sakura-2001", apps=["echo", "leaflets"])
        cls.tree.top.run("bill", "tariff", "set", "-", stdin=TARIFF)

    def signed_on(self):
        browser = self.tree.bottom.browser(timeout=20)
        until(lambda: browser.log_in("reception", "sakura-2001").status == 200, "log-in works")
        self.tree.bottom.wait_reaches("/apps/echo/x", browser)
        self.tree.bottom.wait_reaches("/apps/leaflets/", browser)
        until(lambda: all(unsent(t) == 0 for t in self.tree.tiers), "all usage before has gone up")
        # What was asked for until now belongs to the time before the test's period.
        return browser.cookies

    def kill(self, tier, role):
        old = tier.processes()[role]
        os.kill(old, signal.SIGKILL)
        until(lambda: (p := tier.processes())[role] != old and alive(p[role]), f"{role} of {tier.name} is back", 20)

    def test_1_the_invoice_is_the_count_over_killed_keepers_and_a_cut_link(self):
        top, bottom = self.tree.top, self.tree.bottom
        cookies = self.signed_on()
        begin = now()
        with Load(bottom, cookies, "/apps/echo/x") as far, Load(bottom, cookies, "/apps/leaflets/") as near:
            self.kill(bottom, "keeper")
            near.go_on(200)
            self.kill(top, "keeper")
            far.go_on(100)
            self.kill(bottom, "keeper")
            far.go_on(100)
        bottom.wait_link()
        bottom.gate.cut()
        bottom.wait_link("down")
        with Load(bottom, cookies, "/apps/leaflets/") as dark:
            dark.go_on(200)
            self.kill(bottom, "keeper")
            dark.go_on(200)
        end = now()
        period = f"{begin}/{end}"
        self.assertGreater(until(lambda: unsent(bottom), "usage waits at the bottom"), 0)
        early = top.run("bill", "close", period, check=False)
        self.assertEqual(early.returncode, 3, early.stderr)
        self.assertIn(self.tree.tiers[1].name, early.stderr)
        bottom.gate.restore()
        closed = close(top, period)
        self.assertEqual(closed.returncode, 0, closed.stderr)
        for load in (far, near, dark):
            self.assertEqual(load.failures, [])
        self.assertEqual(lines_of(top, period), {"Far": far.answers, "Near": near.answers + dark.answers})
        for tier in self.tree.tiers[1:]:
            self.assertEqual(unsent(tier), 0)
            self.assertEqual(tier.status()["usage"]["dropped"], 0)

        # The same by every other door.
        again = top.run("bill", "close", period, check=False)
        self.assertEqual(again.returncode, 6, again.stderr)
        self.assertEqual(top.run("bill", "close", period, "--quiet", check=False).stdout, "")
        behind = json.loads(top.run("bill", "show", period, "--user", "reception", "--explain", "2", "--json"))
        self.assertEqual(behind["count"], near.answers + dark.answers)
        self.assertEqual({b["tier"].split("/")[-1] for b in behind["batches"]}, {bottom.name})
        rows = list(csv.DictReader(io.StringIO(top.run("bill", "show", period, "--csv"))))
        self.assertEqual([r["quantity"] for r in rows if r["kind"] == "line"],
                         [str(far.answers), str(near.answers + dark.answers)])
        self.assertIn(f"{far.answers}", top.run("bill", "show", period, "--user", "reception"))
        self.assertEqual(top.run("bill", "verify", "--quiet"), "")
        type(self).period = period

    @depth_adds_nothing
    def test_2_a_disk_that_takes_nothing_loses_nothing(self):
        top, bottom = self.tree.top, self.tree.bottom
        cookies = self.signed_on()
        begin = now()
        keeper = bottom.processes()["keeper"]
        _, most = resource.prlimit(keeper, resource.RLIMIT_FSIZE)
        with Load(bottom, cookies, "/apps/leaflets/") as load:
            resource.prlimit(keeper, resource.RLIMIT_FSIZE, (0, most))
            until(lambda: bottom.status()["usage"].get("failing"), "the status says that usage cannot be written")
            load.go_on(100)
            resource.prlimit(keeper, resource.RLIMIT_FSIZE, (most, most))
            until(lambda: not bottom.status()["usage"].get("failing"), "usage is written again")
            load.go_on(50)
        self.assertEqual(bottom.processes()["keeper"], keeper, "it did not die of it")
        period = f"{begin}/{now()}"
        self.assertEqual(close(top, period).returncode, 0)
        self.assertEqual(load.failures, [])
        self.assertEqual(lines_of(top, period), {"Near": load.answers})

    @depth_adds_nothing
    def test_2_each_start_of_an_app_is_billed_to_whom_it_was_started_for(self):
        top, bottom = self.tree.top, self.tree.bottom
        begin = now()
        for _ in range(2):
            browser = bottom.browser(timeout=60)
            until(lambda: browser.log_in("intern", "momiji-1990").status == 200, "log-in works")  # noqa: B023
            for _ in range(3):
                until(lambda: browser.get("/apps/wiki/status").status == 200, "the wiki answers", 60)  # noqa: B023
            old = processes_of(bottom, "tiddlywiki")
            self.assertTrue(old)
            # A keeper that forgot what it has started must not take what runs for a new start.
            self.kill(bottom, "keeper")
            until(lambda: browser.get("/apps/wiki/status").status == 200, "the wiki answers", 60)  # noqa: B023
            for pid in old:
                os.kill(pid, signal.SIGKILL)
            until(lambda: not any(alive(pid) for pid in old), "the wiki is gone")  # noqa: B023
        bottom.wait_link()
        period = f"{begin}/{now()}"
        self.assertEqual(close(top, period).returncode, 0)
        self.assertEqual(lines_of(top, period, "intern"), {"Starts": 2})

    @depth_adds_nothing
    def test_3_bad_input_is_refused_and_the_old_stays(self):
        top = self.tree.top
        bad = self.tree.folder / "float.toml"
        bad.write_text(TARIFF.replace('"0.0125"', "0.0125").replace('version = "test"', 'version = "next"'))
        for verb in ("set", "check"):
            done = top.run("bill", "tariff", verb, bad, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("float.toml:9: price.rate is a floating-point number", done.stderr)
            self.assertIn('rate = "0.0125"', done.stderr)
        other = top.run("bill", "tariff", "set", "-", stdin=TARIFF.replace("0.0125", "0.0126"), check=False)
        self.assertEqual(other.returncode, 6, other.stderr)
        self.assertEqual(top.run("bill", "tariff", "show", "test"), TARIFF)
        for period, code in (("soon", 2), ("2019-01", 5), ("2999-01", 75), ("2026-01-01T00:00:00Z/2025-01-01T00:00:00Z", 2)):
            done = top.run("bill", "close", period, check=False)
            self.assertEqual(done.returncode, code, f"{period}: {done.stderr}")
        self.assertEqual(top.run("bill", "show", "2001-01", check=False).returncode, 5)

    @depth_adds_nothing
    def test_4_without_a_running_tier_the_ledger_is_read_and_a_corruption_is_named(self):
        top = self.tree.top
        period = getattr(type(self), "period", None)
        self.assertIsNotNone(period, "the first test has closed a period")
        top.stop()
        try:
            before = lines_of(top, period)
            self.assertEqual(top.run("bill", "verify", check=False).returncode, 0)
            with sqlite3.connect(top.state / "ledger.db") as db:
                tier, epoch, stream, first, events = db.execute(
                    "SELECT tier, epoch, stream, first, events FROM billing_batches ORDER BY count DESC LIMIT 1").fetchone()
                place = (tier, epoch, stream, first)
                where = "tier = ? AND epoch = ? AND stream = ? AND first = ?"
                db.execute(f"UPDATE billing_batches SET events = ? WHERE {where}",
                           (events[:-1] + bytes([events[-1] ^ 1]), *place))
            found = top.run("bill", "verify", check=False)
            self.assertEqual(found.returncode, 4)
            self.assertIn(f"{tier} epoch {epoch} stream {stream} event {first}", found.stdout)
            with sqlite3.connect(top.state / "ledger.db") as db:
                db.execute(f"UPDATE billing_batches SET events = ? WHERE {where}", (events, *place))
            self.assertEqual(top.run("bill", "verify", check=False).returncode, 0)
            self.assertEqual(lines_of(top, period), before)
        finally:
            top.start()
            self.tree.tiers[1].wait_link()


class CopiedBox(unittest.TestCase):
    @depth_adds_nothing
    def test_two_boxes_with_one_key_are_refused_and_shown(self):
        with Tree(["center", "tokyo"]) as tree:
            top, box = tree.top, tree.bottom
            top.app_add(app_folder("leaflets"), "tokyo")
            box.wait_holds("leaflets")
            top.user_add("nurse", "sakura-2001", apps=["leaflets"])
            top.run("bill", "tariff", "set", "-", stdin=TARIFF)
            box.stop()
            copy = tree.folder / "copy"
            shutil.copytree(box.state, copy, ignore=shutil.ignore_patterns("*.sock", "run"), symlinks=True)
            begin = now()
            box.start()
            box.wait_link()
            self.use(box, 5)
            until(lambda: unsent(box) == 0, "the usage has gone up")
            box.stop()
            shutil.move(box.state, tree.folder / "original")
            shutil.move(copy, box.state)
            box.start()
            box.wait_link()
            self.use(box, 3)
            forks = until(lambda: top.status()["usage"]["forks"], "the center shows the fork")
            self.assertTrue(forks[0]["tier"].endswith("/tokyo"))
            self.assertTrue(any("two boxes run with its key" in e["text"] for e in top.status()["errors"]))
            self.assertTrue(until(lambda: [s for s in box.status()["usage"]["streams"] if s.get("stopped")], "the box knows"))
            self.assertGreaterEqual(unsent(box), 3)
            period = f"{begin}/{now()}"
            self.assertEqual(top.run("bill", "close", period, check=False).returncode, 3)
            top.run("bill", "close", period, "--partial")
            self.assertEqual(lines_of(top, period, "nurse"), {"Near": 5})

    def use(self, tier, count):
        browser = tier.browser(timeout=20)
        until(lambda: browser.log_in("nurse", "sakura-2001").status == 200, "log-in works")
        for _ in range(count):
            self.assertEqual(browser.get("/apps/leaflets/").status, 200)


if __name__ == "__main__":
    main()
