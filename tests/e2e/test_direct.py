#!/usr/bin/python3
"""A6: a browser that reaches the tier which serves an app is sent there, and its answers cross no tier between; everything
else is passed on as ever. Trees of depth 2 and 4; the app is at the top, the user at the bottom."""
import contextlib
import urllib.parse

from harness.backend import Backend
from harness.browser import bearer
from harness.case import CHAINS, TreeCase, depth, main
from harness.tree import Tree, free_port
from harness.waiting import until

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Direct(TreeCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = Tree([])
        try:
            cls.build(CHAINS[depth()])
            cls.furnish()
        except BaseException:
            cls.tree.close()
            raise

    @classmethod
    def build(cls, chain):
        port = free_port()
        top = cls.tree.add_center(chain[0], web_port=port, config=(
            f'[web]\ndirect_url = "http://{{app}}.localhost:{port}"\ndirect_networks = ["127.0.0.0/24"]\n'))
        for name in chain[1:]:
            # The lowest stands behind a proxy, so that a test can be a terminal of any address.
            lowest = '[web]\nproxies = ["127.0.0.1"]\n' if name == chain[-1] else ""
            top = cls.tree.add_local(name, top, config=lowest)

    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        top = cls.tree.top
        for name, how in (("wiki", "pages"), ("files", "downloads"), ("notes", "never")):
            folder = cls.tree.folder / name
            folder.mkdir()
            (folder / "hasp-app.toml").write_text(
                f'[app]\nname = "{name}"\nkind = "upstream"\ndirect = "{how}"\n[upstream]\nurls = ["{cls.backend.url}"]\n')
            top.app_add(folder)
        top.user_add("reception", "sakura-2001", apps=["wiki", "files", "notes"])
        top.user_add("nurse", "kiku-1912", apps=["wiki", "notes"])
        waiting = cls.tree.bottom.browser()
        waiting.log_in("reception", "sakura-2001")
        for name in ("wiki", "files", "notes"):
            cls.tree.bottom.wait_reaches(f"/apps/{name}/x", waiting)

    def terminal(self, user="reception", password="sakura-2001"):
        """A browser at each tier, with one jar: cookies do not tell ports apart."""
        here, there = self.tree.bottom.browser(), self.tree.top.browser()
        there.cookies = here.cookies
        answer = here.log_in(user, password)
        self.assertEqual(answer.status, 200, answer.text)
        return here, there

    def step(self, browsers, url, headers=None):
        """One request to a whole address, as a browser that opens a page."""
        at = urllib.parse.urlsplit(url)
        browser = next(b for b in browsers if b.port == at.port)
        path = at.path + (f"?{at.query}" if at.query else "")
        return browser.get(path, host=at.hostname, headers={**NAVIGATION, **(headers or {})})

    def travel(self, browsers, url, until_path=""):
        """Follows redirects; the answers, in order. Stops before a request for until_path."""
        seen = []
        while len(seen) < 8:
            answer = self.step(browsers, url)
            seen.append(answer)
            if answer.status not in (303, 307):
                return seen
            url = urllib.parse.urljoin(url, answer.headers["location"])
            if until_path and urllib.parse.urlsplit(url).path == until_path:
                return seen
        self.fail([one.headers["location"] for one in seen])

    def url(self, path):
        return self.tree.bottom.browser().origin() + path

    def test_a_page_comes_from_the_tier_that_serves_and_crosses_no_other(self):
        browsers = self.terminal()
        seen = self.travel(browsers, self.url("/apps/wiki/a%20b?c=d"))
        page = seen[-1]
        self.assertEqual((page.status, page.json()["path"]), (200, "/a%20b?c=d"), page.text)
        self.assertEqual(page.json()["headers"]["remote-user"], "reception")
        self.assertTrue(page.url.startswith(f"http://wiki.localhost:{self.tree.top.web_port}/"))
        self.assertEqual(self.tree.wait_hops(page.rid, 1), [(self.tree.top.name, "here", "wiki", 200)])
        line = self.tree.top.access_of(page.rid)
        self.assertEqual((line["user"], line["from"]), ("reception", "user"))
        # What leads there says nothing of itself, is kept nowhere, and its ticket is in no log.
        enter = seen[-2]
        self.assertEqual((enter.headers["referrer-policy"], enter.headers["cache-control"]), ("no-referrer", "no-store"))
        ticket = urllib.parse.urlsplit(enter.url).query.removeprefix("ticket=")
        self.assertGreater(len(ticket), 100)
        for tier in self.tree.tiers:
            self.assertNotIn(ticket, (tier.state / "log/access.jsonl").read_text())
            self.assertNotIn(ticket, (self.tree.folder / f"{tier.name}.log").read_text())
        # From here on it talks to that tier alone.
        again = browsers[1].get("/next", host="wiki.localhost")
        self.assertEqual((again.status, again.json()["headers"]["remote-user"]), (200, "reception"))
        # And to no other app there.
        self.assertNotEqual(browsers[1].get("/", host="notes.localhost").status, 200)

    def test_what_is_no_page_of_a_browser_or_of_an_app_that_allows_it_is_passed_on(self):
        here, _ = self.terminal()
        token = self.tree.top.token("reception", "wiki")
        for path, headers in (("/apps/wiki/x", {}), ("/apps/notes/x", NAVIGATION), ("/apps/files/x", NAVIGATION),
                              ("/apps/wiki/x", {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}),
                              ("/apps/wiki/x", {**NAVIGATION, "X-Forwarded-For": "192.0.2.9"}),  # reaches nothing above
                              ("/apps/wiki/hasp/x", NAVIGATION)):
            self.assertEqual(here.get(path, headers=headers).status, 200, (path, headers))
        program = self.tree.bottom.browser()
        self.assertEqual(program.get("/apps/wiki/x", headers={**NAVIGATION, **bearer(token)}).status, 200)
        self.assertEqual(here.request("POST", "/apps/wiki/x", headers=NAVIGATION, body=b"a").status, 200)

    def test_a_large_download_comes_directly(self):
        browsers = self.terminal()
        seen = self.travel(browsers, self.url("/apps/files/bytes/2000000"))
        self.assertEqual((seen[-1].status, len(seen[-1].body)), (200, 2_000_000), seen[-1].text[:300])
        self.assertEqual(self.tree.wait_hops(seen[-1].rid, 1), [(self.tree.top.name, "here", "files", 200)])

    def test_a_ticket_is_good_once_and_in_the_browser_that_fetched_it(self):
        def ticket_of(browsers):
            seen = self.travel(browsers, self.url("/apps/wiki/x"), until_path="/hasp/direct/enter")
            return seen[-1].headers["location"]

        mine, other = self.terminal(), self.terminal("nurse", "kiku-1912")
        used = ticket_of(mine)
        self.assertEqual(self.step(mine, used).status, 303)
        self.assertEqual(self.step(mine, used).status, 403)
        stolen = ticket_of(mine)
        bare = self.tree.top.browser()
        self.assertEqual(self.step([bare], stolen).status, 403)
        self.assertEqual(bare.cookies, {})
        stolen = ticket_of(mine)
        ticket_of(other)  # has a nonce of its own
        self.assertEqual(self.step(other, stolen).status, 403)
        self.assertEqual(self.step(mine, stolen).status, 403)  # a try by another voids it
        changed = ticket_of(mine)
        self.assertEqual(self.step(mine, changed[:-9] + ("A" if changed[-9] != "A" else "B") + changed[-8:]).status, 403)
        # The way back is the session's own too: nobody is led to a ticket by another's link.
        back = self.travel(mine, self.url("/apps/wiki/x"), until_path="/hasp/direct/back")[-1].headers["location"]
        self.assertEqual(self.step(other, back).status, 403)
        self.assertEqual(self.step(mine, back).status, 303)
        self.assertEqual(self.step(mine, back).status, 403)

    def test_log_out_here_ends_what_was_entered_there_and_the_other_way_round(self):
        browsers = here, there = self.terminal()
        self.travel(browsers, self.url("/apps/wiki/x"))
        kept = {host: dict(jar) for host, jar in there.cookies.items()}
        self.assertEqual(there.get("/y", host="wiki.localhost").status, 200)
        self.assertEqual(here.log_out().status, 200)
        there.cookies = kept
        until(lambda: there.get("/y", host="wiki.localhost").status != 200, "the log-out is known above", 5)
        browsers = here, there = self.terminal()
        self.travel(browsers, self.url("/apps/wiki/x"))
        kept = {host: dict(jar) for host, jar in here.cookies.items()}
        self.assertEqual(there.request("POST", "/hasp/logout", host="wiki.localhost", body=b"").status, 200)
        here.cookies = kept
        until(lambda: here.get("/apps/notes/x").status != 200, "the log-out above is known here", 5)

    def test_what_the_portal_found_out_counts_as_a_network(self):
        away = {"X-Forwarded-For": "192.0.2.9"}
        here, there = self.terminal()
        portal = here.get("/", headers=away)
        origin = f"http://wiki.localhost:{self.tree.top.web_port}"
        probe = f"http://files.localhost:{self.tree.top.web_port}"  # of the first app; the tier is the same
        self.assertIn(f'data-reach="{probe}"', portal.text)
        self.assertIn(probe, portal.headers["content-security-policy"])
        self.assertNotIn("data-reach", here.get("/").text)  # of a network that is known
        reach = there.get("/hasp/direct/reach", host="files.localhost", cookies=False)
        self.assertEqual((reach.status, reach.headers["access-control-allow-origin"]), (200, "*"))
        self.assertEqual(here.get("/apps/wiki/x", headers={**NAVIGATION, **away}).status, 200)
        self.assertEqual(here.post_form("/hasp/direct/reached", {"at": probe}, headers={"Origin": origin}).status, 403)
        self.assertEqual(here.post_form("/hasp/direct/reached", {"at": probe}).status, 204)
        sent = here.get("/apps/wiki/x", headers={**NAVIGATION, **away})
        self.assertEqual(sent.status, 303)
        self.assertTrue(sent.headers["location"].startswith(origin + "/hasp/direct/begin?"))

    def test_while_the_link_is_down_the_answer_is_that_of_passing_on(self):
        browsers = here, _ = self.terminal()
        began = self.travel(browsers, self.url("/apps/wiki/x"), until_path="/hasp/direct/back")[-1].headers["location"]
        bottom = self.tree.bottom
        with contextlib.ExitStack() as after:
            after.callback(bottom.wait_link)
            after.callback(bottom.gate.restore)
            bottom.gate.cut()
            bottom.wait_link("down")
            cut = here.get("/apps/wiki/x", headers=NAVIGATION)
            self.assertEqual(cut.status, 503)
            self.assertIn("cannot be reached", cut.text)
            # Whoever was on his way comes back to where he came from.
            seen = self.travel(browsers, began)
            self.assertEqual((seen[0].status, seen[-1].status), (303, 503))
            self.assertEqual(seen[-1].url, self.url("/apps/wiki/x"))


if __name__ == "__main__":
    main()
