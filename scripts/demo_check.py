#!/usr/bin/python3
"""The tour of the demo, walked by itself: a line a step with what was seen. Exit 0 only if all held."""
import html
import os
import re
import signal
import ssl
import socket
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/e2e")]
from demo_tree import PEOPLE, TITLES, furnish  # noqa: E402
from harness.apps import (FORKER, FORKER_CODE, calendar_query, get_tiddler, make_calendar, processes_of,  # noqa: E402
                          put_event, put_tiddler)
from harness.browser import basic  # noqa: E402
from harness.memory import rss_kb  # noqa: E402
from harness.tree import Tree  # noqa: E402
from harness.waiting import until  # noqa: E402
from harness.websocket import WebSocket  # noqa: E402

MIB = 1 << 20
BLOCK = bytes(range(256)) * 4096  # 1 MiB
BIG_MIB = 200
ABOVE_IDLE_KB = 32 * 1024


class Tour:
    def __init__(self, tree: Tree):
        self.tree = tree
        self.head, self.center, self.tokyo, self.osaka = (tree[n] for n in ("head", "center", "tokyo", "osaka"))
        self.reception = self.signed_on("reception")

    def signed_on(self, user: str, tier=None):
        browser = (tier or self.tokyo).browser()
        answer = browser.log_in(user, PEOPLE[user][0])
        assert answer.status == 200, f"{user} cannot log in: {answer.status} {answer.text[:300]}"
        return browser

    def say(self, text: str) -> None:
        print(f"     {text}", flush=True)

    def hops(self, answer_or_rid, count: int) -> str:
        rid = getattr(answer_or_rid, "rid", answer_or_rid)
        return " > ".join(f"{tier} ({route})" for tier, route, _, _ in self.tree.wait_hops(rid, count))

    # -- the steps ----------------------------------------------------------------------------------------------------
    def one_log_in(self):
        """reception logs in at tokyo once and uses the apps of three tiers there"""
        asked = (
            ("leaflets", lambda b: b.get("/apps/leaflets/leaflets.md"), "Before a blood test", 1),
            ("wiki", lambda b: b.get("/apps/wiki/recipes/default/tiddlers.json"), "Notes of this desk", 1),
            ("calendar", lambda b: b.request("PROPFIND", "/apps/calendar/reception/", headers={"Depth": "0"}), "multistatus", 2),
            ("tickets", lambda b: b.get("/wiki?name=Opening+hours", host="tickets.localhost", follow=True), "8:30 to 18:00", 3),
        )
        for name, ask, word, tiers in asked:
            answer = ask(self.reception)
            assert answer.status in (200, 207), f"{name}: {answer.status} {answer.text[:300]}"
            assert word in answer.text, f"{name}: no '{word}' in {answer.text[:300]}"
            self.say(f"{name:9} {answer.status}  \"{word}\"  {self.hops(answer, tiers)}")
        return "four programs of three tiers at tokyo's address, one password typed"

    def calendar(self):
        """a calendar client writes through tokyo; the entry is there through osaka and at the center"""
        token = basic("reception", self.head.token("reception", "calendar"))
        tokyo = self.tokyo.browser()
        assert make_calendar(tokyo, "reception", "room1", token).status == 201
        assert put_event(tokyo, "reception", "room1", "sato-1", "Vaccination of Ms Sato", token).status == 201
        for tier, count in ((self.tokyo, 2), (self.osaka, 2), (self.center, 1)):
            found = calendar_query(tier.browser(), "reception", "room1", token)
            assert found.status == 207 and "Vaccination of Ms Sato" in found.text, f"{tier.name}: {found.status}"
            self.say(f"at {tier.name:7} \"Vaccination of Ms Sato\"  {self.hops(found, count)}")
        return "written through tokyo, read through osaka and at the center"

    def streams(self):
        """a WebSocket through two tiers; 200 MB up and down through three within 32 MB above idle at each"""
        cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.reception.cookies["localhost"].items())}
        until(lambda: self.reception.get("/apps/flows/").status == 200, "the instruments' page answers", 60)
        bell = WebSocket(self.tokyo.web_port, "/apps/flows/ws/bell", headers=cookie)
        begin = time.perf_counter()
        bell.send("room 3, please")
        assert bell.receive()[1] == b"room 3, please"
        took = (time.perf_counter() - begin) * 1000
        rid = bell.header("X-Request-Id")
        bell.close()
        self.say(f"the bell rang and was answered in {took:.1f} ms  {self.hops(rid, 2)}")

        assert self.reception.get("/apps/archive/README.txt").status == 200
        pids = {t.name: list(t.processes().values()) for t in (self.tokyo, self.center, self.head)}
        measure = lambda: {name: sum(rss_kb(p) for p in group) for name, group in pids.items()}  # noqa: E731
        idle = measure()
        peak = dict(idle)

        def look():
            for name, kb in measure().items():
                peak[name] = max(peak[name], kb)

        def picture():
            for part in range(BIG_MIB):
                if part % 8 == 0:
                    look()
                yield BLOCK

        put = self.reception.request("PUT", "/apps/archive/room3.img", body=picture(),
                                     headers={"Content-Length": str(BIG_MIB * MIB)})
        assert put.status in (201, 204), f"upload: {put.status} {put.text[:300]}"
        connection, answer = self.reception.open("GET", "/apps/archive/room3.img")
        got = 0
        while data := answer.read(MIB):
            assert data == BLOCK[got % MIB:][:len(data)] or len(data) < MIB, "what came down is not what went up"
            got += len(data)
            if got % (8 * MIB) == 0:
                look()
        connection.close()
        assert got == BIG_MIB * MIB, f"{got} bytes came down"
        above = {name: peak[name] - idle[name] for name in idle}
        assert max(above.values()) <= ABOVE_IDLE_KB, f"KiB above idle: {above}"
        self.say(f"{BIG_MIB} MiB up and down: " + ", ".join(f"{n} +{kb / 1024:.1f} MiB" for n, kb in above.items()) +
                 f"  {self.hops(put, 3)}")
        return "both ways through every tier"

    def entitlements(self):
        """nurse may use two apps: two tiles, and the others answer as if they did not exist"""
        nurse = self.signed_on("nurse")
        page = nurse.get("/").text
        shown = sorted(name for name, title in TITLES.items() if title in page)
        assert shown == ["leaflets", "wiki"], f"tiles: {shown}"
        absent = nurse.get("/apps/nothing/")
        for name in ("calendar", "flows", "archive"):
            refused = nurse.get(f"/apps/{name}/")
            assert (refused.status, refused.text.replace(name, "nothing")) == (absent.status, absent.text), name
        by_host = nurse.get("/", host="tickets.localhost", follow=True)
        assert by_host.status == 404, by_host.status
        self.say(f"tiles: {', '.join(TITLES[n] for n in shown)}; calendar, flows, archive and tickets: {absent.status}")
        return "what one may not use looks like what is not there"

    def wiki_in_trouble(self):
        """the wiki is killed, hung and made to fork: the portal says what is wrong, the others do not notice, it comes back"""
        nurse = self.signed_on("nurse")
        answers = lambda: nurse.get("/apps/wiki/status").status == 200  # noqa: E731
        others = lambda: self.reception.get("/apps/leaflets/").status == 200 and \
            self.reception.request("PROPFIND", "/apps/calendar/reception/", headers={"Depth": "0"}).status == 207  # noqa: E731
        until(answers, "the nurse's wiki answers")

        def wikis():
            return processes_of(self.tokyo, "tiddlywiki.js")

        for name, number in (("killed", signal.SIGKILL), ("hung", signal.SIGSTOP)):
            hurt = wikis()
            assert hurt, "no wiki runs"
            begin = time.monotonic()
            for pid in hurt:
                os.kill(pid, number)
            assert others(), f"{name}: the other apps noticed"
            until(lambda: not set(hurt) & set(wikis()), f"the {name} wiki is gone", 40)  # noqa: B023
            until(answers, f"the {name} wiki is back", 40)
            self.say(f"{name:6} and back after {time.monotonic() - begin:.1f} s; the others went on")
        assert put_tiddler(nurse, FORKER, FORKER_CODE, type="application/javascript",
                           fields={"module-type": "startup"}).status in (200, 204)
        stored = lambda: list((self.tokyo.state / "data/users/nurse").rglob("*forker*"))  # noqa: E731
        until(stored, "the wiki wrote it down")
        for pid in wikis():
            os.kill(pid, signal.SIGKILL)
        # The first answers may still tell of the kill, and of the pause after the third trouble in a minute.
        page = until(lambda: (a := nurse.get("/apps/wiki/status")).status >= 500 and "before it answered" in a.text and a,
                     "the wiki fails for having forked", 60)
        assert others(), "fork: the other apps noticed"
        errors = [e for e in self.tokyo.status()["errors"] if "wiki" in str(e)]
        assert errors, "hasp status does not name the wiki"
        tile = first_words(nurse.get("/").text[nurse.get("/").text.index(TITLES["wiki"]):])
        assert "Ready" not in tile, tile
        self.say(f"forked without end: {page.status} \"{first_words(page.text)}\"; the others went on")
        self.say(f"the nurse's portal: \"{tile}\"")
        self.say(f"hasp status: \"{errors[0]['text']}\"")
        for file in stored():
            file.unlink()
        until(answers, "the wiki is back", 120)
        self.say("without what made it fork, the wiki is back")
        return "three kinds of trouble, none of them the others'"

    def link_cut(self):
        """the link tokyo to center is cut: what tokyo holds goes on, the others get a page, on return they work at once"""
        put_tiddler(self.reception, "Fridge", "4.2 degrees")
        self.tokyo.gate.cut()
        self.tokyo.wait_link("down")
        assert self.reception.get("/apps/leaflets/").status == 200
        assert get_tiddler(self.reception, "Fridge").json()["text"] == "4.2 degrees"
        page = self.reception.get("/apps/calendar/.web/")
        assert page.status in (502, 503, 504), page.status
        assert "center" in page.text.lower(), page.text[:500]
        self.say(f"without the link: leaflets 200, wiki 200, calendar {page.status} \"{first_words(page.text)}\"")
        begin = time.monotonic()
        self.tokyo.gate.restore()
        self.tokyo.wait_link("up")
        back = self.reception.request("PROPFIND", "/apps/calendar/reception/", headers={"Depth": "0"})
        assert back.status == 207, back.status
        self.say(f"{time.monotonic() - begin:.1f} s after its return: calendar {back.status}  {self.hops(back, 2)}")
        return "tokyo goes on alone with what it holds"

    def revocation(self):
        """tokyo is revoked: its link drops within a second and nothing it signs is accepted"""
        cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.reception.cookies["localhost"].items())}
        bell = WebSocket(self.tokyo.web_port, "/apps/flows/ws/bell", headers=cookie)
        begin = time.monotonic()
        self.center.run("local", "revoke", "tokyo")
        assert bell.ended(5), "a WebSocket through the link lives on"
        took = time.monotonic() - begin
        assert took <= 1.0, f"the link dropped only after {took:.1f} s"
        until(lambda: self.tokyo.status()["link"]["state"] != "up", "tokyo knows", 5)
        tries = self.tokyo.gate.connections
        until(lambda: self.tokyo.gate.connections >= tries + 2, "tokyo tries again", 20)
        assert self.tokyo.status()["link"]["state"] != "up"
        self.say(f"the link dropped {took * 1000:.0f} ms after the command was typed; {self.tokyo.gate.connections - tries} new tries refused")
        self.say(f"a connection with tokyo's own key: {self.with_tokyos_key()}")
        calendar = self.osaka.browser()
        calendar.log_in("reception", PEOPLE["reception"][0])
        assert calendar.get("/apps/calendar/.web/").status == 200
        return "osaka works on"

    def with_tokyos_key(self) -> str:
        keys = self.tokyo.state / "keys"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(keys / "certificates.pem", keys / "tls.pem")
        try:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", self.center.link_port), timeout=10)) as link:
                link.sendall(b"GET /hasp/control HTTP/1.1\r\nHost: center\r\n\r\n")
                assert not link.recv(1), "the center answered a revoked tier"
                return "closed by the center"
        except (ssl.SSLError, ConnectionError) as error:
            return f"refused ({getattr(error, 'reason', None) or type(error).__name__})"


def first_words(page: str) -> str:
    """The page's text without its marks, as far as a line of the tour holds."""
    text = re.sub(r"<(style|script|title)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())[:160]


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(130))
    begin = time.monotonic()
    tree = Tree()
    failed = passed = 0
    try:
        furnish(tree)
        print(f"the tree stands: head > center > tokyo, osaka ({time.monotonic() - begin:.1f} s)", flush=True)
        tour = Tour(tree)
        steps = (tour.one_log_in, tour.calendar, tour.streams, tour.entitlements, tour.wiki_in_trouble, tour.link_cut,
                 tour.revocation)
        for number, step in enumerate(steps, 1):
            at = time.monotonic()
            try:
                seen = step()
            except Exception:  # a step that fails must not hide the ones after it
                failed += 1
                print(f"{number}. FAILED {step.__doc__}\n{traceback.format_exc()}", flush=True)
                tree["tokyo"].gate.restore()
                continue
            passed += 1
            print(f"{number}. ok     {step.__doc__}: {seen} ({time.monotonic() - at:.1f} s)", flush=True)
        if failed:
            for tier in tree.tiers:
                print(f"--- {tier.name}\n{tier.log()}", file=sys.stderr)
    finally:
        trouble = tree.close()
    for line in trouble:
        failed += 1
        print(f"FAILED at the end: {line}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
