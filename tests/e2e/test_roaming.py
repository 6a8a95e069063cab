#!/usr/bin/python3
"""A nurse who arrives by another tier is told what the one where she was has not sent, and may wait, read or go on; and a tier's room has a bound."""
import json

from harness.apps import get_tiddler, put_tiddler
from harness.case import TreeCase, main
from harness.tree import app_folder
from harness.waiting import until

USER, PASSWORD = "nurse", "sakura-2001"
OWED = 'action="/hasp/files"'


class Roaming(TreeCase):
    """The wiki runs at two locals beside each other; the account is at the top."""

    @classmethod
    def furnish(cls):
        cls.center = cls.tree.tiers[-2]
        cls.tokyo = cls.tree.bottom
        cls.osaka = cls.tree.add_local("osaka", cls.center)
        cls.center.app_add(app_folder("wiki"), cls.tokyo.name, cls.osaka.name)
        for tier in (cls.tokyo, cls.osaka):
            tier.wait_holds("wiki")
        for user in (USER, "doctor"):
            cls.tree.top.user_add(user, PASSWORD, apps=["wiki"])

    def browser(self, tier, user: str = USER):
        browser = tier.browser()
        self.assertEqual(browser.log_in(user, PASSWORD).status, 200)
        until(lambda: browser.get("/apps/wiki/status").status == 200, f"the wiki answers at {tier.name}", 60)
        return browser

    def wait_both_have(self, title: str, text: str, tiers):
        for tier in tiers:
            path = tier.state / "data/users" / USER / "wiki/wiki/tiddlers"
            until(lambda path=path: any(text in f.read_text() for f in path.glob(f"{title}*.tid")), f"{tier.name} has {text!r}", 60)

    def contents(self, tier, title: str) -> list:
        path = tier.state / "data/users" / USER / "wiki/wiki/tiddlers"
        return sorted(f.read_text().split("\n\n", 1)[1] for f in path.glob(f"{title}*.tid"))

    def cut_tokyo(self):
        """Until the center knows what tokyo has, and that tokyo is out of reach."""
        def known():
            children = json.loads(self.center.run("status", "--json"))["children"]
            said = next(c for c in children if c["name"] == self.tokyo.name)
            return [c["user"] for c in said["status"]["copies"]] == [USER]
        until(known, "the center knows whose files tokyo has", 40)
        self.tokyo.gate.cut()
        self.tokyo.wait_link("down")
        until(lambda: next(c for c in json.loads(self.center.run("status", "--json"))["children"]
                           if c["name"] == self.tokyo.name)["state"] == "dark", "the center misses tokyo", 40)

    def choose(self, browser, choice: str):
        return browser.post_form("/hasp/files", {"choice": choice}, headers={"Origin": browser.origin()})

    def test_1_she_is_told_goes_on_and_both_of_what_she_wrote_is_there_in_the_end(self):
        tokyo = self.browser(self.tokyo)
        self.assertEqual(put_tiddler(tokyo, "Ward", "as agreed").status, 204)
        self.wait_both_have("Ward", "as agreed", [self.tokyo])  # the wiki answers first and writes then
        until(lambda: self.tokyo.run("sync", "--wait") == "", "all is at the home", 40)
        self.cut_tokyo()
        self.assertEqual(put_tiddler(tokyo, "Ward", "three patients, by tokyo").status, 204)

        osaka = self.browser(self.osaka)
        self.assertEqual(get_tiddler(osaka, "Ward").json()["text"], "as agreed", "the latest that the center has")
        page = until(lambda: OWED in (p := osaka.get("/").text) and p, "the portal says what is owed", 30)
        self.assertIn(f"{self.tokyo.name.capitalize()} was last heard of ", page)
        self.assertIn("may have changes that it has not sent", page)
        owed = json.loads(self.osaka.run("status", "--json"))["owed"]
        self.assertEqual([(o["user"], o["tier"].split("/")[-1], o["up"]) for o in owed], [(USER, self.tokyo.name, False)])
        self.assertIn(owed[0]["text"], self.osaka.run("status"))
        self.assertIn(owed[0]["text"], self.osaka.run("sync", check=False).stdout)

        # She reads: what she would change is refused, at osaka's own wiki.
        self.assertEqual(self.choose(osaka, "read").status, 303)
        self.assertIn("You only read until they are here", osaka.get("/").text)
        self.assertEqual(get_tiddler(osaka, "Ward").status, 200)
        self.assertEqual(put_tiddler(osaka, "Ward", "not to be").status, 409)
        # She waits: the page comes again by itself.
        self.assertEqual(self.choose(osaka, "wait").headers["location"], "/?files=wait")
        self.assertIn('http-equiv="refresh"', osaka.get("/?files=wait").text)
        # She goes on.
        self.assertEqual(self.choose(osaka, "go-on").status, 303)
        self.assertIn("You went on without them", osaka.get("/").text)
        self.assertEqual(put_tiddler(osaka, "Ward", "four patients, by osaka").status, 204)
        until(lambda: self.osaka.run("sync", check=False).returncode == 0, "osaka's is at the home", 40)

        self.tokyo.gate.restore()
        self.tokyo.wait_link()
        tiers = (self.tokyo, self.osaka)
        self.wait_both_have("Ward", "three patients, by tokyo", tiers)
        self.wait_both_have("Ward", "four patients, by osaka", tiers)
        until(lambda: OWED not in osaka.get("/").text, "nothing is owed any more", 60)
        until(lambda: "owed" not in json.loads(self.osaka.run("status", "--json")), "nor at the tier", 60)
        self.assertEqual(self.contents(self.tokyo, "Ward"), self.contents(self.osaka, "Ward"))

    def test_2_whoever_only_reads_may_write_again_once_everything_is_here(self):
        tokyo = self.browser(self.tokyo)
        self.assertEqual(put_tiddler(tokyo, "Rounds", "as agreed").status, 204)
        self.wait_both_have("Rounds", "as agreed", [self.tokyo])  # the wiki answers first and writes then
        until(lambda: self.tokyo.run("sync", "--wait") == "", "all is at the home", 40)
        self.cut_tokyo()
        self.assertEqual(put_tiddler(tokyo, "Rounds", "at ten").status, 204)
        osaka = self.browser(self.osaka)
        until(lambda: OWED in osaka.get("/").text, "the portal says what is owed", 30)
        self.choose(osaka, "read")
        self.assertEqual(put_tiddler(osaka, "Rounds", "at nine").status, 409)
        self.tokyo.gate.restore()
        self.tokyo.wait_link()
        self.wait_both_have("Rounds", "at ten", [self.osaka])
        until(lambda: put_tiddler(osaka, "Rounds", "at eleven").status == 204, "she may write again", 60)
        self.wait_both_have("Rounds", "at eleven", [self.tokyo])

    def test_3_when_the_room_is_used_up_the_copy_goes_and_the_next_log_in_brings_it(self):
        osaka = self.browser(self.osaka, "doctor")
        self.assertEqual(put_tiddler(osaka, "Large", "x" * 1_200_000 + "the end").status, 204)
        folder = self.osaka.state / "data/users/doctor"
        # The wiki answers first and writes then.
        until(lambda: any(file.stat().st_size > 1_200_000 for file in folder.rglob("*.tid")), "the wiki writes", 60)
        until(lambda: self.osaka.run("sync", "--wait") == "", "all is at the home", 60)
        self.assertTrue(folder.exists())
        osaka.log_out()
        self.osaka.stop()  # and the wiki with it, which would run on for a while
        self.osaka.write_config("[files]\ncopies_mib = 1\n")
        self.osaka.start()
        until(lambda: not folder.exists(), "osaka needs the room", 120)
        self.assertTrue((self.osaka.state / "data/users" / USER).exists(), "the nurse is logged in")
        def room():  # the files are gone before what is left is measured
            return json.loads(self.osaka.run("status", "--json"))["room"]
        until(lambda: (room()["most_bytes"], room()["users"]) == (1 << 20, 1), "what is left is measured", 20)
        again = self.browser(self.osaka, "doctor")
        self.assertTrue(get_tiddler(again, "Large").json()["text"].endswith("the end"))


if __name__ == "__main__":
    main()
