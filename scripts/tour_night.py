"""The tour, steps 8 to 13: notes that follow their writer, a new release under load, a night without the link, the bill."""
import json
import os
import re
import shutil
import subprocess
import time

from demo_tree import PEOPLE, TITLES
from harness.apps import get_tiddler, put_tiddler
from harness.memory import alive
from harness.tree import app_folder, binary
from harness.waiting import until
from tour_base import Crowd, TourBase, first_words, now, number

LOG_BOOK = "\n".join(f"{n:03}: the fridge in room {n * 7919 % 97} was at {n * 104729 % 1013} millidegrees, seen by {n * 31337 % 65521:x}"
                     for n in range(600))
NEW_TITLE = "Notes of this desk and of no other"
CROWD_PER_S = 200
BACK_S_MAX = 30.0
NIGHT_NOTES = {"reception": 12, "nurse": 8}  # written at tokyo without the link
OSAKA_NOTES = 6                              # written at osaka meanwhile


class TourOfANight(TourBase):
    def tiddlers(self, tier, user: str):
        return tier.state / f"data/users/{user}/wiki/wiki/tiddlers"

    def copies(self, tier, user: str, word: str) -> int:
        """How many files of this user's wiki at this tier have the word in them."""
        return sum(word in file.read_text(errors="replace") for file in self.tiddlers(tier, user).glob("*.tid"))

    def note(self, guest, title: str, text: str) -> None:
        saved = put_tiddler(guest, title, text)
        assert saved.status in (200, 204), f"{title}: {saved.status} {first_words(saved.text)}"

    def uses(self, tier, since_us: float = 0) -> list:
        """The lines of this tier's access log about what an app of its own answered to somebody who was logged in."""
        return [line for line in tier.access_lines() if line.get("served") == "here" and line.get("user") in PEOPLE and
                line.get("app") and line["status"] != 101 and not line.get("why") and line["time_us"] > since_us]

    def moved(self, tier, user: str) -> dict:
        """The last round in which this user's wiki had something to send or to fetch: what hasp counted of it."""
        folders = json.loads(tier.run("sync", "--list", "--json"))["folders"]
        return next((f["last_moved"] for f in folders if f["user"] == user and f["app"] == "wiki"), {})

    # -- 8 ------------------------------------------------------------------------------------------------------------
    def note_follows_its_writer(self):
        """reception writes a line into the fridge's log book at tokyo and reads it at osaka, in the center's wiki"""
        there = lambda word: self.copies(self.center, "reception", word) == 1  # noqa: E731
        osaka = self.signed_on("reception", self.osaka)
        until(lambda: osaka.get("/apps/wiki/status").status == 200, "the center's wiki answers", 60)
        self.note(self.reception, "Log book", LOG_BOOK)
        until(lambda: there("599: the fridge"), "the log book is at the center", 40)
        until(lambda: self.tokyo.run("sync", "--wait") == "", "tokyo and its home agree", 20)
        before, at = self.moved(self.tokyo, "reception"), time.monotonic()
        self.note(self.reception, "Log book", LOG_BOOK + "\n600: the fridge was opened by Ms Sato")
        until(lambda: there("opened by Ms Sato"), "the line is at the center", 40)
        took = time.monotonic() - at
        round_ = until(lambda: (m := self.moved(self.tokyo, "reception")) != before and m, "tokyo says what it took", 20)
        assert (round_["sent_files"], round_["received_files"]) == (1, 0), round_
        wire, size = round_["wire_up"] + round_["wire_down"], (self.tiddlers(self.tokyo, "reception") / "Log book.tid").stat().st_size
        found = until(lambda: (a := get_tiddler(osaka, "Log book")).status == 200 and "opened by Ms Sato" in a.text and a,
                      "reception reads it at osaka", 40)
        self.say(f"one line more in a log book of {number(size)} bytes: {number(wire)} bytes on tokyo's line, both ways; "
                 f"at the center after {took:.1f} s")
        assert wire < size / 8, f"the change took {wire} bytes"
        return f"read at osaka  {self.hops(found, 2)}"

    # -- 9 ------------------------------------------------------------------------------------------------------------
    def new_release(self):
        """a developer changes one line of the wiki, a pipeline pushes it under 200 requests a second; then a broken one"""
        repo = self.repository()
        pipeline = self.pipeline()
        guests = [self.reception, self.signed_on("reception", self.osaka)]
        for guest in guests:
            until(lambda: guest.get("/apps/wiki/status").status == 200, "the wiki answers", 60)  # noqa: B023
        # What came by `hasp app add` came from no repository: the first push brings it whole.
        (repo / "CHANGES.md").write_text("Pushed by a pipeline from now on.\n")
        first, _ = self.push(repo, pipeline, "changes: begin a list")
        with Crowd(guests, "/apps/wiki/status", CROWD_PER_S) as crowd:
            begin = time.monotonic()
            change(repo / "hasp-app.toml", TITLES["wiki"], NEW_TITLE)
            pushed, _ = self.push(repo, pipeline, "title: say whose notes these are")
            took = time.monotonic() - begin
            crowd.go_on(CROWD_PER_S)
        assert not crowd.failures, crowd.failures[:3]
        for guest in guests:
            assert NEW_TITLE in guest.get("/").text, "the new title is not on the portal"
        assert pushed["delta"] and pushed["pack_bytes"] < first["pack_bytes"] / 100, pushed
        self.say(f"hasp push-app --wait: {number(pushed['files'])} files of {number(pushed['bytes'])} bytes; the pack has "
                 f"{number(pushed['pack_bytes'])} (the repository's first had {number(first['pack_bytes'])}); at tokyo and the center "
                 f"after {took:.1f} s")
        self.say(f"meanwhile {number(crowd.answers)} requests at both, 0 failed, the slowest {crowd.slowest_s:.1f} s; the portal says "
                 f"\"{NEW_TITLE}\"")
        with Crowd(guests, "/apps/wiki/status", CROWD_PER_S) as crowd:
            change(repo / "node_modules/tiddlywiki/tiddlywiki.js", "#!/usr/bin/env node", "#!/usr/bin/env node\n"
                   'throw new Error("the medicine list is missing");')
            _, why = self.push(repo, pipeline, "list: take it from elsewhere", code=1)
            crowd.go_on(CROWD_PER_S)
        assert not crowd.failures, crowd.failures[:3]
        assert "the medicine list is missing" in why, why
        self.say(f"a broken one is pushed: rolled back by itself, {number(crowd.answers)} requests, 0 failed. The pipeline reads:\n" +
                 indented(why))
        return f"\"{NEW_TITLE}\" serves on"

    def repository(self):
        """The wiki as its developer has it: a git repository with what runs now."""
        repo = self.tree.folder / "wiki.git"
        shutil.copytree(app_folder("wiki"), repo, symlinks=True)
        git(repo, "init", "--quiet", "--initial-branch", "main")
        commit(repo, "wiki: begin")
        return repo

    def pipeline(self) -> dict:
        """What a pipeline is given: where the center is, a token that pushes the wiki and nothing else, and its key."""
        key = self.tree.folder / "pipeline.key"
        public = self.tree.folder / "pipeline.pub"
        public.write_text(self.center.run("app", "key", key))
        self.center.run("app", "allow", "wiki", "--key", public)
        self.center.run("user", "add", "developer", "--operator", "--password-file", "-", stdin=os.urandom(12).hex() + "\n")
        token = self.center.run("token", "create", "developer", "--push", "wiki", "--label", "pipeline").strip()
        return {"HASP_CENTER": f"http://localhost:{self.center.web_port}", "HASP_TOKEN": token, "HASP_KEY": str(key)}

    def push(self, repo, pipeline: dict, message: str, code: int = 0):
        """Commits and pushes as the pipeline does, which has no tier's state folder; what it printed."""
        commit(repo, message)
        command = [binary(), "push-app", str(repo), "--to", "tokyo", "--to", "center", "--wait"]
        done = subprocess.run(command + (["--json"] if code == 0 else []), env={**self.tree.environment, **pipeline},
                              capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == code, f"push-app: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout) if code == 0 else {}, done.stderr

    # -- 10 -----------------------------------------------------------------------------------------------------------
    def night_without_the_link(self):
        """what a cut would mean is known before; then it comes, nurse works at tokyo, and tokyo survives a power failure"""
        self.say("hasp offline-report tokyo")
        self.say("\n".join("  " + line for line in self.head.run("offline-report", "tokyo").splitlines() if line))
        osaka = self.signed_on("reception", self.osaka)
        until(lambda: self.unsent_events(self.tokyo) == 0, "tokyo's uses until here have gone up", 20)
        cut_us = self.tokyo.gate.cut() * 1_000_000
        self.tokyo.wait_link("down")
        nurse = self.signed_on("nurse")
        for name in PEOPLE["nurse"][3]:
            until(lambda: nurse.get(f"/apps/{name}/").status == 200, f"nurse's {name} answers", 60)  # noqa: B023
        refused = self.guest().log_in("intern", PEOPLE["intern"][0])
        assert refused.status == 401, refused.status
        self.say(f"the link is cut. nurse, who never logged in anywhere, logs in at tokyo and has {TITLES['wiki']} and "
                 f"{TITLES['leaflets']}; the intern, who is not on tokyo's list: {refused.status}")
        people = {"reception": self.reception, "nurse": nurse}
        for user, count in NIGHT_NOTES.items():
            for n in range(1, count + 1):
                self.write_at_night(people[user], user, f"Night {n} of {user}", f"{user}-wrote-{n:03}-at-tokyo")
        for n in range(1, OSAKA_NOTES + 1):
            self.write_at_night(osaka, "reception", f"Meanwhile {n}", f"reception-wrote-{n:03}-at-osaka")
        with Crowd([self.reception, nurse], "/apps/leaflets/leaflets.md", CROWD_PER_S) as crowd:
            crowd.go_on(400)
        assert not crowd.failures, crowd.failures[:3]
        dark = until(lambda: (line := dark_line(self.head.run("status"), "tokyo")) and line, "head office sees tokyo dark", 30)
        self.say(f"head office: \"{dark}\"")
        until(lambda: self.unsent_events(self.tokyo) >= len(self.uses(self.tokyo, cut_us)), "every use is in tokyo's ledger", 20)
        waiting = self.tokyo.status()["unsent"]
        self.say(f"tokyo keeps for later: {number(waiting['files'])} files, {number(waiting['events'])} uses")

        pids = [self.tokyo.process.pid, *self.tokyo.processes().values()]
        self.tokyo.kill()
        until(lambda: not any(alive(pid) for pid in pids), "nothing of tokyo is left")
        begin = time.monotonic()
        self.tokyo.start()
        ready = time.monotonic() - begin
        for user, guest in people.items():
            for name in ("leaflets", "wiki"):
                until(lambda: guest.get(f"/apps/{name}/").status == 200, f"{user}'s {name} is back", BACK_S_MAX)  # noqa: B023
        took = time.monotonic() - begin
        assert self.tokyo.status()["link"]["state"] != "up" and took <= BACK_S_MAX, f"{took:.1f} s"
        self.say(f"tokyo is killed (SIGKILL) and started, still without the link: it serves after {ready:.1f} s, all that it "
                 f"holds answers to both after {took:.1f} s, without a new log-in")
        lost = [title for user, title, word in self.night_notes if "at-tokyo" in word and self.copies(self.tokyo, user, word) != 1]
        assert not lost, lost
        return "nothing that was written is missing"

    def write_at_night(self, guest, user: str, title: str, word: str) -> None:
        self.note(guest, title, word)
        self.night_notes.append((user, title, word))

    # -- 11 -----------------------------------------------------------------------------------------------------------
    def link_returns(self):
        """the link returns: what both sides wrote is at both, the uses of the night go up once"""
        events = self.unsent_events(self.tokyo)
        assert events > 0
        begin = time.monotonic()
        self.tokyo.gate.restore()
        self.tokyo.wait_link("up", 30)
        up = time.monotonic()
        until(lambda: self.unsent_events(self.tokyo) == 0, "tokyo's uses are at the head office", 60)
        took = time.monotonic() - up
        # Who comes to osaka finds there what she wrote at tokyo.
        guests = {"reception": self.signed_on("reception", self.osaka), "nurse": self.signed_on("nurse", self.osaka)}
        for user, title, word in self.night_notes:
            until(lambda: read(guests[user], title) == word, f"{title} is at osaka", 60)  # noqa: B023
            until(lambda: self.copies(self.tokyo, user, word) == 1, f"{title} is at tokyo", 60)  # noqa: B023
        files = time.monotonic() - begin
        self.say(f"{number(events)} uses of the night went up in {took:.2f} s ({number(round(events / took))} a second)")
        self.say(f"{sum(NIGHT_NOTES.values())} notes of tokyo are read at osaka, {OSAKA_NOTES} of osaka at tokyo, "
                 f"{files:.1f} s after the return")
        return "nobody had to do anything"

    # -- 12 -----------------------------------------------------------------------------------------------------------
    def bill(self):
        """the head office closes the period: what each account owes is what the tour's own browsers counted"""
        for tier in self.tree.tiers:
            if tier.name != "nagoya":
                until(lambda: self.unsent_events(tier) == 0, f"{tier.name} has sent all its uses", 30)  # noqa: B023
        period = f"{self.begun}/{now()}"
        closed = until(lambda: (done := self.head.run("bill", "close", period, check=False)).returncode != 3 and done,
                       "every tier has told its uses", 60)
        assert closed.returncode == 0, closed.stderr
        self.say("hasp bill close FROM/TO\n" + indented(closed.stdout))
        self.say("hasp bill show FROM/TO --user nurse\n" + indented(self.head.run("bill", "show", period, "--user", "nurse")))
        counted, self.billed = self.counted(), {}
        for invoice in json.loads(self.head.run("bill", "show", period, "--json"))["invoices"]:
            self.billed[invoice["user"]] = sum(line["quantity"] for line in invoice["lines"])
        assert self.billed == counted, f"billed {self.billed}, counted {counted}"
        assert self.head.run("bill", "verify", "--quiet") == ""
        return ", ".join(f"{user} {number(count)} requests billed and counted" for user, count in sorted(counted.items()))

    def counted(self) -> dict:
        """Per user, the requests of the tour's browsers that an app answered, by the ids that the browsers were given and
        the access logs: the ledger is not asked."""
        count = {}
        for tier in self.tree.tiers:
            for line in self.uses(tier):
                if line["request"] in self.asked:
                    count[line["user"]] = count.get(line["user"], 0) + 1
        return count

    # -- 13 -----------------------------------------------------------------------------------------------------------
    def last_screen(self):
        """what the night left behind"""
        homes = {word: max(self.copies(tier, user, word) for tier in (self.center, self.tokyo)) for user, _, word in self.night_notes}
        arrived, twice, lost = (sum(test(n) for n in homes.values()) for test in
                                (lambda n: n == 1, lambda n: n > 1, lambda n: n == 0))
        self.say(f"offline edits  made {len(homes)}   arrived {arrived}   twice {twice}   lost {lost}")
        self.say(f"requests       billed {number(sum(self.billed.values()))}   counted {number(sum(self.counted().values()))}")
        for tier in (self.head, self.center, self.tokyo, self.osaka):
            findings = json.loads(tier.run("doctor", "--json", check=False).stdout)["findings"]
            problems = [f for f in findings if f["state"] == "problem"]
            assert not problems, f"{tier.name}: {problems}"
        self.say("hasp doctor at the head office; the others have no problem either\n" +
                 indented(self.head.run("doctor", check=False).stdout))
        assert (arrived, twice, lost) == (len(self.night_notes), 0, 0)
        return "what the doctor still tells of is step 5"


def git(repo, *arguments) -> None:
    subprocess.run(["git", "-C", str(repo), "-c", "user.name=Developer", "-c", "user.email=developer@clinics.example", *arguments],
                   check=True, capture_output=True)


def commit(repo, message: str) -> None:
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", message)


def change(file, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file.name} has no {old!r}"
    file.write_text(text.replace(old, new, 1))


def indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


def read(guest, title: str) -> str:
    answer = get_tiddler(guest, title)
    return answer.json()["text"] if answer.status == 200 else ""


def dark_line(status: str, tier: str) -> str:
    found = re.search(rf"^\s*({re.escape(tier)}\s+dark since .*)$", status, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
