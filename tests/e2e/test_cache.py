#!/usr/bin/python3
"""A1, C4: what was read is kept for those who ask again, at every tier, and for nobody else. Trees of depth 2 and 4."""
from harness.backend import Backend
from harness.case import TreeCase, main
from harness.waiting import until

PASSWORD = "sakura-2001"
FOR_AN_HOUR = "max-age%3D3600"
FOR_ALL = "max-age%3D3600,public"
STALE_AT_ONCE = "max-age%3D0"


class Cache(TreeCase):
    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("echo", cls.backend.url, access="public")
        cls.tree.top.upstream_app("echo-user", cls.backend.url)
        for user in ("anna", "bert"):
            cls.tree.top.user_add(user, PASSWORD, apps=["echo-user"])
        cls.tree.top.user_add("carl", PASSWORD)
        cls.tree.bottom.wait_reaches("/apps/echo/bytes/1")

    def who(self, name):
        browser = self.tree.bottom.browser()
        self.assertIn(browser.log_in(name, PASSWORD).status, (200, 303))
        return browser

    def cut(self):
        highest = self.tree.tiers[1]
        self.addCleanup(highest.wait_link)
        self.addCleanup(highest.gate.restore)
        highest.gate.cut()
        highest.wait_link("down")

    def test_an_answer_is_given_again_by_the_tier_that_the_user_sees(self):
        browser = self.tree.bottom.browser()
        path = f"/apps/echo/kept-again?{FOR_AN_HOUR}"
        first = browser.get(path)
        before = self.backend.kept
        second = browser.get(path)
        self.assertEqual((second.status, second.body), (200, first.body))
        self.assertEqual(self.backend.kept, before)
        self.assertIn("; hit; ttl=", second.headers["cache-status"])
        self.assertEqual(len(self.tree.wait_hops(second.rid, 1)), 1)
        self.assertEqual(self.tree.bottom.access_of(second.rid)["cache"], "hit")
        # Another user's tier is served by the tiers between.
        self.assertEqual(self.tree.tiers[0].browser().get(path).status, 200)

    def test_two_users_never_see_each_others_answers(self):
        anna, bert = self.who("anna"), self.who("bert")
        path = f"/apps/echo-user/kept-own?{FOR_AN_HOUR}"
        for _ in range(2):
            self.assertEqual(anna.get(path).text.split()[0], "anna")
            self.assertEqual(bert.get(path).text.split()[0], "bert")
        before = self.backend.kept
        anna.get(path)
        self.assertEqual(self.backend.kept, before)

    def test_what_is_public_for_users_is_not_for_everybody(self):
        anna, bert, carl = self.who("anna"), self.who("bert"), self.who("carl")
        path = f"/apps/echo-user/kept-public?{FOR_ALL}"
        first = anna.get(path)
        self.assertEqual(bert.get(path).body, first.body)
        self.assertEqual(carl.get(path).status, 404)
        self.assertIn(self.tree.bottom.browser().get(path).status, (303, 401))

    def test_what_was_read_stays_readable_without_the_link(self):
        anna, bert, nobody = self.who("anna"), self.who("bert"), self.tree.bottom.browser()
        open_path, own_path = f"/apps/echo/kept-off?{STALE_AT_ONCE}", f"/apps/echo-user/kept-off?{STALE_AT_ONCE}"
        strict = "/apps/echo/kept-strict?max-age%3D0,must-revalidate"
        open_text, own_text = nobody.get(open_path).text, anna.get(own_path).text
        self.assertEqual(nobody.get(strict).status, 200)
        self.assertEqual(bert.get("/apps/echo-user/echo").status, 200)
        self.cut()
        again = nobody.get(open_path)
        self.assertEqual((again.status, again.text), (200, open_text))
        self.assertIn("detail=stand-in", again.headers["cache-status"])
        self.assertEqual((anna.get(own_path).status, anna.get(own_path).text), (200, own_text))
        self.assertEqual(bert.get(own_path).status, 503)
        self.assertEqual(nobody.get(strict).status, 503)

    def test_what_is_stored_survives_a_restart_of_the_tier(self):
        browser = self.tree.bottom.browser()
        path = f"/apps/echo/kept-restart?{FOR_AN_HOUR}"
        text = browser.get(path).text
        self.tree.bottom.restart()
        self.tree.bottom.wait_link()
        # It came up after the answer was stored: the answer is confirmed once, by its entity tag.
        before = self.backend.kept
        until(lambda: browser.get(path).status == 200, "the app is reached again", 20)
        self.assertEqual(browser.get(path).text, text)
        self.assertEqual(self.backend.kept, before)

    def test_a_switch_to_another_release_makes_an_end_of_what_is_stored(self):
        top = self.tree.top
        top.upstream_app("shop", self.backend.url, access="public")
        self.tree.bottom.wait_reaches("/apps/shop/bytes/1")
        browser = self.tree.bottom.browser()
        path = f"/apps/shop/kept-shop?{FOR_AN_HOUR}"
        text = browser.get(path).text
        until(lambda: "; hit" in browser.get(path).headers["cache-status"], "the answer is kept", 20)
        self.assertEqual(browser.get(path).text, text)
        manifest = self.tree.folder / f"app-shop-{top.name}" / "hasp-app.toml"
        manifest.write_text(manifest.read_text().replace('title = "shop"', 'title = "The shop"'))
        top.app_add(manifest.parent)
        until(lambda: browser.get(path).text != text, "the answer of the new release", 20)

    def test_a_change_makes_an_end_of_what_is_stored_at_every_tier_that_it_passes(self):
        browser = self.tree.bottom.browser()
        path = f"/apps/echo/kept-changed?{FOR_AN_HOUR}"
        text = browser.get(path).text
        self.assertEqual(browser.get(path).text, text)
        self.assertEqual(browser.request("PUT", path, body=b"new").status, 200)
        self.assertNotEqual(browser.get(path).text, text)

    def test_what_a_confirmation_changes_reaches_every_tier_that_keeps_the_answer(self):
        browser = self.tree.bottom.browser()
        path = f"/apps/echo/kept-type?{STALE_AT_ONCE}"
        first = browser.get(path)
        self.assertEqual(first.headers["content-type"], "text/plain")
        second = browser.get(path)
        self.assertEqual(second.body, first.body)
        self.assertEqual(second.headers["content-type"], "text/plain; charset=utf-8")


if __name__ == "__main__":
    main()
