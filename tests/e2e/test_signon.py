#!/usr/bin/python3
"""B5, B6, A7: one log-in covers every app; who may use what is decided at the account's home and reaches every tier."""
from harness.backend import Backend
from harness.browser import basic, bearer
from harness.case import TreeCase, main
from harness.waiting import until


class SignOn(TreeCase):
    # The guessing test must not lock the others out: they use another account and its limit is per account.
    config = "[login]\nfailures_before_delay = 5\nattempts_per_minute_per_address = 1000\n"

    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        top = cls.tree.top
        for name in ("rota", "stock", "assays"):
            top.upstream_app(name, cls.backend.url)
        top.user_add("reception", "sakura-2001", "Reception", apps=["rota", "stock", "assays"])
        top.user_add("nurse", "kiku-1912", "Nurse", apps=["rota", "stock"])
        top.user_add("guessed", "matsu-1603")
        top.user_add("leaver", "ume-1868", apps=["rota"])

    def signed_on(self, user, password, tier=None):
        browser = (tier or self.tree.bottom).browser()
        answer = browser.log_in(user, password)
        self.assertEqual(answer.status, 200, answer.text)
        return browser

    def test_one_log_in_covers_every_app_on_every_host_name(self):
        browser = self.signed_on("reception", "sakura-2001")
        for app in ("rota", "stock", "assays"):
            self.assertEqual(browser.get(f"/apps/{app}/x").json()["headers"]["remote-user"], "reception")
            by_host = browser.get("/page?a=1", host=f"{app}.localhost", follow=True)
            self.assertEqual(by_host.json()["path"], "/page?a=1")
            self.assertEqual(by_host.json()["headers"]["remote-user"], "reception")

    def test_the_hand_over_gives_each_app_host_a_cookie_of_its_own(self):
        browser = self.signed_on("reception", "sakura-2001")
        browser.get("/", host="rota.localhost", follow=True)
        here, there = browser.cookies["localhost"], browser.cookies["rota.localhost"]
        self.assertTrue(there)
        self.assertFalse(set(here.values()) & set(there.values()))

    def test_a_hand_over_code_is_good_once(self):
        browser = self.signed_on("reception", "sakura-2001")
        arrived = browser.get("/", host="stock.localhost", follow=True)
        used = next(h for h in reversed(arrived.hops) if "stock.localhost" in h.headers["location"])
        thief = self.tree.bottom.browser()
        path = "/" + used.headers["location"].split("/", 3)[3]
        thief.get(path, host="stock.localhost")
        self.assertNotEqual(thief.get("/x", host="stock.localhost").status, 200)

    def test_the_portal_shows_a_tile_for_each_app_of_the_user_and_no_other(self):
        page = self.signed_on("nurse", "kiku-1912").get("/").text
        self.assertIn("rota", page)
        self.assertIn("stock", page)
        self.assertNotIn("assays", page)

    def test_an_app_one_may_not_use_looks_exactly_like_one_that_does_not_exist(self):
        browser = self.signed_on("nurse", "kiku-1912")
        refused, absent = browser.get("/apps/assays/x"), browser.get("/apps/assaxs/x")
        self.assertEqual(refused.status, absent.status)
        self.assertEqual(refused.status, 404)
        self.assertEqual(refused.text.replace("assays", "assaxs"), absent.text)
        varying = {"x-request-id", "date"}
        self.assertEqual({k: v for k, v in refused.headers.items() if k not in varying},
                         {k: v for k, v in absent.headers.items() if k not in varying})

    def test_a_roaming_user_logs_in_at_any_tier(self):
        for tier in self.tree.tiers:
            self.assertEqual(self.signed_on("nurse", "kiku-1912", tier).get("/apps/rota/x").status, 200, tier.name)

    def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(self):
        one = self.tree.bottom.browser().log_in("reception", "wrong", follow=False)
        two = self.tree.bottom.browser().log_in("nobody-of-that-name", "wrong", follow=False)
        self.assertEqual(one.status, two.status)
        self.assertIn(one.status, (401, 403))
        self.assertEqual(one.text.replace("reception", "X"), two.text.replace("nobody-of-that-name", "X"))
        self.assertEqual(self.tree.bottom.browser().cookies, {})

    def test_guessing_is_slowed_down_and_does_not_lock_others_out(self):
        browser = self.tree.bottom.browser()
        statuses = [browser.log_in("guessed", f"guess-{i}", follow=False).status for i in range(8)]
        self.assertIn(429, statuses)
        self.assertEqual(self.tree.bottom.browser().log_in("guessed", "matsu-1603", follow=False).status, 429)
        self.signed_on("nurse", "kiku-1912")

    def test_log_out_ends_the_session_on_every_host(self):
        browser = self.signed_on("reception", "sakura-2001")
        browser.get("/", host="rota.localhost", follow=True)
        kept = {host: dict(jar) for host, jar in browser.cookies.items()}
        self.assertEqual(browser.log_out().status, 200)
        browser.cookies = kept
        self.assertNotEqual(browser.get("/apps/rota/x").status, 200)
        self.assertNotEqual(browser.get("/x", host="rota.localhost").status, 200)

    def test_a_session_of_one_tier_is_worth_nothing_at_another(self):
        browser = self.signed_on("reception", "sakura-2001")
        other = self.tree.top.browser()
        secret = next(iter(browser.cookies["localhost"].values()))
        other.cookies = {"localhost": {f"hasp-{self.tree.top.name}": secret, **browser.cookies["localhost"]}}
        self.assertNotEqual(other.get("/apps/rota/x").status, 200)

    def test_a_token_is_good_for_its_apps_as_bearer_and_as_a_password(self):
        token = self.tree.top.token("reception", "rota")
        browser = self.tree.bottom.browser()
        for header in (bearer(token), basic("reception", token)):
            seen = browser.request("GET", "/apps/rota/t", headers=header)
            self.assertEqual(seen.status, 200, seen.text)
            self.assertEqual(seen.json()["headers"]["remote-user"], "reception")
            self.assertNotIn("authorization", seen.json()["headers"])
            self.assertIn(browser.request("GET", "/apps/stock/t", headers=header).status, (401, 403, 404))
        for wrong in (bearer(token[:-2]), bearer(token + "x"), basic("nurse", token), basic("reception", "x")):
            self.assertNotEqual(browser.request("GET", "/apps/rota/t", headers=wrong).status, 200)

    def test_a_removed_user_is_signed_off_everywhere(self):
        browser = self.signed_on("leaver", "ume-1868")
        self.assertEqual(browser.get("/apps/rota/x").status, 200)
        self.tree.top.run("user", "disable", "leaver")
        until(lambda: browser.get("/apps/rota/x").status != 200, "the session of a disabled user ends", 10)
        self.assertNotEqual(self.tree.bottom.browser().log_in("leaver", "ume-1868", follow=False).status, 303)

    def test_a_new_entitlement_reaches_every_tier(self):
        self.tree.top.user_add("trainee", "take-1945")
        browser = self.signed_on("trainee", "take-1945")
        self.assertEqual(browser.get("/apps/assays/x").status, 404)
        self.tree.top.run("user", "entitle", "trainee", "assays")
        until(lambda: self.signed_on("trainee", "take-1945").get("/apps/assays/x").status == 200, "the entitlement arrives", 10)

    def test_a_withdrawn_entitlement_and_a_new_password_take_effect_at_every_tier_at_once(self):
        top = self.tree.top
        top.user_add("locum", "fuji-1889", apps=["rota"])
        sessions = [(tier.name, self.signed_on("locum", "fuji-1889", tier)) for tier in self.tree.tiers]

        def served(browser):
            return browser.get("/apps/rota/x").status == 200

        for name, browser in sessions:
            until(lambda: served(browser), f"{name} serves the app", 5)  # noqa: B023
        top.run("user", "withdraw", "locum", "rota")
        for name, browser in sessions:
            until(lambda: not served(browser), f"the withdrawal is known at {name}", 2)  # noqa: B023
        top.run("user", "entitle", "locum", "rota")
        for name, browser in sessions:
            until(lambda: served(browser), f"{name} serves the app again, in the same session", 5)  # noqa: B023
        top.run("user", "password", "locum", "--password-file", "-", stdin="fuji-1890\n")
        for name, browser in sessions:
            until(lambda: not served(browser), f"the old session has ended at {name}", 2)  # noqa: B023

    def test_requests_from_another_site_are_refused(self):
        browser = self.signed_on("reception", "sakura-2001")
        foreign = {"Origin": "http://evil.example"}
        refused = browser.request("POST", "/apps/rota/x", headers=foreign, body=b"a=1")
        self.assertEqual(refused.status, 403, refused.text)
        self.assertEqual(browser.request("POST", "/hasp/logout", headers=foreign, body=b"").status, 403)
        self.assertEqual(browser.get("/apps/rota/x").status, 200)

    def test_the_log_in_page_leads_only_to_this_host(self):
        for target in ("http://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
            answer = self.tree.bottom.browser().log_in("reception", "sakura-2001", target, follow=False)
            self.assertEqual(answer.status, 303)
            self.assertNotIn("evil", answer.headers["location"])
            self.assertNotIn("javascript", answer.headers["location"])


if __name__ == "__main__":
    main()
