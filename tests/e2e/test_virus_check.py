#!/usr/bin/python3
"""D5: what a user writes, and every release, is looked at by a scanner first: Debian's clamd, here with a signature of our own."""
import json
import shutil
import signal
import tempfile
from pathlib import Path

from harness.case import TreeCase, main
from harness.clamd import EICAR, FOUND, Clamd
from harness.waiting import until

SERVER = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


class Scanned(TreeCase):
    """tokyo and the tier above it both run an app with a folder for each user; the top has the accounts. All use one clamd."""
    when_gone = ""

    @classmethod
    def setUpClass(cls):
        cls.place = Path(tempfile.mkdtemp(prefix="hasp-clamd."))
        cls.clamd = Clamd(cls.place / "clamd")
        cls.addClassCleanup(shutil.rmtree, cls.place)
        cls.addClassCleanup(cls.clamd.kill)
        cls.clamd.start()
        cls.config = f'[scan]\nclamd = "unix:{cls.clamd.socket_path}"\nwhen_gone = "{cls.when_gone}"\n'
        super().setUpClass()

    @classmethod
    def furnish(cls):
        cls.center, cls.tokyo = cls.tree.tiers[-2], cls.tree.bottom
        cls.app = cls.tree.folder / "notes"
        cls.app.mkdir()
        (cls.app / "server.py").write_text(SERVER)
        (cls.app / "hasp-app.toml").write_text(
            '[app]\nname = "notes"\ntitle = "Notes"\nkind = "process"\ninstance = "user"\n[data]\nscope = "user"\n'
            '[process]\ncommand = ["/usr/bin/python3", "{app}/server.py", "{port}"]\nlisten = "tcp:8080"\n')
        cls.center.app_add(cls.app, cls.center.name, cls.tokyo.name)
        cls.tokyo.wait_holds("notes")
        for user in ("anna", "ben"):
            cls.tree.top.user_add(user, "sakura-2001", apps=["notes"])
            for tier in (cls.center, cls.tokyo):
                browser = tier.browser()
                assert browser.log_in(user, "sakura-2001").status == 200
                until(lambda: browser.get("/apps/notes/").status == 200, f"notes answers at {tier.name}", 60)  # noqa: B023
                until(lambda: cls.folder(tier, user).get("watched"), f"the folder at {tier.name} is watched", 30)  # noqa: B023

    @classmethod
    def folder(cls, tier, user: str = "anna") -> dict:
        found = json.loads(tier.run("sync", "--list", "--json"))["folders"]
        return next((f for f in found if f["user"] == user and f["app"] == "notes"), {})

    def path(self, tier, name: str, user: str = "anna") -> Path:
        return tier.state / f"data/users/{user}/notes" / name

    def write(self, name: str, text: str) -> None:
        self.path(self.tokyo, name).write_text(text)

    def wait_there(self, name: str, text: str) -> None:
        def there():
            return self.path(self.center, name).read_text() == text
        until(there, f"{self.center.name} has {name}", 40)

    def wait_refused(self, name: str, found: str) -> None:
        until(lambda: {"path": name, "found": found}.items() <= next(r for r in self.folder(self.tokyo)["refused"]
                                                                     if r["path"] == name).items()
              if any(r["path"] == name for r in self.folder(self.tokyo)["refused"]) else False,
              f"tokyo says that {name} is not sent", 40)

    def quarantine(self) -> dict:
        return json.loads(self.tree.top.run("sync", "quarantine", "--json"))

    def held(self, name: str):
        return next((f for f in self.quarantine()["files"] if f["path"] == name), None)

    def pushed(self, name: str, page: str, code: int):
        folder = self.tree.folder / f"leaflets-{name}"
        folder.mkdir()
        (folder / "hasp-app.toml").write_text(f'[app]\nname = "{name}"\ntitle = "Leaflets"\nkind = "static"\naccess = "public"\n')
        (folder / "index.html").write_text(page)
        done = self.tree.top.run("app", "add", folder, "--to", self.tree.top.name, check=False, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stderr


class FailClosed(Scanned):
    when_gone = "closed"

    def test_1_an_infected_file_stays_where_it_is_and_holds_up_nothing_else(self):
        self.write("invoice.txt", "to pay: " + EICAR)
        self.write("letter.txt", "Dear Anna")
        self.wait_there("letter.txt", "Dear Anna")
        self.wait_refused("invoice.txt", FOUND)
        # Large ones have a line of their own.
        self.write("archive.txt", "x" * (6 << 20) + EICAR)
        self.wait_refused("archive.txt", FOUND)
        self.path(self.tokyo, "archive.txt").unlink()
        self.assertFalse(self.path(self.center, "invoice.txt").exists(), "nobody else is given it")
        self.assertIn(EICAR, self.path(self.tokyo, "invoice.txt").read_text())
        until(lambda: self.folder(self.tokyo)["infected"] == 1, "what is removed is no longer said", 20)
        # The operators are told, at both ends, and so is she.
        self.assertIn(f"invoice.txt is not sent: its home's virus scanner found {FOUND} in it", self.tokyo.run("sync", "--user", "anna"))
        held = self.held("invoice.txt")
        self.assertEqual((held["user"], held["app"], held["found"], held["by"]), ("anna", "notes", FOUND, "anna@tokyo"))
        self.assertIn("2 infected files of users", self.tree.top.run("status"))
        self.assertIn("in quarantine", self.tree.top.run("doctor", check=False).stdout)
        self.assertIn("files.infected", (self.tree.folder / f"{self.tree.top.name}.log").read_text())
        browser = self.tokyo.browser()
        browser.log_in("anna", "sakura-2001")
        self.assertIn(f"invoice.txt (notes, {FOUND})", browser.get("/").text)
        # What the home has of it is not to be read there, and no version.
        stored = b"".join(f.read_bytes() for f in (self.tree.top.state / "contents").rglob("*") if f.is_file())
        self.assertNotIn(EICAR.encode(), stored)
        self.assertNotIn("invoice.txt", self.tree.top.run("sync", "versions", "anna", "notes"))

    def test_2_a_cleaned_file_goes_on_and_a_released_one_too(self):
        self.write("invoice.txt", "to pay: 7")
        self.wait_there("invoice.txt", "to pay: 7")
        self.write("lesson.txt", "how scanners are tested: " + EICAR)
        self.write("twin.txt", "how scanners are tested: " + EICAR)
        until(lambda: self.held("twin.txt"), "the same content is in quarantine under its other name", 40)
        held = until(lambda: self.held("lesson.txt"), "it is in quarantine", 40)
        self.tree.top.run("sync", "quarantine", "--release", held["id"])
        self.wait_there("lesson.txt", "how scanners are tested: " + EICAR)
        self.wait_there("twin.txt", "how scanners are tested: " + EICAR)
        until(lambda: self.folder(self.tokyo)["unsent_files"] == 0, "tokyo has nothing unsent", 40)
        self.assertEqual(self.folder(self.tokyo)["refused"], [])
        for left in self.quarantine()["files"]:
            self.tree.top.run("sync", "quarantine", "--delete", left["id"])
        self.assertEqual(self.quarantine(), {"infected": 0, "waiting": 0, "files": []})

    def test_3_an_infected_release_is_refused_with_the_file(self):
        self.assertIn(f"index.html in the release of 'bad' is infected: {FOUND}", self.pushed("bad", f"<p>{EICAR}", 4))
        self.assertNotIn("bad", [a["name"] for a in self.tree.top.status()["apps"]])
        self.pushed("good", "<p>Opening hours", 0)

    def test_4_while_the_scanner_is_gone_what_is_new_waits(self):
        self.clamd.kill()
        self.write("waits.txt", "sound")
        (self.path(self.tokyo, "plans")).mkdir()
        self.wait_refused("waits.txt", "")
        until(self.path(self.center, "plans").is_dir, "a folder needs no scanner", 40)
        self.assertFalse(self.path(self.center, "waits.txt").exists())
        self.assertIn("is gone since", self.tree.top.run("status"))
        self.assertIn("does not look at what is new", self.tree.top.run("doctor", check=False).stdout)
        self.assertIn("cannot be looked at by the virus scanner", self.pushed("later", "<p>Later", 75))
        self.clamd.start()

        def goes_on():
            self.tokyo.run("sync", "--user", "anna")  # asks at once, and not in a minute
            return self.path(self.center, "waits.txt").exists()
        until(goes_on, "it counts when the scanner is back", 40, every=0.5)
        self.assertEqual(self.folder(self.tokyo)["refused"], [])
        until(lambda: "is gone since" not in self.tree.top.run("status"), "the scanner is back", 20)


    def test_5_a_scanner_that_hangs_holds_up_nothing_else(self):
        waiting = self.tree.top.state / "sync/home/tmp"
        self.clamd.process.send_signal(signal.SIGSTOP)
        self.write("slow.txt", "sound, and slow")
        until(lambda: list(waiting.glob("scan*")), "the scanner has it", 20)
        self.path(self.tokyo, "plans", "ben").mkdir()
        until(self.path(self.center, "plans", "ben").is_dir, "ben's folder is at the other tier", 20)
        self.assertIn("letter.txt", self.tree.top.run("sync", "versions", "anna", "notes"))
        self.assertTrue(list(waiting.glob("scan*")), "and the scanner has still said nothing")
        self.assertFalse(self.path(self.center, "slow.txt").exists())
        self.clamd.process.send_signal(signal.SIGCONT)
        self.wait_there("slow.txt", "sound, and slow")


class FailOpen(Scanned):
    when_gone = "open"

    def test_while_the_scanner_is_gone_what_is_new_counts_without_it(self):
        self.write("sound.txt", "sound")
        self.wait_there("sound.txt", "sound")
        self.assertGreaterEqual(self.tree.top.status()["scan"]["scanned"], 1)
        self.clamd.kill()
        self.write("unseen.txt", EICAR)
        self.wait_there("unseen.txt", EICAR)
        self.assertEqual(self.quarantine()["files"], [])
        self.assertGreaterEqual(self.tree.top.status()["scan"]["let_by"], 1)
        self.assertIn("counts without it", self.tree.top.run("status"))
        self.pushed("unseen", f"<p>{EICAR}", 0)
        self.clamd.start()
        # One that was gone is left alone for some seconds.
        numbers = iter(range(1000))

        def looks_again():
            self.write("seen.txt", f"{next(numbers)}: {EICAR}")
            return self.held("seen.txt")
        until(looks_again, "it looks at files again", 40, every=1)


if __name__ == "__main__":
    main()
