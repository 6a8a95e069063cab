#!/usr/bin/python3
"""A9, C4 and the tour's steps 6 and 7: links are mutual, come back by themselves, and end with the child's row."""
import json
import socket
import ssl
import time
import unittest

from harness.backend import Backend
from harness.case import TreeCase, main
from harness.tree import Tree
from harness.waiting import holds_for, until
from harness.websocket import WebSocket


class LinkThatFails(TreeCase):
    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("far", cls.backend.url)
        cls.tree.top.upstream_app("open", cls.backend.url, access="public")
        cls.tree.bottom.upstream_app("near", cls.backend.url)
        cls.tree.top.user_add("reception", "sakura-2001", apps=["far", "near"])

    def setUp(self):
        self.tree.bottom.gate.restore()
        self.tree.bottom.wait_link()
        self.browser = self.tree.bottom.browser()
        until(lambda: self.browser.log_in("reception", "sakura-2001").status == 200, "log-in works")
        until(lambda: self.browser.get("/apps/far/x").status == 200, "the far app is reached")

    def test_without_its_parent_a_local_goes_on_with_what_it_holds(self):
        self.assertEqual(self.browser.get("/apps/near/x").status, 200)
        self.tree.bottom.gate.cut()
        self.tree.bottom.wait_link("down")
        holds_for(lambda: self.browser.get("/apps/near/x").status == 200, "the local's own app answers", 1.0)

    def test_what_cannot_be_reached_gets_a_page_that_says_so_and_since_when(self):
        cut = self.tree.bottom.gate.cut()
        self.tree.bottom.wait_link("down")
        answer = self.browser.get("/apps/far/x")
        self.assertIn(answer.status, (502, 503, 504))
        parent = self.tree.tiers[-2].name
        self.assertIn(parent, answer.text.lower())
        self.assertRegex(answer.text, r"since|\d\d:\d\d")
        link = self.tree.bottom.status()["link"]
        self.assertEqual(link["state"], "down")
        self.assertTrue(link["since"])
        self.assertLess(cut, time.time())

    def test_who_is_not_signed_on_gets_a_page_that_says_what_cannot_be_reached_and_since_when(self):
        self.tree.bottom.gate.cut()
        self.tree.bottom.wait_link("down")
        stranger = self.tree.bottom.browser()
        parent = self.tree.tiers[-2].name
        for answer in (stranger.get("/apps/open/x"), stranger.get("/apps/far/x", follow=True),
                       stranger.log_in("reception", "sakura-2001")):
            self.assertRegex(answer.text.lower(), rf"{parent}[^.]* down[^.]*|{parent}, and the link to there is down")
            self.assertRegex(answer.text, r"since \d\d:\d\d")
        self.assertEqual(stranger.get("/apps/near/x").status, 303, "nobody is let in unchecked")

    def test_when_the_link_returns_everything_works_at_once(self):
        self.tree.bottom.gate.cut()
        self.tree.bottom.wait_link("down")
        self.tree.bottom.gate.restore()
        self.tree.bottom.wait_link("up", 10)
        self.assertEqual(self.browser.get("/apps/far/x").status, 200)

    def test_a_line_that_falls_silent_is_noticed(self):
        self.tree.bottom.gate.hold()
        self.tree.bottom.wait_link("down", 20)
        self.assertEqual(self.browser.get("/apps/near/x").status, 200)
        self.tree.bottom.gate.cut()

    def test_a_lost_link_deletes_and_stops_nothing(self):
        before = sorted(a["name"] for a in self.tree.bottom.status()["apps"])
        self.tree.bottom.gate.cut()
        self.tree.bottom.wait_link("down")
        self.tree.bottom.restart()
        self.assertEqual(sorted(a["name"] for a in self.tree.bottom.status()["apps"]), before)
        self.assertEqual(self.browser.get("/apps/near/x").status, 200, "the session outlives a restart without the parent")


class Trust(unittest.TestCase):
    def test_a_link_asks_for_a_certificate_of_this_realm(self):
        with Tree(["center", "tokyo"]) as ours, Tree(["center", "tokyo"]) as theirs:
            port = ours.top.link_port
            bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
            # Without a certificate one can ask to be enrolled, which asks for an invitation, and nothing else.
            upgrade = "HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: hasp-"
            for request in ("GET / HTTP/1.1", "GET /apps/far/x HTTP/1.1\r\nhasp-app: far\r\nhasp-user: director",
                            f"POST /hasp/link/control {upgrade}control", f"POST /hasp/link/park {upgrade}reverse"):
                with bare.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10)) as link:
                    link.sendall(f"{request}\r\nHost: x\r\n\r\n".encode())
                    self.assertEqual(link.recv(4096)[:12], b"HTTP/1.1 403", request)
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            with self.assertRaises((ssl.SSLError, OSError)):
                old.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10))
            # A tier of another realm with the same names, led here by its gate, is not let in and does not let us in.
            theirs.bottom.gate.cut()
            theirs.bottom.wait_link("down")
            theirs.bottom.gate.target = ("127.0.0.1", port)
            tries = theirs.bottom.gate.connections
            theirs.bottom.gate.restore()
            until(lambda: theirs.bottom.gate.connections >= tries + 3, "it tries again")
            self.assertNotEqual(theirs.bottom.status()["link"]["state"], "up")
            self.assertEqual(ours.bottom.status()["link"]["state"], "up")

    def test_revoking_a_local_drops_its_link_within_a_second(self):
        backend = Backend()
        try:
            with Tree(["center", "tokyo"]) as tree:
                tree.top.upstream_app("far", backend.url, access="public")
                tree.bottom.wait_reaches("/apps/far/x")
                self.assertEqual(tree.bottom.browser().get("/apps/far/x").status, 200)
                live = WebSocket(tree.bottom.web_port, "/apps/far/ws")
                live.send("before")
                self.assertEqual(live.receive()[1], b"before")
                begin = time.monotonic()
                tree.top.run("local", "revoke", "tokyo")
                self.assertTrue(live.ended(5), "a WebSocket through a revoked local ends")
                until(lambda: tree.bottom.status()["link"]["state"] != "up", "the link is down", 5)
                self.assertLess(time.monotonic() - begin, 1.0 + 0.5, "a second, and what two commands take")
                tries = tree.bottom.gate.connections
                until(lambda: tree.bottom.gate.connections >= tries + 2, "it tries again")
                self.assertNotEqual(tree.bottom.status()["link"]["state"], "up")
                self.assertNotEqual(tree.bottom.browser().get("/apps/far/x").status, 200)
                listed = json.loads(tree.top.run("local", "list", "--json"))
                self.assertNotIn("tokyo", [c["name"] for c in listed.get("locals", listed) if c.get("state") != "revoked"])
        finally:
            backend.close()


if __name__ == "__main__":
    main()
