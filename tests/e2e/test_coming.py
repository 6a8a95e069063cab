#!/usr/bin/python3
"""An app starts before all of its user's files are here; whoever opens one waits for its content, and nobody reads zeros."""
import json
import os
import random
import signal
from pathlib import Path

from harness.case import TreeCase, main
from harness.tree import app_folder
from harness.waiting import until

SCANS = {f"scan-{n}": random.Random(n).randbytes(2 << 20) for n in range(12)}
FIRST = [f"scan-{n}" for n in range(12)]
SLOW = "[files]\non_demand = true\n[link]\nfiles_kib_s = 1500\n"  # of the 24 MB, 8 come along


def marks_can_be_set(folder: Path) -> bool:
    probe = folder / "probe"
    probe.write_bytes(b"")
    try:
        os.setxattr(probe, "trusted.hasp.probe", b"1")
        return True
    except OSError:
        return False
    finally:
        probe.unlink()


class Coming(TreeCase):
    @classmethod
    def furnish(cls):
        cls.center = cls.tree.top
        cls.tokyo = cls.tree.bottom
        cls.center.app_add(app_folder("wiki"), cls.center.name, cls.tokyo.name)
        cls.tokyo.wait_holds("wiki")
        cls.center.user_add("reception", "sakura-2001", apps=["wiki"])
        cls.tokyo.stop()
        cls.tokyo.write_config(SLOW)
        cls.tokyo.start()
        cls.tokyo.wait_link()

    def setUp(self):
        if not marks_can_be_set(self.tokyo.state):
            self.skipTest("trusted attributes cannot be set here: only root may, on most file systems")

    def folder(self, tier) -> Path:
        return tier.state / "data/users/reception/wiki"

    def listed(self, tier) -> dict:
        found = json.loads(tier.run("sync", "--list", "--json"))["folders"]
        return next((f for f in found if f["user"] == "reception"), {})

    def log_in(self, tier):
        browser = tier.browser()
        self.assertEqual(browser.log_in("reception", "sakura-2001").status, 200)
        until(lambda: browser.get("/apps/wiki/status").status == 200, f"the wiki answers at {tier.name}", 60)
        return browser

    def read_or_error(self, name: str):
        try:
            return (self.folder(self.tokyo) / "scans" / name).read_bytes()
        except OSError as error:
            return error.errno

    def test_1_an_app_starts_and_files_come_when_they_are_opened(self):
        self.log_in(self.center)
        scans = self.folder(self.center) / "scans"
        scans.mkdir()
        for age, name in enumerate(FIRST):  # the newest first: scan-0 comes last
            (scans / name).write_bytes(SCANS[name])
            os.utime(scans / name, (1_600_000_000 + age, 1_600_000_000 + age))
        self.center.run("sync", "--user", "reception")
        self.log_in(self.tokyo)
        left = self.listed(self.tokyo)
        self.assertGreater(left["to_come_files"], 3, left)
        names = sorted(entry.name for entry in (self.folder(self.tokyo) / "scans").iterdir())
        self.assertEqual(names, sorted(FIRST))
        for name in FIRST:  # between a piece and its time there is a moment
            file = self.folder(self.tokyo) / "scans" / name
            self.assertEqual(file.stat().st_size, 2 << 20)
            until(lambda f=file, n=name: int(f.stat().st_mtime) == 1_600_000_000 + FIRST.index(n), f"{name} is as old as it was", 20)
        oldest = next(n for n in FIRST if (self.folder(self.tokyo) / "scans" / n).stat().st_blocks < 100)
        self.assertEqual(self.read_or_error(oldest), SCANS[oldest], "whoever opens it waits for its content")
        still = self.listed(self.tokyo)
        self.assertGreater(still["to_come_files"], 0, "and not for that of the others")
        self.assertEqual(still["unsent_files"], 0)
        # While nobody answers whoever opens a file waits, or is told; zeros are given to nobody.
        last = next(n for n in FIRST if (self.folder(self.tokyo) / "scans" / n).stat().st_blocks < 100)
        os.kill(self.tokyo.processes()["keeper"], signal.SIGKILL)
        got = self.read_or_error(last)
        self.assertTrue(isinstance(got, int) or got == SCANS[last], "zeros, or something else")

    def test_2_after_a_restart_of_all_they_wait_as_before(self):
        self.tokyo.restart()
        self.tokyo.wait_link()
        for name in FIRST:
            got = self.read_or_error(name)
            self.assertTrue(isinstance(got, int) or got == SCANS[name], f"{name}: zeros, or something else")
        self.tokyo.run("sync", "--user", "reception", timeout=120)
        left = self.listed(self.tokyo)
        self.assertEqual((left["to_come_files"], left["unsent_files"]), (0, 0), left)
        for name in FIRST:
            self.assertEqual(self.read_or_error(name), SCANS[name])
            self.assertEqual(int((self.folder(self.tokyo) / "scans" / name).stat().st_mtime), 1_600_000_000 + FIRST.index(name))
        self.log_in(self.tokyo)
        self.assertEqual(self.listed(self.center)["conflicts"], 0)


if __name__ == "__main__":
    main()
