#!/usr/bin/python3
"""Fronts with several loops: users do not notice on which they are, and what ends for one ends on all."""
import hashlib
import http.client
import json
import os
import threading
import unittest

from harness.backend import Backend
from harness.case import TreeCase, depth, main
from harness.waiting import until
from harness.websocket import WebSocket

LOOPS = 4
EACH = 2 * LOOPS  # connections: home gives each to the loop with the fewest, so every loop has some


def ask(port, path, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body=body, headers={"Host": f"localhost:{port}", **headers})
    return connection, connection.getresponse()


class Together:
    """The same on several connections at once; what went wrong is kept."""

    def __init__(self, count, what):
        self.failures, self.stop, self.done = [], threading.Event(), 0
        self.threads = [threading.Thread(target=self._run, args=(what, n), daemon=True) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, what, number):
        try:
            what(self, number)
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.failures.append(f"{number}: {type(error).__name__} {error}")

    def end(self):
        for thread in self.threads:
            thread.join(60)
        return self.failures


class LoopsCase(TreeCase):
    config = f"[web]\nloops = {LOOPS}\n"

    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        top, bottom = cls.tree.top, cls.tree.bottom
        top.upstream_app("far", cls.backend.url, access="public")
        bottom.upstream_app("near", cls.backend.url, access="public")
        top.upstream_app("ward", cls.backend.url)
        top.user_add("reception", "sakura-2001", apps=["ward"])
        top.wait_reaches("/apps/near/x")
        bottom.wait_reaches("/apps/far/x")

    def threads(self, tier):
        return len(os.listdir(f"/proc/{tier.processes()['front']}/task"))


class Loops(LoopsCase):
    def test_files_go_up_and_down_on_every_loop_by_way_of_every_kind_of_link(self):
        block = os.urandom(2_000_000)

        def work(_, number):
            tier, app = ((self.tree.bottom, "far"), (self.tree.top, "near"))[number % 2]
            connection, down = ask(tier.web_port, f"/apps/{app}/bytes/5000000")
            self.assertEqual((down.status, len(down.read())), (200, 5_000_000))
            connection.close()
            connection, up = ask(tier.web_port, f"/apps/{app}/up", "POST", block)
            self.assertEqual(up.status, 200)
            self.assertEqual(json.loads(up.read())["sha256"], hashlib.sha256(block).hexdigest())
            connection.close()

        self.assertEqual(self.threads(self.tree.bottom), LOOPS)
        self.assertEqual(Together(2 * EACH, work).end(), [])

    def test_who_signs_on_at_one_loop_is_known_at_all_and_so_is_his_end(self):
        bottom = self.tree.bottom
        browser = bottom.browser()
        browser.log_in("reception", "sakura-2001")
        cookie = "; ".join(f"{k}={v}" for k, v in browser.cookies["localhost"].items())
        kept = [ask(bottom.web_port, "/apps/ward/x", Cookie=cookie) for _ in range(EACH)]
        self.assertEqual([answer.status for _, answer in kept], [200] * EACH)
        users = {json.loads(answer.read())["headers"]["remote-user"] for _, answer in kept}
        self.assertEqual(users, {"reception"})
        browser.log_out()

        def ended():
            states = []
            for connection, _ in kept:
                connection.request("GET", "/apps/ward/x", headers={"Host": "localhost", "Cookie": cookie, "Accept": "text/plain"})
                answer = connection.getresponse()
                answer.read()
                states.append(answer.status)
            return 200 not in states
        until(ended, "no loop knows the session any more", 10)
        for connection, _ in kept:
            connection.close()

    def test_a_reload_may_change_their_number_under_load(self):
        bottom = self.tree.bottom
        file = bottom.state / "hasp.toml"
        good = file.read_text()
        sockets = [WebSocket(bottom.web_port, "/apps/far/ws") for _ in range(EACH)]

        def work(all_, number):
            while not all_.stop.is_set():
                connection, answer = ask(bottom.web_port, ("/apps/far/x", "/apps/near/x")[number % 2])
                self.assertEqual((answer.status, bool(answer.read())), (200, True))
                connection.close()
                all_.done += 1

        load = Together(4, work)
        try:
            for count in (2, LOOPS):
                file.write_text(good.replace(f"loops = {LOOPS}", f"loops = {count}"))
                bottom.run("reload", timeout=60)
                self.assertEqual(self.threads(bottom), count)
                before = load.done
                until(lambda: load.done > before + 20 or load.failures, "requests go on", 20)
        finally:
            load.stop.set()
        self.assertEqual(load.end(), [])
        for number, one in enumerate(sockets):
            one.send(f"still {number}")
            self.assertEqual(one.receive()[1], f"still {number}".encode())
            one.close()
            one.sock.close()

    def test_each_request_has_its_line_in_the_log(self):
        bottom = self.tree.bottom

        def work(_, number):
            connection, answer = ask(bottom.web_port, f"/apps/near/line-{number}")
            self.assertEqual((answer.status, bool(answer.read())), (200, True))
            connection.close()

        self.assertEqual(Together(40, work).end(), [])
        wanted = {f"/apps/near/line-{n}" for n in range(40)}
        until(lambda: wanted <= {line.get("path") for line in bottom.access_lines()}, "every line is there", 10)


@unittest.skipIf(depth() > 2, "one link does this alone: at depth 2 it is shown")
class LoopsThatEnd(LoopsCase):
    def test_a_child_that_is_revoked_is_cut_off_on_every_loop_and_a_stop_lets_what_was_begun_end(self):
        top, bottom = self.tree.top, self.tree.bottom
        sockets = [WebSocket(top.web_port, "/apps/near/ws") for _ in range(EACH)]
        for one in sockets:
            one.send("hello")
            self.assertEqual(one.receive()[1], b"hello")
        top.run("local", "revoke", bottom.name)
        self.assertTrue(all(one.ended() for one in sockets), "each WebSocket to it has ended")
        gone, answer = ask(top.web_port, "/apps/near/x")
        self.assertNotEqual(answer.status, 200)
        gone.close()

        begun = [ask(top.web_port, "/apps/far/bytes/20000000") for _ in range(EACH)]
        self.assertEqual([answer.read(1_000) != b"" for _, answer in begun], [True] * EACH)
        codes = []
        ending = threading.Thread(target=lambda: codes.append(top.stop()))
        ending.start()
        self.assertEqual([len(answer.read()) for _, answer in begun], [20_000_000 - 1_000] * EACH)
        ending.join(30)
        self.assertEqual(codes, [0])
        for connection, _ in begun:
            connection.close()
        for one in sockets:
            one.sock.close()


if __name__ == "__main__":
    main()
