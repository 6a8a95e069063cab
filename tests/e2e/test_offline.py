#!/usr/bin/python3
"""C4, E1: the link goes, people work on. Trees of depth 2 and 4; the link that is cut is the highest, so that at depth 4 the
local's own link stays up and the chain above it breaks."""
import json
import os

from harness.case import TreeCase, main
from harness.tree import app_folder
from harness.waiting import until

PASSWORD = "nagoya-1998"


class WorksOnWithoutTheLink(TreeCase):
    @classmethod
    def furnish(cls):
        top, local = cls.tree.top, cls.tree.bottom
        top.app_add(app_folder("leaflets"), local.name)
        top.app_add(app_folder("calendar"), local.name)
        top.app_add(app_folder("archive"))
        top.user_add("nurse", PASSWORD, "Nurse Aiko", apps=["leaflets", "archive", "calendar"])
        top.user_add("visitor", PASSWORD, apps=["leaflets"])
        for above, below in zip(cls.tree.tiers, cls.tree.tiers[1:]):
            above.run("local", "allow", below.name, "nurse")
        local.wait_holds("leaflets")
        local.wait_holds("calendar")
        until(lambda: any(g["kind"] == "log-in" and g["what"] == "nurse" for g in
                          json.loads(local.run("lease", "show", "--json"))["grants"]), "the lease lets nurse log in", 30)
        for app in ("leaflets", "calendar"):
            until(lambda: cls.why(top, app, local.name)["served"], f"{app} may run at {local.name}", 30)

    @staticmethod
    def why(asked, app, at, user=""):
        return json.loads(asked.run("why", app, "--at", at, "--json", *(["--user", user] if user else [])))

    def setUp(self):
        self.cut = self.tree.tiers[1]  # below the top
        self.addCleanup(self.back)

    def back(self):
        self.cut.gate.restore()
        self.cut.wait_link()

    def break_chain(self):
        self.cut.gate.cut()
        self.cut.wait_link("down")

    def test_who_never_logged_in_anywhere_logs_in_at_the_local_and_works(self):
        self.break_chain()
        browser = self.tree.bottom.browser()
        page = browser.log_in("nurse", PASSWORD)
        self.assertEqual(page.status, 200, page.text)
        self.assertIn("Nurse Aiko", page.text)
        self.assertEqual(browser.get("/apps/leaflets/").status, 200)
        self.assertIn(browser.get("/apps/calendar/").status, (200, 302, 303))
        # At depth 4 the tier above is reached: it has not seen this log-in, and asks for one.
        self.assertIn(browser.get("/apps/archive/").status, (502, 503) if len(self.tree.tiers) == 2 else (302, 303, 401, 502, 503))
        if len(self.tree.tiers) == 2:
            self.assertIn("The link to", page.text)
            self.assertIn("is down since", page.text)

    def test_every_failure_gets_the_same_page(self):
        self.break_chain()
        said = set()
        for user, password in (("visitor", PASSWORD), ("nurse", "wrong-password"), ("nobody-at-all", "wrong-password")):
            page = self.tree.bottom.browser().log_in(user, password)
            self.assertEqual(page.status, 401)
            said.add(page.text.replace(user, ""))
        self.assertEqual(len(said), 1)
        self.assertIn("cannot be checked now", said.pop())

    def test_after_the_return_the_session_goes_on_here_and_elsewhere_asks_for_a_log_in(self):
        self.break_chain()
        browser = self.tree.bottom.browser()
        self.assertEqual(browser.log_in("nurse", PASSWORD).status, 200)
        self.back()
        until(lambda: self.why(self.tree.bottom, "archive", self.tree.bottom.name)["served"], "archive can be reached", 30)
        self.assertEqual(browser.get("/apps/leaflets/").status, 200)
        answer = browser.get("/apps/archive/")
        self.assertIn(answer.status, (302, 303))
        self.assertIn("/hasp/login", answer.headers["location"])
        self.assertEqual(browser.log_in("nurse", PASSWORD).status, 200)
        self.tree.bottom.wait_reaches("/apps/archive/", browser)

    def test_after_a_kill_without_the_link_all_leased_apps_answer_within_30_s(self):
        self.break_chain()
        local = self.tree.bottom
        browser = local.browser()
        self.assertEqual(browser.log_in("nurse", PASSWORD).status, 200)
        local.kill()
        local.start()

        def all_answer():
            return all(browser.get(f"/apps/{app}/").status in (200, 302, 303) for app in ("leaflets", "calendar"))
        until(all_answer, "all leased apps answer", 30)
        self.assertEqual(local.browser().log_in("nurse", PASSWORD).status, 200)

    def test_why_and_the_offline_report_name_what_stops_and_who_can_log_in(self):
        top, local = self.tree.top, self.tree.bottom
        report = json.loads(top.run("offline-report", local.name, "--json"))
        self.assertTrue(report["live"])
        self.assertEqual({a["app"] for a in report["goes_on"]}, {"leaflets", "calendar"})
        self.assertIn("archive", {a["app"] for a in report["stops"]})
        self.assertIn("nurse", {u["user"] for u in report["log_in"]})
        text = top.run("offline-report", local.name)
        self.assertIn("Stops at once", text)
        self.break_chain()
        said = self.why(top, "leaflets", local.name)
        self.assertFalse(said["live"])
        self.assertTrue(said["as_of"])
        self.assertFalse(self.why(self.cut, "archive", self.cut.name)["served"])
        below_cut = self.why(local, "leaflets", local.name, "visitor")
        if len(self.tree.tiers) == 2:
            self.assertFalse(below_cut["served"])
            self.assertIn("not on its list", below_cut["cause"])

    def test_status_and_doctor_say_that_the_link_is_down(self):
        done = self.tree.bottom.run("doctor", "--json", check=False)
        checks = {f["check"]: f["state"] for f in json.loads(done.stdout)["findings"]}
        for check in ("running", "state", "keys", "certificates", "database", "clock", "link"):
            self.assertEqual(checks.get(check), "ok", done.stdout)
        self.break_chain()
        done = self.cut.run("doctor", "--json", check=False)
        self.assertEqual(done.returncode, 1)
        down = next(f for f in json.loads(done.stdout)["findings"] if f["check"] == "link")
        self.assertEqual(down["state"], "problem")
        self.assertTrue(down["next"])
        until(lambda: "dark since" in self.tree.top.run("status"), "the top says that it is dark")

    def test_status_answers_at_once_while_the_link_comes_and_goes(self):
        rounds = int(os.environ.get("HASP_CUTS", "5"))
        for _ in range(rounds):
            self.cut.gate.cut()
            for tier in self.tree.tiers:
                tier.run("status", "--json", timeout=5)
            self.cut.gate.restore()
            for tier in self.tree.tiers:
                tier.run("status", "--json", timeout=5)
        self.cut.wait_link()


if __name__ == "__main__":
    main()
