#!/usr/bin/python3
"""A channel between two processes breaks while both of them live: it is made anew, and users hardly notice."""
import os
import signal
import time

from harness.apps import process_app, processes_of
from harness.backend import Backend
from harness.case import TreeCase, main
from harness.channels import break_channel
from harness.waiting import holds_for, slack, until

BACK_S = 2.0 * slack()


class BrokenChannel(TreeCase):
    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("far", cls.backend.url)
        cls.tree.bottom.upstream_app("near", cls.backend.url)
        cls.tree.bottom.app_add(process_app(cls.tree.folder, "clock"))
        cls.tree.top.user_add("reception", "sakura-2001", apps=["far", "near", "clock"])

    def break_it(self, tier, role):
        """Breaks keeper's channel to `role`; the processes that were there, and when."""
        before = tier.processes()
        try:
            break_channel(before["keeper"], before[role])
        except PermissionError as error:
            self.skipTest(f"the keeper may not be traced here ({error}): run as root to break its channel")
        return before, time.monotonic()

    def signed_on(self, tier):
        browser = tier.browser(timeout=10)
        until(lambda: browser.log_in("reception", "sakura-2001").status == 200, "log-in works")
        return browser

    def said_rejoin(self, tier) -> int:
        return (self.tree.folder / f"{tier.name}.log").read_text().count("is made anew")

    def test_front_and_keeper_that_lost_each_other_speak_again_within_two_seconds(self):
        for tier in (self.tree.bottom, self.tree.top):
            with self.subTest(tier.name):
                browser = self.signed_on(self.tree.bottom)
                until(lambda b=browser: b.get("/apps/near/x").status == 200, "the near app answers")
                said = self.said_rejoin(tier)
                before, at = self.break_it(tier, "front")
                # Who is signed on asks no keeper.
                holds_for(lambda b=browser: b.get("/apps/near/x").status == 200, "a signed-on user works on", 0.3)
                until(lambda t=tier: t.browser(timeout=10).log_in("reception", "sakura-2001").status == 200, "log-in is back", 10)
                self.assertLessEqual(time.monotonic() - at, BACK_S, tier.name)
                self.assertEqual(self.said_rejoin(tier), said + 1, "it was broken, and made anew once")
                self.assertEqual(tier.processes(), before, "no process was started again")
                self.tree.bottom.wait_link()
                until(lambda b=browser: b.get("/apps/far/x").status == 200, "the far app is reached")

    def test_keeper_and_spawner_that_lost_each_other_speak_again_and_apps_run_on(self):
        browser = self.signed_on(self.tree.bottom)
        until(lambda: browser.get("/apps/clock/").status == 200, "the app runs", 30)
        start = browser.get("/apps/clock/").text
        said = self.said_rejoin(self.tree.bottom)
        before, _ = self.break_it(self.tree.bottom, "spawner")
        until(lambda: self.said_rejoin(self.tree.bottom) > said, "the channel is made anew", 10)
        self.assertEqual(self.tree.bottom.processes(), before)
        self.assertEqual(browser.get("/apps/clock/").text, start, "the app was not started again")
        # And it is watched again: its end is noticed, and the next request starts it.
        for pid in processes_of(self.tree.bottom, "server.py"):
            os.kill(pid, signal.SIGKILL)
        until(lambda: browser.get("/apps/clock/").status == 200, "the app answers again", 30)
        self.assertNotEqual(browser.get("/apps/clock/").text, start)


if __name__ == "__main__":
    main()
