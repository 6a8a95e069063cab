#!/usr/bin/python3
"""D1, D2, D3, D4: what a user writes at one local is there when he logs in at another, as differences, and conflicts lose nothing."""
import json
import os
import sqlite3
import time
import zipfile
from pathlib import Path

from harness.apps import get_tiddler, put_tiddler
from harness.case import TreeCase, main
from harness.tree import app_folder
from harness.waiting import until

SAVES = int(os.environ.get("HASP_SAVES", "5"))
LONG = "\n".join(f"{n}: the fridge in room {n * 7919 % 97} was at {n * 104729 % 1013} millidegrees, seen by {n * 31337 % 65521:x}"
                 for n in range(600))


class Roaming(TreeCase):
    """The wiki runs at the lowest tier and at the one above it; osaka, beside the lowest, passes on to that one."""

    @classmethod
    def furnish(cls):
        cls.center = cls.tree.tiers[-2]
        cls.tokyo = cls.tree.bottom
        cls.center.app_add(app_folder("wiki"), cls.center.name, cls.tokyo.name)
        cls.tokyo.wait_holds("wiki")
        cls.tree.top.user_add("reception", "sakura-2001", apps=["wiki"])
        cls.osaka = cls.tree.add_local("osaka", cls.center)

    def browser(self, tier):
        browser = tier.browser()
        self.assertEqual(browser.log_in("reception", "sakura-2001").status, 200)
        until(lambda: browser.get("/apps/wiki/status").status == 200, f"the wiki answers at {tier.name}", 60)
        return browser

    def folder(self, tier) -> dict:
        found = json.loads(tier.run("sync", "--list", "--json"))["folders"]
        return next((f for f in found if f["user"] == "reception" and f["app"] == "wiki"), {})

    def wire(self, tier) -> int:
        seen = json.loads(tier.run("sync", "--list", "--json"))
        return seen["wire_up"] + seen["wire_down"]

    def wait_written(self, tier, title: str, text: str):
        """Until the wiki's file at this tier has the text: it went to the home and came down again, by the daemons alone."""
        def there():
            try:
                return text in self.file_of(tier, title).read_text()
            except FileNotFoundError:
                return False
        until(there, f"{tier.name} has {title}", 40)

    def file_of(self, tier, title: str) -> Path:
        return tier.state / "data/users/reception/wiki/wiki/tiddlers" / f"{title}.tid"

    def test_1_a_note_saved_at_tokyo_is_found_after_the_log_in_at_osaka(self):
        tokyo = self.browser(self.tokyo)
        began = time.monotonic()
        self.assertEqual(put_tiddler(tokyo, "Fridge", LONG).status, 204)
        self.wait_written(self.center, "Fridge", LONG)
        print(f"saved at tokyo, by way of {self.tree.top.name} on {self.center.name}'s disk after {time.monotonic() - began:.1f} s")
        osaka = self.browser(self.osaka)
        found = get_tiddler(osaka, "Fridge")
        self.assertEqual(found.status, 200, found.text)
        self.assertEqual(found.json()["text"], LONG)
        self.assertEqual(self.tree.wait_hops(found.rid, 2)[-1][0], self.center.name, "the center's wiki, on the synced files")

        # Back the other way, and into a wiki that runs: it is ended, and the next request starts it anew.
        self.assertEqual(put_tiddler(osaka, "Ward", "from osaka").status, 204)
        self.wait_written(self.tokyo, "Ward", "from osaka")
        until(lambda: get_tiddler(tokyo, "Ward").status == 200, "tokyo's wiki has osaka's note", 30)

    def test_2_a_small_change_of_a_long_note_among_a_hundred_takes_few_bytes(self):
        tokyo = self.browser(self.tokyo)
        for n in range(100):
            self.assertEqual(put_tiddler(tokyo, f"Note {n}", f"patient {n * 7919 % 1013}").status, 204)
        self.assertEqual(put_tiddler(tokyo, "Long", LONG).status, 204)
        self.wait_written(self.center, "Long", LONG)
        until(lambda: self.tokyo.run("sync", "--wait") == "", "both sides agree", 20)
        before, moved = self.wire(self.tokyo), self.folder(self.tokyo)["last_moved"]
        self.assertEqual(put_tiddler(tokyo, "Long", LONG + " One line more.").status, 204)
        self.wait_written(self.center, "Long", "One line more.")
        change = until(lambda: (m := self.folder(self.tokyo)["last_moved"]) != moved and m, "the round is counted", 10)
        took, all_of_it = change["wire_up"] + change["wire_down"], self.wire(self.tokyo) - before
        size = self.file_of(self.tokyo, "Long").stat().st_size
        print(f"the change took {took} bytes on the wire, both ways ({all_of_it} with rounds that found nothing); the file has {size}")
        self.assertEqual(change["sent_files"], 1)
        self.assertGreater(size, 30_000)
        self.assertLess(took, 1_200)
        self.assertLess(all_of_it, 2_500)

    def test_3_edits_on_both_sides_of_a_cut_are_both_there(self):
        tokyo = self.browser(self.tokyo)
        osaka = self.browser(self.osaka)
        self.tokyo.gate.cut()
        self.tokyo.wait_link("down")
        self.assertEqual(put_tiddler(tokyo, "Offline at tokyo", "written in the dark").status, 204)
        self.assertEqual(put_tiddler(osaka, "Meanwhile", "written at osaka").status, 204)
        waiting = until(lambda: (f := self.folder(self.tokyo)) and f["unsent_files"] > 0 and f, "tokyo says what is unsent", 30)
        self.assertGreater(waiting["unsent_bytes"], 0)
        self.assertTrue(waiting["unsent_since"])
        self.assertEqual(self.tokyo.run("sync", check=False).returncode, 7)
        self.tokyo.gate.restore()
        self.tokyo.wait_link()
        until(lambda: get_tiddler(tokyo, "Meanwhile").status == 200, "tokyo has what osaka wrote", 40)
        until(lambda: get_tiddler(osaka, "Offline at tokyo").status == 200, "osaka has what tokyo wrote", 40)
        until(lambda: self.tokyo.run("sync", "--wait") == "", "nothing is said when all is equal", 20)
        self.assertEqual(self.folder(self.tokyo)["conflicts"], 0)

    def test_4_a_removed_note_comes_out_of_the_trash_and_down_again(self):
        top, file = self.tree.top, self.file_of(self.tokyo, "Kept")
        self.assertEqual(put_tiddler(self.browser(self.tokyo), "Kept", "to be missed").status, 204)
        self.wait_written(self.center, "Kept", "to be missed")
        path = str(file.relative_to(self.tokyo.state / "data/users/reception/wiki"))
        self.assertEqual(self.tokyo.run("sync", "--wait"), "")
        file.unlink()
        until(lambda: (self.tokyo.run("sync", "--wait"), self.file_of(self.center, "Kept").exists())[1] is False,
              "the removal is at the center", 40)
        trash = [json.loads(line) for line in top.run("sync", "versions", "reception", "wiki", "--removed", "--json").splitlines()]
        self.assertIn((path, True), [(v["path"], v["readable"]) for v in trash])
        self.assertIn(path, top.run("sync", "restore", "reception", "wiki", path, "--dry-run"))
        self.assertFalse(file.exists())
        done = json.loads(top.run("sync", "restore", "reception", "wiki", path, "--json"))
        self.assertEqual((done["restored"], done["left"]), (1, 0))
        self.wait_written(self.tokyo, "Kept", "to be missed")
        refused = self.tokyo.run("sync", "restore", "reception", "wiki", check=False)
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assertIn("the tier that has the account", refused.stderr)
        # What lies on the home's disk tells nothing.
        stored = b"".join(f.read_bytes() for f in (top.state / "contents").rglob("*") if f.is_file())
        self.assertGreater(len(stored), 1000)
        self.assertNotIn(b"to be missed", stored)

    def test_5_what_a_program_writes_without_any_request_is_at_the_center_at_once(self):
        self.browser(self.tokyo)
        until(lambda: self.folder(self.tokyo).get("watched"), "the folder is watched", 30)
        until(lambda: self.tokyo.run("sync", "--wait") == "", "both sides agree", 20)
        home = sqlite3.connect(f"file:{self.tree.top.state}/files.db?mode=ro", uri=True)

        def number() -> int:
            return home.execute("SELECT number FROM files_folders WHERE user = 'reception' AND app = 'wiki'").fetchone()[0]

        took = []
        for n in range(SAVES):
            before, began = number(), time.monotonic()
            self.file_of(self.tokyo, f"Save {n}").write_text(f"saved by no request, {n}")
            until(lambda: number() > before, "the home has it", 30, every=0.001)
            took.append((time.monotonic() - began) * 1000)
            until(lambda: self.folder(self.tokyo)["unsent_files"] == 0, "tokyo knows that", 30)
        took.sort()
        print(f"from a save to durable at {self.tree.top.name}, {SAVES} times: p50 {took[len(took) // 2]:.0f} ms, "
              f"p99 {took[(len(took) * 99) // 100]:.0f} ms")
        # Nothing goes on by itself afterwards: what the rounds put in place was noticed, and made no rounds.
        until(lambda: self.wait_quiet(), "the link is quiet", 30)

    def test_6_what_a_program_says_of_a_file_in_its_attributes_comes_along(self):
        self.browser(self.tokyo)
        self.file_of(self.tokyo, "Marked").write_text("marked by a program")
        self.wait_written(self.center, "Marked", "marked by a program")
        os.setxattr(self.file_of(self.tokyo, "Marked"), "user.ward", b"7")

        def ward() -> bytes:
            try:
                return os.getxattr(self.file_of(self.center, "Marked"), "user.ward")
            except OSError:
                return b""
        until(lambda: ward() == b"7", f"{self.center.name} has the attribute", 40)
        os.removexattr(self.file_of(self.center, "Marked"), "user.ward")
        until(lambda: not os.listxattr(self.file_of(self.tokyo, "Marked")), "it is gone at tokyo", 40)

    def test_7_a_document_that_an_office_program_packed_anew_takes_what_is_new_of_its_text(self):
        self.browser(self.tokyo)
        file = self.file_of(self.tokyo, "Report").with_suffix(".docx")
        there = self.file_of(self.center, "Report").with_suffix(".docx")
        picture = bytes(n * n * 31 % 65_521 % 256 for n in range(20_000))

        def save(text: str, number: int) -> None:
            beside = self.tokyo.state / "packing"
            with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as made:
                made.writestr("[Content_Types].xml", "<Types/>" * 20)
                made.writestr("word/document.xml", text)
                made.writestr("word/media/image1.png", picture)
                made.writestr("docProps/core.xml", f"<cp:revision>{number}</cp:revision>")
            file.write_bytes(beside.read_bytes())
            beside.unlink()

        def arrived() -> bool:
            return there.exists() and there.read_bytes() == file.read_bytes()

        save(LONG, 1)
        until(arrived, f"{self.center.name} has the document", 40)
        until(lambda: self.tokyo.run("sync", "--wait") == "", "both sides agree", 20)
        moved = self.folder(self.tokyo)["last_moved"]
        save(LONG.replace("room 31", "the last room on the left", 1), 2)
        until(arrived, f"{self.center.name} has the edited document", 40)
        change = until(lambda: (m := self.folder(self.tokyo)["last_moved"]) != moved and m, "the round is counted", 10)
        took, size = change["wire_up"] + change["wire_down"], file.stat().st_size
        print(f"the document of {size} bytes took {took} on the wire, both ways")
        self.assertGreater(size, 20_000)
        self.assertLess(took, 1_500)

    def test_8_the_files_of_a_removed_account_go_everywhere_and_what_was_never_sent_when_an_operator_says_so(self):
        tokyo, top = self.browser(self.tokyo), self.tree.top
        self.browser(self.osaka)
        self.wait_written(self.center, "Ward", "from osaka")
        until(lambda: self.tokyo.run("sync", "--wait") == "", "both sides agree", 20)
        self.tokyo.gate.cut()
        self.tokyo.wait_link("down")
        self.assertEqual(put_tiddler(tokyo, "Late", "never sent").status, 204)
        until(lambda: self.folder(self.tokyo)["unsent_files"] == 1, "tokyo counts what is unsent", 30)
        discard = ("sync", "--discard", "--user", "reception", "--app", "wiki")
        refused = self.tokyo.run(*discard, check=False)
        self.assertEqual(refused.returncode, 4, refused.stderr)
        top.run("user", "remove", "reception")
        until(lambda: not (self.center.state / "data/users/reception").exists(), f"{self.center.name}'s copy is gone", 60)
        self.tokyo.gate.restore()
        self.tokyo.wait_link()
        told = until(lambda: "was removed" in (f := self.folder(self.tokyo)).get("error", "") and f, "tokyo is told", 30)
        self.assertEqual(told["unsent_files"], 1)
        self.assertTrue(self.file_of(self.tokyo, "Late").exists())
        print(self.tokyo.run("sync", "--list"))
        # Whoever gets the name next is not let near them.
        top.user_add("reception", "tsubaki-2002", apps=["wiki"])
        browser = self.tokyo.browser()
        self.assertEqual(browser.log_in("reception", "tsubaki-2002").status, 200)
        page = until(lambda: (p := browser.get("/apps/wiki/status")).status >= 500 and p, "the wiki is not opened", 60)
        self.assertIn("earlier account", page.text)
        self.assertNotIn("Late", page.text, "what the program of the earlier one said")
        self.assertEqual(self.tokyo.run(*discard), "wiki of reception: removed from this tier\n")
        self.assertFalse(self.file_of(self.tokyo, "Late").exists())
        until(lambda: browser.get("/apps/wiki/status").status == 200, "her wiki is opened", 60)
        self.assertEqual(get_tiddler(browser, "Ward").status, 404)

    def wait_quiet(self) -> bool:
        before = self.wire(self.tokyo)
        self.tokyo.run("status")
        return self.wire(self.tokyo) == before


if __name__ == "__main__":
    main()
