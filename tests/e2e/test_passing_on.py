#!/usr/bin/python3
"""A1 to A4, B1: requests find the tier that holds the app, at any depth, and their answers come back."""
from harness.backend import Backend
from harness.case import TreeCase, depth, main
from harness.waiting import until


class PassingOn(TreeCase):
    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("echo", cls.backend.url + "/base", access="public")
        cls.tree.top.upstream_app("echo-user", cls.backend.url)
        cls.tree.bottom.upstream_app("near", cls.backend.url + "/near", access="public")
        cls.tree.top.user_add("reception", "sakura-2001", "Reception Tōkyō, 100%", groups=["desk"], apps=["echo-user", "near"])
        cls.tree.top.wait_reaches("/apps/near/x")
        cls.tree.bottom.wait_reaches("/apps/echo/x")

    def signed_on(self, tier=None):
        browser = (tier or self.tree.bottom).browser()
        answer = browser.log_in("reception", "sakura-2001")
        self.assertEqual(answer.status, 200, answer.text)
        return browser

    def test_users_reach_every_app_of_every_tier_through_their_local(self):
        browser = self.tree.bottom.browser()
        far = browser.get("/apps/echo/a?b=c")
        self.assertEqual((far.status, far.json()["path"]), (200, "/base/a?b=c"))
        near = browser.get("/apps/near/a")
        self.assertEqual((near.status, near.json()["path"]), (200, "/near/a"))

    def test_what_a_tier_cannot_serve_it_passes_on_and_the_answer_comes_back_through_it(self):
        answer = self.tree.bottom.browser().get("/apps/echo/x")
        hops = self.tree.wait_hops(answer.rid, depth())
        routes = [route for _, route, _, _ in hops]
        self.assertEqual(routes, ["parent"] * (depth() - 1) + ["here"])
        self.assertEqual({status for *_, status in hops}, {200})
        self.assertEqual([tier for tier, *_ in hops], [t.name for t in reversed(self.tree.tiers)])

    def test_a_parent_reaches_what_its_child_holds_over_the_link_the_child_opened(self):
        answer = self.tree.top.browser().get("/apps/near/down")
        self.assertEqual((answer.status, answer.json()["path"]), (200, "/near/down"))
        hops = self.tree.wait_hops(answer.rid, depth())
        self.assertEqual([route for _, route, _, _ in hops], ["here"] + ["child"] * (depth() - 1))

    def test_an_app_is_reached_by_its_own_host_name_too(self):
        answer = self.tree.bottom.browser().get("/by-host", host="echo.localhost")
        self.assertEqual((answer.status, answer.json()["path"]), (200, "/base/by-host"))

    def test_what_no_tier_holds_is_not_found(self):
        self.assertEqual(self.tree.bottom.browser().get("/apps/nothing/").status, 404)
        self.assertEqual(self.tree.bottom.browser().get("/", host="nothing.localhost").status, 404)

    def test_bodies_and_methods_pass_unchanged_both_ways(self):
        browser = self.tree.bottom.browser()
        body = bytes(range(256)) * 4096
        import hashlib
        for sent in (body, (body[i:i + 7000] for i in range(0, len(body), 7000))):
            seen = browser.request("PUT", "/apps/echo/body", body=sent).json()
            self.assertEqual((seen["method"], seen["size"]), ("PUT", len(body)))
            self.assertEqual(seen["sha256"], hashlib.sha256(body).hexdigest())
        self.assertEqual(browser.get("/apps/echo/bytes/300000").body[:256], bytes(range(256)))
        head = browser.request("HEAD", "/apps/echo/bytes/300000")
        self.assertEqual((head.status, head.headers["content-length"], head.body), (200, "300000", b""))

    def test_the_app_is_told_who_asks_by_the_tiers_and_never_by_the_client(self):
        forged = {"Remote-User": "director", "X-Remote-User": "director", "Remote_User": "director",
                  "X-Hasp-User": "director", "hasp-user": "director", "hasp-session": "1", "X-Auth-User": "director"}
        seen = self.signed_on().request("GET", "/apps/echo-user/who", headers=forged).json()["headers"]
        self.assertEqual(seen.get("remote-user"), "reception")
        self.assertEqual(seen.get("remote-name"), "Reception T%C5%8Dky%C5%8D, 100%25")
        self.assertEqual(seen.get("remote-groups"), "desk")
        self.assertNotIn("director", str(seen))
        public = self.tree.bottom.browser().request("GET", "/apps/echo/who", headers=forged).json()["headers"]
        self.assertNotIn("director", str(public))
        self.assertNotIn("remote-user", public)

    def test_no_cookie_of_hasp_and_no_word_between_tiers_reaches_an_app(self):
        browser = self.signed_on()
        browser.cookies["localhost"]["theme"] = "dark"
        seen = browser.get("/apps/echo-user/cookies").json()["headers"]
        self.assertEqual(seen.get("cookie"), "theme=dark")
        self.assertEqual([name for name in seen if name.startswith("hasp-")], [])

    def test_a_request_id_travels_through_all_tiers_and_hops_are_counted(self):
        answer = self.tree.bottom.browser().get("/apps/echo/id")
        self.assertGreaterEqual(len(answer.rid), 16)
        loop = answer.json()["headers"].get("cdn-loop", "")
        self.assertEqual(len([part for part in loop.split(",") if part.strip()]), depth(), loop)

    def test_a_request_that_goes_round_is_ended(self):
        loop = ", ".join(["hasp"] * 64)
        answer = self.tree.bottom.browser().request("GET", "/apps/echo/id", headers={"CDN-Loop": loop})
        self.assertIn(answer.status, (400, 502, 508))

    def test_answers_of_http_1_0_apps_are_understood(self):
        self.assertEqual(self.tree.bottom.browser().get("/apps/echo/old").body, b"ended by the connection")

    def test_signed_on_users_only_reach_apps_for_users(self):
        stranger = self.tree.bottom.browser().get("/apps/echo-user/x")
        self.assertIn(stranger.status, (302, 303, 401, 404))
        self.assertNotIn(("GET", "/x"), [(m, p) for m, p, _ in self.backend.requests])
        self.assertEqual(self.signed_on().get("/apps/echo-user/y").json()["path"], "/y")

    def test_an_app_that_does_not_answer_gets_a_page_that_says_so(self):
        self.tree.top.upstream_app("gone", "http://127.0.0.1:9", access="public")
        browser = self.tree.bottom.browser()
        answer = until(lambda: next((a for a in [browser.get("/apps/gone/")] if a.status != 404), None), "the app is known")
        self.assertIn(answer.status, (502, 503))
        self.assertIn("gone", answer.text)
        self.assertNotIn(answer.rid, answer.text, "a request id belongs into logs and headers, not into a page")


if __name__ == "__main__":
    main()
