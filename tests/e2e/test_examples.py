#!/usr/bin/python3
"""The files of examples/ do as they stand: each cron line runs as cron would run it, silent while all is well."""
import datetime
import json
import re
import subprocess

from harness.apps import put_tiddler
from harness.case import TreeCase, main
from harness.tree import ROOT, app_folder, binary
from harness.waiting import until

FIELDS = 5  # minute, hour, day, month, day of the week
JOB = re.compile(rf"((?:\S+\s+){{{FIELDS}}})(\S+)\s+(.+)")


def fragment():
    """(environment, commands) of examples/cron/hasp, read as cron does (crontab(5))."""
    environment, commands = {}, []
    for line in (ROOT / "examples/cron/hasp").read_text().splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if setting := re.fullmatch(r"(\w+)\s*=\s*(.*)", line):
            environment[setting[1]] = setting[2]
            continue
        job = JOB.fullmatch(line)
        assert job, f"cron does not understand: {line}"
        assert all(re.fullmatch(r"[\d*/,-]+", field) for field in job[1].split()), line
        # An unescaped % would end the command there.
        assert not re.search(r"(?<!\\)%", job[3]), f"a % that cron takes for a new line: {line}"
        commands.append(job[3].replace("\\%", "%"))
    return environment, commands


class CronLines(TreeCase):
    @classmethod
    def furnish(cls):
        cls.environment, cls.commands = fragment()
        cls.top, cls.local = cls.tree.top, cls.tree.bottom
        cls.top.app_add(app_folder("wiki"), cls.local.name)
        cls.local.wait_holds("wiki")
        cls.top.user_add("reception", "sakura-2001", apps=["wiki"])
        cls.top.run("bill", "tariff", "set", ROOT / "examples/tariff/clinics.toml")
        cls.backups = cls.tree.folder / "backups"
        cls.backups.mkdir(mode=0o700)
        for above, below in zip(cls.tree.tiers, cls.tree.tiers[1:]):
            above.run("local", "allow", below.name, "reception")

    def cron(self, tier, command: str):
        """Runs it with the fragment's environment and no other, where the fragment says that hasp and its state are."""
        program = self.environment["PATH"].split(":")[0]
        inside = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", program, "--ro-bind", binary(), f"{program}/hasp",
                  "--tmpfs", "/var/lib", "--bind", str(tier.state), self.environment["HASP_STATE"],
                  "--tmpfs", "/var/backups", "--bind", str(self.backups), self.environment["HASP_BACKUPS"]]
        return subprocess.run([*inside, "--", self.environment["SHELL"], "-c", command], env={"HOME": "/", **self.environment},
                              capture_output=True, text=True, timeout=60, check=False)

    def lines(self, word: str) -> list:
        found = [command for command in self.commands if word in command]
        self.assertTrue(found, f"no line has {word}")
        return found

    def said(self, tier, word: str) -> str:
        return "".join(done.stdout + done.stderr for done in (self.cron(tier, command) for command in self.lines(word)))

    def test_1_every_line_is_silent_while_all_is_well(self):
        browser = self.local.browser()
        self.assertEqual(browser.log_in("reception", "sakura-2001").status, 200)
        until(lambda: browser.get("/apps/wiki/status").status == 200, "the wiki answers", 60)
        self.assertEqual(put_tiddler(browser, "Note", "by reception").status, 204)
        self.local.run("sync", "--wait")
        until(lambda: not [f for f in json.loads(self.top.run("doctor", "--json", check=False).stdout)["findings"]
                           if f["check"] == "drift" and f["state"] != "ok"], "all is as it is to be", 30)
        # What is done once by hand: the keys are saved, and the first backup is made.
        self.top.run("backup", "keys", self.tree.folder / "keys", "--passphrase-file", "-", stdin="a passphrase of the test\n")
        self.assertEqual(self.said(self.top, "hasp backup --quiet"), "")
        for command in self.commands:
            done = self.cron(self.top, command)
            # grep says by 1 that it found nothing.
            self.assertEqual(done.returncode, 1 if "grep" in command else 0, f"{command}: {done}")
            if "doctor" not in command:
                self.assertEqual(done.stdout + done.stderr, "", command)
        for command in self.lines("hasp sync"):
            self.assertEqual(self.cron(self.local, command).stdout, "")

    def test_2_the_bill_of_the_month_before_is_there_and_closed_once(self):
        month = (datetime.datetime.now(datetime.timezone.utc).replace(day=1) - datetime.timedelta(days=1)).strftime("%Y-%m")
        if month not in {p["period"] for p in json.loads(self.top.run("bill", "show", "--json"))["periods"]}:
            self.assertEqual(self.said(self.top, "bill close"), "")
        self.assertIn(month, self.top.run("bill", "show"))
        self.assertEqual([self.cron(self.top, line).returncode for line in self.lines("bill close")], [6])

    def test_3_a_cut_link_is_told_by_three_lines(self):
        self.local.gate.cut()
        self.local.wait_link("down")
        until(lambda: "dark" in self.tree.tiers[-2].run("status"), "the tier above sees it dark")
        self.assertIn(f"{self.local.name}  dark since", self.said(self.tree.tiers[-2], "dark since"))
        self.assertIn("there is no link", self.said(self.local, "hasp sync"))
        self.assertIn("link", self.said(self.local, "hasp doctor"))
        self.local.gate.restore()
        self.local.wait_link()


if __name__ == "__main__":
    main()
