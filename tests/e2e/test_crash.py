#!/usr/bin/python3
"""Each of the three processes is killed under load: the others go on, and it is back within two seconds."""
import os
import signal
import socket
import threading
import time

from harness.backend import Backend
from harness.case import TreeCase, main
from harness.memory import alive
from harness.tree import app_folder
from harness.waiting import slack, until

STREAM = 30_000_000  # more than the sockets between hold
BACK_S = 2.0 * slack()


class Load:
    """Threads that ask without pause; what went wrong, and when, is kept."""

    def __init__(self, make_browser, path, threads=3):
        self.failures, self.answers = [], 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(make_browser(), path), daemon=True) for _ in range(threads)]

    def _ask(self, browser, path):
        while not self._stop.is_set():
            try:
                status = browser.get(path).status
            except OSError as error:
                status = repr(error)
            if status == 200:
                self.answers += 1
            else:
                self.failures.append((time.monotonic(), status))
                self._stop.wait(0.01)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        until(lambda: self.answers > 20, "the load runs")
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Crash(TreeCase):
    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("echo", cls.backend.url)
        cls.tree.bottom.app_add(app_folder("leaflets"))
        cls.tree.top.user_add("reception", "sakura-2001", apps=["echo", "leaflets"])

    def signed_on(self):
        browser = self.tree.bottom.browser(timeout=10)
        until(lambda: browser.log_in("reception", "sakura-2001").status == 200, "log-in works")
        return browser

    def kill(self, tier, role):
        pid = tier.processes()[role]
        os.kill(pid, signal.SIGKILL)
        return pid, time.monotonic()

    def back(self, tier, role, old):
        until(lambda: (p := tier.processes())[role] != old and alive(p[role]), f"{role} of {tier.name} is back", 10)

    def test_a_killed_keeper_is_back_within_two_seconds_and_requests_of_signed_on_users_do_not_notice(self):
        browser = self.signed_on()

        def same():
            other = self.tree.bottom.browser(timeout=10)
            other.cookies = browser.cookies
            return other

        for tier in (self.tree.bottom, self.tree.top):
            with Load(same, "/apps/leaflets/") as load, Load(same, "/apps/echo/x") as far:
                old, at = self.kill(tier, "keeper")
                self.back(tier, "keeper", old)
                until(lambda: self.tree.bottom.browser().log_in("reception", "sakura-2001").status == 200, "log-in is back", 10)
                took = time.monotonic() - at
            self.assertEqual(load.failures, [], f"keeper of {tier.name}")
            self.assertEqual(far.failures, [], f"keeper of {tier.name}, what is passed on")
            self.assertLessEqual(took, BACK_S, f"keeper of {tier.name}")

    def test_a_killed_front_is_back_within_two_seconds_with_all_sessions(self):
        browser = self.signed_on()
        for tier in (self.tree.bottom, self.tree.top):
            others = {role: pid for role, pid in tier.processes().items() if role not in ("front",)}
            old, at = self.kill(tier, "front")
            until(lambda: browser.get("/apps/echo/x").status == 200, f"{tier.name} serves again", 10)
            self.assertLessEqual(time.monotonic() - at, BACK_S, tier.name)
            self.back(tier, "front", old)
            self.assertEqual(others, {r: p for r, p in tier.processes().items() if r != "front"})

    def test_a_killed_spawner_is_back_within_two_seconds_and_other_apps_do_not_notice(self):
        browser = self.signed_on()

        def same():
            other = self.tree.bottom.browser(timeout=10)
            other.cookies = browser.cookies
            return other

        with Load(same, "/apps/leaflets/") as load:
            old, at = self.kill(self.tree.bottom, "spawner")
            self.back(self.tree.bottom, "spawner", old)
            self.assertLessEqual(time.monotonic() - at, BACK_S)
        self.assertEqual(load.failures, [])

    def test_a_tier_that_is_told_to_end_finishes_what_it_has_begun(self):
        browser = self.signed_on()
        for tier in (self.tree.bottom, self.tree.top):
            connection, response = browser.open("GET", f"/apps/echo/bytes/{STREAM}")
            got = len(response.read(100_000))
            # Once as a service manager says it, once as Ctrl-C in a terminal, which reaches the whole process group.
            if tier is self.tree.bottom:
                tier.process.send_signal(signal.SIGTERM)
            else:
                os.killpg(tier.process.pid, signal.SIGINT)
            until(lambda t=tier: not self.accepts(t), f"{tier.name} takes no new connection", 10)
            while data := response.read(1 << 20):
                got += len(data)
            connection.close()
            self.assertEqual(got, STREAM, tier.name)
            self.assertEqual(tier.stop(), 0, tier.name)
            tier.start()
            self.tree.bottom.wait_link()

    @staticmethod
    def accepts(tier):
        try:
            socket.create_connection(("127.0.0.1", tier.web_port), timeout=2).close()
            return True
        except OSError:
            return False

    def test_a_killed_supervisor_takes_its_processes_with_it(self):
        tier = self.tree.bottom
        pids = tier.processes()
        tier.kill()
        until(lambda: not any(alive(pid) for pid in pids.values()), "all processes are gone", 10)
        tier.start()
        tier.wait_link()


if __name__ == "__main__":
    main()
