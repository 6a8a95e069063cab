#!/usr/bin/python3
"""A3, A4: streams pass any number of tiers both ways, under back-pressure, and cost no tier memory."""
import hashlib
import os

from harness.backend import Backend
from harness.case import TreeCase, depth_adds_nothing, main
from harness.memory import rss_kb
from harness.waiting import slack, until
from harness.websocket import BINARY, CLOSE, PING, PONG, Refused, WebSocket

MIB = 1 << 20
# A sanitizer slows each byte down, and what it finds it finds in the first of them.
BLOCKS = 200 if slack() == 1.0 else 40
BIG = BLOCKS * MIB
ABOVE_IDLE_KB = int(32 * 1024 * slack())
KEPT_S = 60  # an unused connection to an app or a tier (upstream_idle_ms)
KEPT_FDS = 24  # of connections that wait for reuse after a test with one client
BLOCK = bytes(range(256)) * 4096  # 1 MiB


class Streams(TreeCase):
    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("echo", cls.backend.url, access="public")
        cls.tree.top.upstream_app("echo-user", cls.backend.url)
        cls.tree.top.user_add("reception", "sakura-2001", apps=["echo-user"])
        cls.tree.bottom.upstream_app("near", cls.backend.url, access="public")
        cls.tree.bottom.wait_reaches("/apps/echo/bytes/1")
        cls.tree.top.wait_reaches("/apps/near/bytes/1")

    def fronts(self):
        return {tier.name: [pid for role, pid in tier.processes().items() if role != "supervisor"] for tier in self.tree.tiers}

    def memory(self, pids):
        return {name: sum(rss_kb(pid) for pid in group) for name, group in pids.items()}

    def check_memory(self, idle, peak):
        for name, kb in peak.items():
            self.assertLessEqual(kb, idle[name] + ABOVE_IDLE_KB, f"{name}: {idle[name]} KiB idle, {kb} KiB at most")

    @depth_adds_nothing
    def test_200_mb_come_down_within_32_mb_above_idle_at_every_tier(self):
        pids = self.fronts()
        idle = self.memory(pids)
        peak = dict(idle)
        connection, response = self.tree.bottom.browser().open("GET", f"/apps/echo/bytes/{BIG}")
        got, part, digest = 0, 0, hashlib.sha256()
        while data := response.read(MIB):
            got += len(data)
            digest.update(data)
            part += 1
            if part % 16 == 0:
                peak = {name: max(peak[name], kb) for name, kb in self.memory(pids).items()}
        connection.close()
        self.assertEqual(got, BIG)
        self.assertEqual(digest.hexdigest(), hashlib.sha256(BLOCK * BLOCKS).hexdigest())
        self.check_memory(idle, peak)

    @depth_adds_nothing
    def test_200_mb_go_up_within_32_mb_above_idle_at_every_tier(self):
        pids = self.fronts()
        idle = self.memory(pids)
        peak = dict(idle)

        def body():
            for part in range(BLOCKS):
                if part % 16 == 0:
                    for name, kb in self.memory(pids).items():
                        peak[name] = max(peak[name], kb)
                yield BLOCK

        seen = self.tree.bottom.browser().request("PUT", "/apps/echo/up", body=body(),
                                                  headers={"Content-Length": str(BIG)}).json()
        self.assertEqual((seen["size"], seen["sha256"]), (BIG, hashlib.sha256(BLOCK * BLOCKS).hexdigest()))
        self.check_memory(idle, peak)

    @depth_adds_nothing
    def test_100_mb_come_up_from_a_child_within_32_mb_above_idle_at_every_tier(self):
        pids = self.fronts()
        idle = self.memory(pids)
        peak = dict(idle)
        connection, response = self.tree.top.browser().open("GET", f"/apps/near/bytes/{BIG // 2}")
        got = 0
        while data := response.read(8 * MIB):
            got += len(data)
            peak = {name: max(peak[name], kb) for name, kb in self.memory(pids).items()}
        connection.close()
        self.assertEqual(got, BIG // 2)
        self.check_memory(idle, peak)

    def test_streams_that_ended_or_were_given_up_leave_no_descriptor_behind(self):
        pids = self.fronts()

        def count():
            return {name: sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in group) for name, group in pids.items()}

        browser = self.tree.bottom.browser()
        self.assertEqual(browser.get("/apps/echo/bytes/10").status, 200)
        before = count()
        for _ in range(40):
            for tier, app in ((self.tree.bottom, "echo"), (self.tree.top, "near")):
                connection, response = tier.browser().open("GET", f"/apps/{app}/bytes/{3 * MIB}")
                response.read(1000)
                connection.close()
                response.close()
                socket = WebSocket(tier.web_port, f"/apps/{app}/ws")
                socket.send("gone")
                socket.sock.close()
        # Connections to neighbours and apps are kept for reuse; those that the burst left over close a minute later.
        until(lambda: all(now <= before[name] + KEPT_FDS for name, now in count().items()),
              f"as many descriptors as before ({before})", KEPT_S + 20 * slack())

    def test_a_reader_who_stops_reading_stops_the_sender_and_not_the_others(self):
        pids = self.fronts()
        idle = self.memory(pids)
        connection, response = self.tree.bottom.browser().open("GET", f"/apps/echo/bytes/{BIG}")
        response.read(MIB)
        browser = self.tree.bottom.browser()
        for _ in range(50):
            self.assertEqual(browser.get("/apps/echo/bytes/10000").status, 200)
        self.check_memory(idle, self.memory(pids))
        connection.close()

    def test_a_websocket_works_up_and_down_through_every_tier(self):
        self.speak(WebSocket(self.tree.bottom.web_port, "/apps/echo/ws"))
        self.speak(WebSocket(self.tree.top.web_port, "/apps/near/ws"))

    def speak(self, socket):
        for text in ("hello", "", "x" * 70000):
            socket.send(text)
            self.assertEqual(socket.receive()[1].decode(), text)
        socket.send(bytes(range(256)), BINARY)
        self.assertEqual(socket.receive(), (BINARY, bytes(range(256))))
        socket.send(b"alive?", PING)
        self.assertEqual(socket.receive(), (PONG, b"alive?"))
        socket.send(b"\x03\xe8", CLOSE)
        self.assertEqual(socket.receive()[0], CLOSE)
        socket.sock.close()

    @depth_adds_nothing
    def test_a_websocket_asks_for_the_same_rights_as_a_request(self):
        with self.assertRaises(Refused):
            WebSocket(self.tree.bottom.web_port, "/apps/echo-user/ws")
        browser = self.tree.bottom.browser()
        browser.log_in("reception", "sakura-2001")
        cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies["localhost"].items())}
        WebSocket(self.tree.bottom.web_port, "/apps/echo-user/ws", headers=cookie).close()
        with self.assertRaises(Refused) as refused:
            WebSocket(self.tree.bottom.web_port, "/apps/echo-user/ws", headers=cookie, origin="http://evil.localhost")
        self.assertEqual(refused.exception.status, 403)

    def test_events_of_a_server_arrive_as_they_are_sent(self):
        connection, response = self.tree.bottom.browser().open("GET", "/apps/echo/events")
        for number in range(5):
            self.backend.emit(f"event {number}")
            self.assertEqual(response.readline(), f"data: event {number}\n".encode())
            self.assertEqual(response.readline(), b"\n")
        connection.close()


if __name__ == "__main__":
    main()
