#!/usr/bin/python3
"""A5: a request that neither a center nor its parent holds goes to the peer that does, with the center's signed assertion.
Both realms have the same name here: what tells them apart is their roots."""
import http.client
import ssl
import unittest

from harness.backend import Backend
from harness.case import main
from harness.tree import Tree
from harness.waiting import until

APP = "/apps/books/shelf"
PAGE, HOST = "/shelf", "books.localhost"  # the same, as it is offered to users


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.addClassCleanup(cls.backend.close)
        cls.tree = Tree()
        cls.addClassCleanup(cls.end)
        cls.west, cls.east = cls.tree.add_center("west"), cls.tree.add_center("east")
        cls.tokyo = cls.tree.add_local("tokyo", cls.east)
        cls.west.upstream_app("books", cls.backend.url)
        cls.west.upstream_app("diary", cls.backend.url)
        cls.west.upstream_app("news", cls.backend.url, access="public")
        cls.east.user_add("mia", "sakura-2001", apps=["books", "diary", "news"])
        cls.east.user_add("ben", "sakura-2002")
        cls.lines = {tier.name: tier.run("peer", "export", "--address", f"127.0.0.1:{tier.link_port}")
                     for tier in (cls.west, cls.east)}

    @classmethod
    def end(cls):
        trouble = cls.tree.close()
        assert not trouble, "\n".join(trouble)

    def setUp(self):
        self.add(self.west, "east", "--offer", "books")
        self.add(self.east, "west", "--use", "books", "--use", "diary", "--use", "news")

    def add(self, tier, name, *lists):
        tier.run("peer", "add", name, "--from", "-", *lists, stdin=self.lines[name])

    def browser(self, tier, user="mia", password="sakura-2001"):
        browser = tier.browser()
        self.assertEqual(browser.log_in(user, password).status, 200)
        return browser

    def reach(self, browser, status=200):
        return until(lambda: (a := self.get(browser)).status == status and a, f"{HOST} is answered {status}", 20)

    def get(self, browser, host=HOST, path=PAGE):
        return browser.get(path, host=host, follow=True)

    def state(self, tier):
        return {peer["name"]: peer["state"] for peer in tier.status()["peers"]}

    def as_east(self, *, field=None, path=APP, app="books", more=None):
        """A request on a connection with the east's own certificate, as its front would make it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.east.state / "keys/certificates.pem", self.east.state / "keys/tls.pem")
        link = http.client.HTTPSConnection("127.0.0.1", self.west.link_port, context=context, timeout=20)
        try:
            fields = {"hasp-app": app, "hasp-mount": f"/apps/{app}", "hasp-origin": "http://localhost", "Host": "localhost"}
            link.request("GET", path, headers=fields | ({"hasp-assertion": field} if field else {}) | (more or {}))
            answer = link.getresponse()
            return answer.status, answer.headers.get("hasp-notice")
        finally:
            link.close()

    def test_a_user_of_a_local_uses_what_only_the_peer_of_its_center_holds(self):
        answer = self.reach(self.browser(self.tokyo))
        seen = answer.json()["headers"]
        self.assertEqual(seen.get("remote-user"), "mia@east")
        self.assertEqual([name for name in seen if name.startswith("hasp-")], [])
        self.assertEqual([route for _, route, _, _ in sorted(self.tree.wait_hops(answer.rid, 3))], ["peer", "parent", "here"])
        line = self.west.access_of(answer.rid)
        self.assertEqual((line["from"], line["user"]), ("peer", "mia@east"))
        self.assertEqual(self.state(self.east), {"west": "up"})
        self.assertIn("through west", self.east.run("why", "books"))

    def test_nobody_else_gets_there(self):
        self.reach(self.browser(self.tokyo))
        self.assertEqual(self.tokyo.browser().get(PAGE, host=HOST).status, 303)
        self.assertEqual(self.get(self.browser(self.tokyo, "ben", "sakura-2002")).status, 404)
        mia = self.browser(self.tokyo)
        for not_offered in ("diary", "news"):
            self.assertEqual(self.get(mia, f"{not_offered}.localhost", "/").status, 404, not_offered)

    def test_a_peers_pages_are_never_in_the_portals_origin(self):
        for tier in (self.east, self.tokyo):
            mia = self.browser(tier)
            self.reach(mia)
            self.assertEqual(mia.get(APP).status, 404, tier.name)
            self.assertNotIn("/apps/books/", mia.get("/").text, tier.name)
            self.assertIn("//books.localhost", mia.get("/").text, tier.name)

    def test_a_peers_word_on_where_its_user_sits_is_not_believed(self):
        rid = "5" * 32
        said = {"hasp-client": "203.0.113.9", "hasp-session": "a" * 32, "hasp-user": "mia", "x-request-id": rid}
        self.assertEqual(self.as_east(field="AAAA", more=said), (404, "nowhere"))
        line = self.west.access_of(rid)
        self.assertEqual(line["client"], "127.0.0.1")
        self.assertNotIn("a" * 32, str(line))

    def test_without_a_right_assertion_there_is_nothing_not_even_what_is_public(self):
        for field in (None, "AAAA", "!", "A" * 2700):
            self.assertEqual(self.as_east(field=field), (404, "nowhere"), field)
            self.assertEqual(self.as_east(field=field, path="/apps/news/", app="news"), (404, "nowhere"), field)

    def test_a_peer_that_is_removed_is_refused_at_once(self):
        mia = self.browser(self.tokyo)
        self.reach(mia)
        self.west.run("peer", "remove", "east")
        self.assertNotEqual(self.get(mia).status, 200)
        with self.assertRaises((ssl.SSLError, OSError, http.client.HTTPException)):
            self.as_east()
        down = self.reach(mia, 503)
        self.assertIn("since ", down.text)
        until(lambda: self.state(self.east) == {"west": "down"}, "the east sees the west as down", 10)
        self.assertIn("(west)", self.browser(self.east).get("/").text)
        self.add(self.west, "east", "--offer", "books")
        self.reach(mia)

    def test_what_is_not_offered_any_more_is_gone_at_once(self):
        mia = self.browser(self.tokyo)
        self.reach(mia)
        self.west.run("peer", "add", "east", "--offer", "diary")
        self.reach(mia, 404)

    def test_two_that_ask_each_other_end_at_the_second(self):
        self.add(self.west, "east", "--use", "nothing", "--offer", "nothing")
        self.add(self.east, "west", "--use", "nothing", "--offer", "nothing")
        self.east.run("user", "entitle", "mia", "nothing")
        self.assertEqual(self.get(self.browser(self.tokyo), "nothing.localhost", "/").status, 404)


if __name__ == "__main__":
    main()
