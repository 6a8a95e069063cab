"""What the steps of the demo's tour share: the screen, browsers that remember what they asked, and people who keep asking."""
import datetime
import html
import json
import re
import sys
import textwrap
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/e2e")]
from demo_tree import PEOPLE  # noqa: E402
from harness.browser import Browser  # noqa: E402
from harness.tree import Tree  # noqa: E402
from harness.waiting import until  # noqa: E402

PAUSE_S_MAX = 2.0
COLUMNS, ROWS = 132, 40


class Screen:
    """Prints, and keeps a recording (asciicast v2) if it is given a file. Nothing of this machine's folders is shown."""

    def __init__(self, record=None):
        self.record = Path(record) if record else None
        self.hidden = [(str(ROOT), ".")]
        self._events, self._at, self._last = [], 0.0, time.monotonic()
        if self.record:
            self.put("$ scripts/demo --check", show=False)

    def hide(self, folder, name: str) -> None:
        self.hidden.insert(0, (str(folder), name))

    def put(self, text: str, show: bool = True) -> None:
        for folder, name in self.hidden:
            text = text.replace(folder, name)
        text = "\n".join(fitted(line) for line in text.split("\n"))
        if show:
            print(text, flush=True)
        now = time.monotonic()
        self._at += min(now - self._last, PAUSE_S_MAX)
        self._last = now
        self._events.append([round(self._at, 3), "o", text.replace("\n", "\r\n") + "\r\n"])

    def save(self) -> None:
        if self.record:
            head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "hasp: a chain of clinics"}
            self.record.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [head, *self._events]))


class Guest(Browser):
    """A browser that keeps the id of each request that was answered: what the bill is held against."""

    def __init__(self, port: int, asked: set, **rest):
        super().__init__(port, **rest)
        self.asked = asked

    def open(self, *arguments, **rest):
        connection, response = super().open(*arguments, **rest)
        self.asked.add(response.headers.get("X-Request-Id", ""))
        return connection, response


class Crowd:
    """People who ask at a steady rate, whether the answers come fast or not. Counts those that were not answered well."""
    threads = 8

    def __init__(self, guests, path: str, per_second: int):
        self.guests, self.path = guests, path
        self.pause_s = self.threads / per_second
        self.failures, self.slowest_s = [], 0.0
        self._answers = [0] * self.threads
        self._over = threading.Event()
        self._people = [threading.Thread(target=self._ask, args=(i,), daemon=True) for i in range(self.threads)]

    def _ask(self, i: int) -> None:
        guest = self.guests[i % len(self.guests)]
        due = time.monotonic() + self.pause_s * i / self.threads
        while not self._over.wait(max(0.0, due - time.monotonic())):
            begin = time.monotonic()
            try:
                answer = guest.get(self.path)
                if answer.status == 200:
                    self._answers[i] += 1
                else:
                    self.failures.append(f"{answer.status} {first_words(answer.text)}")
            except OSError as error:
                self.failures.append(repr(error))
            self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
            due += self.pause_s

    @property
    def answers(self) -> int:
        return sum(self._answers)

    def __enter__(self):
        for one in self._people:
            one.start()
        until(lambda: self.answers >= 20 or self.failures, "the crowd is at it")
        return self

    def go_on(self, more: int) -> None:
        begin = self.answers
        until(lambda: self.answers >= begin + more or self.failures, f"{more} more answers", 60)

    def __exit__(self, *_):
        self._over.set()
        for one in self._people:
            one.join()


class TourBase:
    def __init__(self, tree: Tree, screen: Screen):
        self.tree, self.screen = tree, screen
        self.head, self.center, self.tokyo, self.osaka = (tree[n] for n in ("head", "center", "tokyo", "osaka"))
        self.asked = set()  # ids of the requests of all guests
        self.begun = now()
        self.night_notes = []  # (user, title, a text that no other note has)
        self.billed = {}
        self.reception = self.signed_on("reception")

    def guest(self, tier=None) -> Guest:
        return Guest((tier or self.tokyo).web_port, self.asked)

    def signed_on(self, user: str, tier=None) -> Guest:
        browser = self.guest(tier)
        answer = browser.log_in(user, PEOPLE[user][0])
        assert answer.status == 200, f"{user} cannot log in: {answer.status} {first_words(answer.text)}"
        return browser

    def say(self, text: str) -> None:
        self.screen.put("\n".join(f"     {line}" if line else "" for line in text.splitlines()))

    def hops(self, answer_or_rid, count: int) -> str:
        rid = getattr(answer_or_rid, "rid", answer_or_rid)
        return " > ".join(f"{tier} ({route})" for tier, route, _, _ in self.tree.wait_hops(rid, count))

    def unsent_events(self, tier) -> int:
        return tier.status()["usage"]["unsent_events"]


def fitted(line: str) -> str:
    """The line, broken where it is wider than the screen; what follows stands a little further in."""
    inside = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, COLUMNS, subsequent_indent=inside, drop_whitespace=True, break_long_words=False,
                         break_on_hyphens=False) if len(line) > COLUMNS else line


def first_words(page: str) -> str:
    """The page's text without its marks, as far as a line of the tour holds; a bar stands between its parts."""
    text = re.sub(r"<(style|script|title)\b.*?</\1>", " ", page, flags=re.DOTALL)
    parts = (html.unescape(re.sub(r"<[^>]+>", " ", part)).split() for part in
             re.split(r"</?(?:h\d|p|div|li|dt|dd|pre|section|header|main|a|br|nav|small)\b[^>]*>", text))
    return textwrap.shorten(" | ".join(" ".join(words) for words in parts if words), 160, placeholder=" …")


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def number(count: int) -> str:
    return f"{count:,}"
