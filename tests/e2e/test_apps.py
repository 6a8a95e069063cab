#!/usr/bin/python3
"""B1, B3: apps run at the tier that holds them, in sandboxes, and one that fails troubles no other."""
import os
import signal
import threading

from harness.apps import FORKER, FORKER_CODE, get_tiddler, processes_of, put_tiddler
from harness.case import TreeCase, depth_adds_nothing, main
from harness.tree import app_folder
from harness.waiting import until


class RealPrograms(TreeCase):
    @classmethod
    def furnish(cls):
        for name in ("leaflets", "wiki"):
            cls.tree.bottom.app_add(app_folder(name))
        cls.tree.top.app_add(app_folder("tickets"))
        for name in ("leaflets", "wiki"):
            cls.tree.bottom.wait_holds(name)
        cls.tree.top.user_add("reception", "sakura-2001", apps=["wiki", "leaflets", "tickets"])
        cls.tree.top.user_add("nurse", "kiku-1912", apps=["wiki", "leaflets"])

    def signed_on(self, user="reception", password="sakura-2001"):
        browser = self.tree.bottom.browser()
        self.assertEqual(browser.log_in(user, password).status, 200)
        return browser

    def wiki_answers(self, browser):
        return browser.get("/apps/wiki/status").status == 200

    @depth_adds_nothing
    def test_a_static_app_is_served_with_ranges_and_conditions(self):
        browser = self.signed_on()
        script = browser.get("/apps/leaflets/dist/reveal.js")
        self.assertEqual(script.status, 200)
        self.assertIn("javascript", script.headers["content-type"])
        part = browser.get("/apps/leaflets/dist/reveal.js", headers={"Range": "bytes=1000-1999"})
        self.assertEqual((part.status, part.body), (206, script.body[1000:2000]))
        again = browser.get("/apps/leaflets/dist/reveal.js", headers={"If-None-Match": script.headers["etag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertIn("Before a blood test", browser.get("/apps/leaflets/leaflets.md").text)
        for path in ("/apps/leaflets/../wiki/", "/apps/leaflets/%2e%2e/x", "/apps/leaflets/hasp-app.toml/..%2f", "/apps/leaflets/no"):
            self.assertIn(browser.get(path).status, (400, 404), path)

    def test_each_user_has_a_wiki_of_his_own(self):
        reception, nurse = self.signed_on(), self.signed_on("nurse", "kiku-1912")
        for browser in (reception, nurse):  # other tests may have hurt theirs: after three times it rests for a while
            until(lambda: self.wiki_answers(browser), "the wiki answers", 60)  # noqa: B023
        self.assertIn(put_tiddler(reception, "Fridge", "4.2 degrees").status, (200, 204))
        self.assertEqual(get_tiddler(reception, "Fridge").json()["text"], "4.2 degrees")
        self.assertEqual(get_tiddler(nurse, "Fridge").status, 404)

    def test_an_app_with_a_host_name_of_its_own_is_reached_after_the_same_log_in(self):
        page = self.signed_on().get("/rptview?rn=1", host="tickets.localhost", follow=True)
        self.assertEqual(page.status, 200)
        self.assertIn("the printer at the reception prints grey", page.text)

    @depth_adds_nothing
    def test_the_first_request_starts_the_app_once_however_many_come(self):
        self.tree.top.user_add("intern", "momiji-1990", apps=["wiki"])
        browser = self.signed_on("intern", "momiji-1990")
        statuses = []

        def ask():
            other = self.tree.bottom.browser()
            other.cookies = browser.cookies
            statuses.append(other.get("/apps/wiki/status").status)

        before = len(processes_of(self.tree.bottom, "tiddlywiki.js"))
        askers = [threading.Thread(target=ask) for _ in range(12)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        self.assertEqual(statuses, [200] * 12)
        self.assertLessEqual(len(processes_of(self.tree.bottom, "tiddlywiki.js")) - before, 1)

    @depth_adds_nothing
    def test_a_killed_app_comes_back_with_the_next_request(self):
        browser = self.signed_on()
        until(lambda: self.wiki_answers(browser), "the wiki answers", 60)
        for pid in processes_of(self.tree.bottom, "tiddlywiki.js"):
            os.kill(pid, signal.SIGKILL)
        until(lambda: self.wiki_answers(browser), "the wiki is back", 60)
        self.assertEqual(browser.get("/apps/leaflets/").status, 200)

    @depth_adds_nothing
    def test_a_hung_app_is_found_out_and_started_anew(self):
        browser = self.signed_on()
        until(lambda: self.wiki_answers(browser), "the wiki answers", 60)
        hung = processes_of(self.tree.bottom, "tiddlywiki.js")
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        self.assertEqual(browser.get("/apps/leaflets/").status, 200)
        until(lambda: not set(hung) & set(processes_of(self.tree.bottom, "tiddlywiki.js")), "the hung wiki is ended", 40)
        until(lambda: self.wiki_answers(browser), "the wiki is back", 60)

    @depth_adds_nothing
    def test_an_app_that_forks_without_end_meets_its_limit_and_the_portal_says_what_is_wrong(self):
        nurse, browser = self.signed_on("nurse", "kiku-1912"), self.signed_on()
        until(lambda: self.wiki_answers(nurse), "the wiki answers", 60)
        self.assertIn(put_tiddler(nurse, FORKER, FORKER_CODE, type="application/javascript",
                                  fields={"module-type": "startup"}).status, (200, 204))
        stored = lambda: list((self.tree.bottom.state / "data/users/nurse").rglob("*forker*"))  # noqa: E731
        until(stored, "the wiki wrote it down")
        for pid in processes_of(self.tree.bottom, "tiddlywiki.js"):
            os.kill(pid, signal.SIGKILL)
        # The first answers may still tell of the kill, and of the pause after the third trouble in a minute.
        answer = until(lambda: (a := nurse.get("/apps/wiki/status")).status >= 500 and "before it answered" in a.text and a,
                       "the wiki fails for having forked", 60)
        self.assertIn("Notes of this desk does not run", answer.text)
        self.assertIn("EAGAIN", answer.text, "its last lines say what it could not do")
        self.assertIn("Notes of this desk", nurse.get("/").text)
        self.assertEqual(browser.get("/apps/leaflets/").status, 200)
        errors = [e["text"] for e in self.tree.bottom.status()["errors"]]
        self.assertTrue(any("wiki of nurse" in e for e in errors), errors)
        for file in stored():
            file.unlink()
        until(lambda: self.wiki_answers(nurse), "the wiki is back", 120)


class AppsFromAbove(TreeCase):
    def test_a_center_installs_and_removes_an_app_at_a_tier_below_which_runs_it_under_a_lease_with_an_expiry(self):
        top, bottom = self.tree.top, self.tree.bottom
        top.app_add(app_folder("leaflets"), bottom.name)
        top.user_add("reception", "sakura-2001", apps=["leaflets"])
        bottom.wait_holds("leaflets")
        browser = bottom.browser()
        self.assertEqual(browser.log_in("reception", "sakura-2001").status, 200)
        answer = browser.get("/apps/leaflets/leaflets.md")
        self.assertEqual(answer.status, 200)
        self.assertEqual(bottom.access_of(answer.rid)["served"], "here")
        lease = next(x for x in bottom.status()["leases"] if x["kind"] == "run" and "leaflets" in str(x))
        self.assertGreater(lease["expires"], bottom.status()["as_of"])
        top.run("app", "remove", "leaflets")
        until(lambda: browser.get("/apps/leaflets/leaflets.md").status == 404, "the app is gone", 20)


if __name__ == "__main__":
    main()
