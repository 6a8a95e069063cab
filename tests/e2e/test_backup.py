#!/usr/bin/python3
"""D6: a center is backed up while it serves, is lost, and comes back from the backup: what its locals have done since then, sent or
not, is there, nothing is billed twice, and what only the center knew is said to be gone."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading

from harness.apps import get_note, notes_app, put_note
from harness.backend import Backend
from harness.case import TreeCase, depth, main
from harness.tree import app_folder, binary
from harness.waiting import until

PASSPHRASE = "a passphrase of the test"


class Backup(TreeCase):
    """The tests go in order: each begins with what the one before it left."""

    @classmethod
    def furnish(cls):
        cls.top, cls.tokyo = cls.tree.top, cls.tree.bottom
        cls.backend = Backend()
        cls.top.upstream_app("echo", cls.backend.url)
        cls.tokyo.upstream_app("near", cls.backend.url)
        cls.top.app_add(notes_app(cls.tree.folder), cls.top.name, cls.tokyo.name)
        cls.tokyo.wait_holds("notes")
        cls.top.user_add("reception", "sakura-2001", apps=["notes", "echo", "near"])
        for above, below in zip(cls.tree.tiers, cls.tree.tiers[1:]):
            above.run("local", "allow", below.name, "reception")
        cls.folder, cls.keys = cls.tree.folder / "backups", cls.tree.folder / "center.keys"

    def backup(self, *arguments, **rest) -> dict:
        return json.loads(self.top.run("backup", self.folder, *arguments, "--json", **rest))

    def backups(self) -> list:
        done = subprocess.run([binary(), "backup", "list", str(self.folder), "--json"], text=True, capture_output=True, check=True)
        return json.loads(done.stdout)["backups"]

    def check(self, *arguments):
        return subprocess.run([binary(), "backup", "check", str(self.folder), "--json", *arguments], text=True, capture_output=True,
                              check=False)

    def restore(self, state, *arguments):
        return subprocess.run([binary(), "restore", str(self.folder), "--keys", str(self.keys), "--passphrase-file", "-", "--state",
                               str(state), *arguments], input=PASSPHRASE + "\n", text=True, capture_output=True, check=False)

    def browser(self, tier):
        browser = tier.browser()
        until(lambda: browser.log_in("reception", "sakura-2001").status == 200, f"reception is in at {tier.name}", 30)
        until(lambda: browser.get("/apps/notes/status").status == 200, f"notes answers at {tier.name}", 60)
        return browser

    def agree(self, tier):
        until(lambda: tier.run("sync", "--wait") == "", f"{tier.name} and the home agree", 40)

    def at_home(self) -> dict:
        """What the home has: path → revision, of files that stand."""
        rows = sqlite3.connect(f"file:{self.top.state}/files.db?mode=ro", uri=True)
        try:
            return dict(rows.execute("SELECT CAST(path AS TEXT), revision FROM files_rows WHERE user = 'reception' AND kind = 1"))
        finally:
            rows.close()

    def events(self, tier) -> dict:
        """(stream, first) → hash of every batch of tokyo's that this tier holds, and how many events they are."""
        ledger = sqlite3.connect(f"file:{tier.state}/ledger.db?mode=ro", uri=True)
        try:
            rows = ledger.execute("SELECT stream, first, hash, count FROM billing_batches WHERE tier LIKE ?", (f"%/{self.tokyo.name}",))
            return {(stream, first): (digest, count) for stream, first, digest, count in rows}
        finally:
            ledger.close()

    def test_1_a_backup_is_made_while_the_center_serves_and_later_ones_hold_only_what_is_new(self):
        notes = self.browser(self.tokyo)
        for n in range(5):
            self.assertEqual(put_note(notes, f"Before {n}", f"patient {n} " * 500).status, 200)
        self.agree(self.tokyo)
        def doctor():
            found = json.loads(self.top.run("doctor", "--json", check=False).stdout)["findings"]
            return next((f["state"], f["what"]) for f in found if f["check"] == "backup")

        self.assertEqual(doctor(), ("warning", "no backup of this tier was ever made"))
        self.assertNotIn("last_backup", self.top.status())
        warned = self.top.run("backup", self.folder, check=False)
        self.assertIn("keys were never saved", doctor()[1])
        self.assertEqual(warned.returncode, 0, warned.stderr)
        self.assertIn("hasp backup keys", warned.stderr)
        self.top.run("backup", "keys", self.keys, "--passphrase-file", "-", stdin=PASSPHRASE + "\n")
        self.assertEqual(doctor()[0], "ok")
        made_since = self.top.state / "keys/acme-account.pem"
        made_since.write_text("-----BEGIN PRIVATE KEY-----\n")
        made_since.chmod(0o600)
        self.assertIn("new ones since", doctor()[1])
        made_since.unlink()
        self.assertEqual(doctor()[0], "ok")
        self.assertEqual(self.top.status()["last_backup"]["folder"], str(self.folder))
        self.assertEqual(self.keys.stat().st_mode & 0o777, 0o600)
        self.assertNotIn(b"PRIVATE KEY", self.keys.read_bytes())

        stop, saved, failures = threading.Event(), [], []

        def write():
            while not stop.is_set():
                title = f"During {len(saved)}"
                status = put_note(notes, title, title * 200).status
                (saved if status == 200 else failures).append(title)

        def ask():
            while not stop.is_set():
                if (status := other.get("/apps/echo/x").status) != 200:
                    failures.append(status)

        other = self.browser(self.tokyo)
        threads = [threading.Thread(target=work, daemon=True) for work in (write, ask)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: len(saved) > 3, "the load runs", 20)
            for _ in range(3):
                made = self.backup()
                self.assertEqual(made["left"], [])
                self.assertTrue(made["keys_saved"])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [], "users do not notice")
        self.agree(self.tokyo)
        first = self.backup()
        again = self.backup()
        self.assertLess(again["written"], first["bytes"] / 10, "nothing was changed in between but a page or two")
        self.assertEqual(len({b["id"] for b in self.backups()}), 6)
        whole = self.check()
        self.assertEqual(whole.returncode, 0, whole.stdout + whole.stderr)
        for path in self.folder.rglob("*"):
            if path.is_file():
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        # Neither keys nor contents of users' files can be read in it.
        secret = (self.top.state / "contents.key").read_bytes()
        parts = [str(path) for path in (self.folder / "objects").rglob("*") if path.is_file()]
        for at in range(0, len(parts), 500):
            plain = subprocess.run(["zstd", "-dcq", *parts[at:at + 500]], capture_output=True, check=True).stdout
            self.assertNotIn(secret, plain)
            self.assertNotIn(b"PRIVATE KEY", plain)
            self.assertNotIn(b"patient 3 patient 3", plain)

    def test_2_a_backup_that_was_made_under_load_is_a_center_that_has_all_that_it_names(self):
        for number, one in enumerate(self.backups()[2:3]):
            state = self.tree.folder / f"tried{number}"
            done = self.restore(state, "--at", one["id"])
            self.assertEqual(done.returncode, 0, done.stderr)
            files = sqlite3.connect(f"file:{state}/files.db?mode=ro", uri=True)
            for place, size in files.execute("SELECT number, bytes FROM content_files"):
                self.assertEqual((state / f"contents/{place // 1000}/{place}").stat().st_size, size)
            self.assertGreater(files.execute("SELECT count(*) FROM contents").fetchone()[0], 0)
            files.close()
            self.assertEqual((state / "keys/tier.json").stat().st_mode & 0o777, 0o600)
            shown = json.loads(subprocess.run([binary(), "status", "--json", "--state", str(state)], capture_output=True, text=True,
                                              check=True).stdout)
            self.assertIn("notes", [a["name"] for a in shown["apps"]])
            shutil.rmtree(state)

    def test_3_what_cannot_be_restored_leaves_nothing_behind_and_says_why(self):
        state = self.tree.folder / "not-this"
        state.mkdir()
        (state / "mine").write_text("mine")
        refused = self.restore(state)
        self.assertEqual(refused.returncode, 6, refused.stderr)
        self.assertEqual((state / "mine").read_text(), "mine")
        (state / "mine").unlink()
        wrong = subprocess.run([binary(), "restore", str(self.folder), "--keys", str(self.keys), "--passphrase-file", "-", "--state",
                                str(state)], input="another passphrase\n", text=True, capture_output=True, check=False)
        self.assertEqual(wrong.returncode, 4, wrong.stderr)
        self.assertEqual(list(state.iterdir()), [])

        # A damaged part: its file is named, the rest of the folder is as it was, and a later backup is whole again.
        newest = self.backups()[-1]["id"]
        objects = sorted((p for p in (self.folder / "objects").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        hurt = objects[-1]
        whole = hurt.read_bytes()
        hurt.write_bytes(whole[:-20] + bytes(b ^ 0x55 for b in whole[-20:]))
        found = self.check()
        self.assertEqual(found.returncode, 4, found.stderr)
        damages = json.loads(found.stdout)["damages"]
        self.assertTrue(damages)
        self.assertTrue(all(d["path"] for d in damages), damages)
        if newest in {d["id"] for d in damages}:
            broken = self.restore(state, "--at", newest)
            self.assertEqual(broken.returncode, 4, broken.stderr)
            self.assertEqual(list(state.iterdir()), [])
        self.assertEqual(self.check("--set-aside").returncode, 4)
        hurt.write_bytes(whole)
        self.assertEqual(self.check().returncode, 0)

    def test_4_a_backup_that_is_killed_counts_for_nothing_and_the_next_one_is_whole(self):
        before = [b["id"] for b in self.backups()]
        for fsyncs in (1, 2):
            # At each of its syncs and renames it ends as if the power had gone.
            killed = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat,rename,syncfs,fsync",
                                     "-e", f"inject=renameat,rename,syncfs,fsync:signal=KILL:when={fsyncs}", binary(), "backup",
                                     str(self.folder), "--state", str(self.top.state)], capture_output=True, text=True, check=False)
            self.assertNotEqual(killed.returncode, 0, killed.stdout)
        self.assertEqual([b["id"] for b in self.backups()][:len(before)], before)
        self.backup()
        self.assertEqual(self.check().returncode, 0)
        held = subprocess.Popen(["flock", str(self.folder / "lock"), "cat"], stdin=subprocess.PIPE)
        try:
            until(lambda: self.top.run("backup", self.folder, check=False).returncode == 6, "a second writer is refused", 10)
        finally:
            held.stdin.close()
            held.wait()
        pruned = json.loads(subprocess.run([binary(), "backup", "prune", str(self.folder), "--keep", "2", "--json"], text=True,
                                           capture_output=True, check=True).stdout)
        self.assertEqual(len(self.backups()), 2)
        self.assertGreater(len(pruned["removed"]), 0)
        self.assertEqual(self.check().returncode, 0)

    def test_5_a_center_that_is_lost_comes_back_with_all_that_its_local_has(self):
        tokyo, top = self.tokyo, self.top
        notes = self.browser(tokyo)
        near = self.browser(tokyo)
        for _ in range(20):
            self.assertEqual(near.get("/apps/near/x").status, 200)
        self.agree(tokyo)
        until(lambda: self.events(tokyo) == self.events(top) != {}, "the center has tokyo's usage", 40)
        self.backup()
        backed_up = self.at_home()

        # Since the backup: taken by the center, and not.
        self.assertEqual(put_note(notes, "Acknowledged", "after the backup").status, 200)
        self.assertEqual(put_note(notes, "Before 1", "changed after the backup").status, 200)
        self.agree(tokyo)
        top.user_add("late", "sakura-2002", apps=["notes"])
        for _ in range(20):
            self.assertEqual(near.get("/apps/near/x").status, 200)
        until(lambda: self.events(tokyo) == self.events(top), "the center has tokyo's newer usage", 40)
        self.assertIn("Acknowledged.txt", self.at_home())
        # One that joined since.
        osaka = self.tree.add_local("osaka", top)
        top.run("local", "allow", "osaka", "reception")
        until(lambda: osaka.browser().log_in("reception", "sakura-2001").status == 200, "reception is in at osaka", 40)
        highest = max(self.tree.tiers[1].status().get("leases", []), key=lambda lease: lease.get("expires", ""))
        tokyo.gate.cut()
        tokyo.wait_link("down")
        self.assertEqual(put_note(notes, "Unsent", "written in the dark").status, 200)
        for _ in range(10):
            self.assertEqual(near.get("/apps/near/x").status, 200)
        until(lambda: json.loads(tokyo.run("sync", "--list", "--json"))["folders"][0]["unsent_files"] > 0, "tokyo says what is unsent", 30)

        osaka.stop()
        top.stop()
        shutil.rmtree(top.state)
        self.assertNotIn("Acknowledged.txt", backed_up)
        done = self.restore(top.state)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("do that again", done.stdout)
        top.start()
        self.assertTrue(top.status()["restored"]["backup"])
        tokyo.gate.restore()
        tokyo.wait_link(seconds=40)

        # By themselves: nobody says --begin-anew.
        wanted = {"Acknowledged": "after the backup", "Unsent": "written in the dark"}
        until(lambda: all(f"{title}.txt" in self.at_home() for title in wanted), "the home has tokyo's work", 60)
        self.agree(tokyo)
        for path in backed_up:
            self.assertIn(path, self.at_home())
        for tier in (tokyo, top):
            browser = self.browser(tier)
            for title, text in wanted.items():
                until(lambda: get_note(browser, title).status == 200, f"{tier.name} has {title}", 40)
                self.assertEqual(get_note(browser, title).text, text)
        texts = [p.read_text() for p in (tokyo.state / "data/users/reception/notes").iterdir() if p.name.startswith("Before 1")]
        self.assertTrue(any("changed after the backup" in text for text in texts), "what differed is kept at both")
        self.assertTrue(any("patient 1" in text for text in texts), "what differed is kept at both")

        # Usage: each event once, none lost.
        until(lambda: self.events(tokyo) == self.events(top), "the center has all of tokyo's usage again", 60)
        self.assertEqual(top.status()["usage"]["forks"], [])
        self.assertEqual(top.run("bill", "verify", check=False).returncode, 0)

        # What only the center knew is gone, and said; what it gives out is taken.
        self.assertNotEqual(top.browser().log_in("late", "sakura-2002").status, 200)
        self.assertTrue(any("restored from a backup" in e["text"] for e in self.tree.tiers[1].status()["errors"]))
        self.assertTrue(highest)
        top.app_add(app_folder("leaflets"), tokyo.name)
        tokyo.wait_holds("leaflets")
        def settled():
            child = next(c for c in top.status()["children"] if c["name"] == self.tree.tiers[1].name)
            return child["lease"] == child["reached"]["lease"] and \
                child["desired"]["generation"] == child["reached"]["generation"]
        until(settled, "the local has taken the lease and the order of the center's new life", 40)

        # The backup does not know osaka: it comes back by a new invitation, as what it is.
        ours = (osaka.state / "keys/tls.pem").read_bytes()
        osaka.start(invitation=top.invite("osaka", f"127.0.0.1:{osaka.gate.port}"))
        osaka.wait_link(seconds=40)
        self.assertEqual((osaka.state / "keys/tls.pem").read_bytes(), ours)
        top.run("local", "allow", "osaka", "reception")
        def osaka_settled():
            child = next(c for c in top.status()["children"] if c["name"] == "osaka")
            return child["lease"] == child["reached"]["lease"] > 1_000_000
        until(osaka_settled, "osaka takes leases again", 40)



if __name__ == "__main__":
    main()
