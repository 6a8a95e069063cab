"""The tour, steps 1 to 7: people at work in a chain of clinics, programs in trouble, a link that is cut, a box that is stolen."""
import os
import signal
import socket
import ssl
import time

from demo_tree import TITLES
from harness.apps import (FORKER, FORKER_CODE, calendar_query, get_tiddler, make_calendar, processes_of, put_event,
                          put_tiddler)
from harness.browser import basic
from harness.memory import rss_kb
from harness.waiting import until
from harness.websocket import WebSocket
from tour_base import TourBase, first_words

MIB = 1 << 20
BLOCK = bytes(range(256)) * 4096  # 1 MiB
BIG_MIB = 200
ABOVE_IDLE_KB = 32 * 1024


class TourOfADay(TourBase):
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
        tokyo = self.guest()
        assert make_calendar(tokyo, "reception", "room1", token).status == 201
        assert put_event(tokyo, "reception", "room1", "sato-1", "Vaccination of Ms Sato", token).status == 201
        for tier, count in ((self.tokyo, 2), (self.osaka, 2), (self.center, 1)):
            found = calendar_query(self.guest(tier), "reception", "room1", token)
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
        """intern may use two apps: two tiles, and the others answer as if they did not exist"""
        intern = self.signed_on("intern")
        page = intern.get("/").text
        shown = sorted(name for name, title in TITLES.items() if title in page)
        assert shown == ["leaflets", "wiki"], f"tiles: {shown}"
        absent = intern.get("/apps/nothing/")
        for name in ("calendar", "flows", "archive"):
            refused = intern.get(f"/apps/{name}/")
            assert (refused.status, refused.text.replace(name, "nothing")) == (absent.status, absent.text), name
        by_host = intern.get("/", host="tickets.localhost", follow=True)
        assert by_host.status == 404, by_host.status
        self.say(f"tiles: {', '.join(TITLES[n] for n in shown)}; calendar, flows, archive and tickets: {absent.status}")
        return "what one may not use looks like what is not there"

    def wiki_in_trouble(self):
        """the wiki is killed, hung and made to fork: the portal says what is wrong, the others do not notice, it comes back"""
        intern = self.signed_on("intern")
        answers = lambda: intern.get("/apps/wiki/status").status == 200  # noqa: E731
        others = lambda: self.reception.get("/apps/leaflets/").status == 200 and \
            self.reception.request("PROPFIND", "/apps/calendar/reception/", headers={"Depth": "0"}).status == 207  # noqa: E731
        until(answers, "the intern's wiki answers")

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
        assert put_tiddler(intern, FORKER, FORKER_CODE, type="application/javascript",
                           fields={"module-type": "startup"}).status in (200, 204)
        stored = lambda: list((self.tokyo.state / "data/users/intern").rglob("*forker*"))  # noqa: E731
        until(stored, "the wiki wrote it down")
        for pid in wikis():
            os.kill(pid, signal.SIGKILL)
        # The first answers may still tell of the kill, and of the pause after the third trouble in a minute.
        page = until(lambda: (a := intern.get("/apps/wiki/status")).status >= 500 and "before it answered" in a.text and a,
                     "the wiki fails for having forked", 60)
        assert others(), "fork: the other apps noticed"
        errors = [e for e in self.tokyo.status()["errors"] if "wiki" in str(e)]
        assert errors, "hasp status does not name the wiki"
        tile = first_words(intern.get("/").text[intern.get("/").text.index(TITLES["wiki"]):])
        assert "Ready" not in tile, tile
        self.say(f"forked without end: {page.status} \"{first_words(page.text)}\"; the others went on")
        self.say(f"the intern's portal: \"{tile}\"")
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
        """nagoya joins with one line, works, is stolen and revoked: its link drops within a second, its key opens nothing"""
        nagoya = self.tree.add_local("nagoya", self.center)
        browser = self.signed_on("reception", nagoya)
        until(lambda: browser.get("/apps/flows/").status == 200, "nagoya reaches the instruments", 30)
        cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies["localhost"].items())}
        bell = WebSocket(nagoya.web_port, "/apps/flows/ws/bell", headers=cookie)
        begin = time.monotonic()
        self.center.run("local", "revoke", "nagoya")
        assert bell.ended(5), "a WebSocket through the link lives on"
        took = time.monotonic() - begin
        assert took <= 1.0, f"the link dropped only after {took:.1f} s"
        until(lambda: nagoya.status()["link"]["state"] != "up", "nagoya knows", 5)
        tries = nagoya.gate.connections
        until(lambda: nagoya.gate.connections >= tries + 2, "nagoya tries again", 20)
        assert nagoya.status()["link"]["state"] != "up"
        self.say(f"the link dropped {took * 1000:.0f} ms after the command was typed; {nagoya.gate.connections - tries} new tries refused")
        self.say(f"a connection with nagoya's own key: {self.with_the_key_of(nagoya)}")
        assert self.signed_on("reception", self.osaka).get("/apps/calendar/.web/").status == 200
        return "the others work on"

    def with_the_key_of(self, tier) -> str:
        keys = tier.state / "keys"
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
