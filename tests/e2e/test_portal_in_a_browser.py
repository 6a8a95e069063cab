#!/usr/bin/python3
"""B5: the portal, the hand-over and the log-out in Debian's Chromium. Screenshots stay in $HASP_SHOTS when it is set."""
import json
import os
import subprocess
import tempfile

from harness.case import TreeCase, main
from harness.tree import ROOT, app_folder


class PortalInABrowser(TreeCase):
    @classmethod
    def furnish(cls):
        cls.tree.bottom.app_add(app_folder("leaflets"))
        cls.tree.top.app_add(app_folder("tickets"))
        cls.tree.top.user_add("reception", "sakura-2001", "Reception Tokyo", apps=["leaflets", "tickets"])
        with tempfile.TemporaryDirectory(prefix="hasp-shots.") as temporary:
            shots = os.environ.get("HASP_SHOTS") or temporary
            os.makedirs(shots, exist_ok=True)
            done = subprocess.run(
                ["node", str(ROOT / "tests/browser/portal.js"), str(cls.tree.bottom.web_port), "reception", "sakura-2001", shots],
                capture_output=True, text=True, timeout=150, check=False)
            cls.pictures = sorted(os.listdir(shots))
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        cls.seen = json.loads(done.stdout.splitlines()[-1])

    def test_a_wrong_password_is_answered_on_the_page(self):
        self.assertIn("password", self.seen["wrong"].lower())

    def test_the_portal_shows_the_users_apps_as_tiles(self):
        self.assertIn("Patient leaflets", self.seen["portal"])
        self.assertIn("Tickets and house rules", self.seen["portal"])
        self.assertTrue(any("leaflets" in link for link in self.seen["tiles"]), self.seen["tiles"])

    def test_an_app_on_its_own_host_opens_without_a_second_log_in(self):
        self.assertEqual(self.seen["by_host"].lower(), "patient leaflets")  # the slides print it in capitals
        self.assertTrue(self.seen["host"].startswith("leaflets.localhost:"))
        self.assertTrue(self.seen["leaflet"])

    def test_no_cookie_of_hasp_is_shared_between_hosts_or_seen_by_scripts(self):
        self.assertEqual(self.seen["script_sees"], "")
        for cookie in self.seen["cookies"]:
            self.assertTrue(cookie["httpOnly"], cookie)
            self.assertFalse(cookie["domain"].startswith("."), cookie)

    def test_after_log_out_the_app_asks_for_a_log_in(self):
        self.assertGreaterEqual(self.seen["after_log_out_form"], 1, self.seen["after_log_out"])

    def test_the_pages_have_no_errors(self):
        self.assertEqual([m for m in self.seen["failed"] if "favicon" not in m], [])

    def test_four_screenshots_were_taken(self):
        self.assertEqual(len(self.pictures), 4)


if __name__ == "__main__":
    main()
