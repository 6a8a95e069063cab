#!/usr/bin/python3
"""A tier switches to a new release without a failed request, and goes back by itself when it does not hold."""
import contextlib
import hashlib
import http.client
import os
import signal
import threading
import time

from harness.apps import processes_of
from harness.case import TreeCase, main
from harness.handover_app import release
from harness.waiting import slack, until
from harness.websocket import WebSocket

PACE_PER_S = 200
SENDERS = 10


class Load:
    """PACE_PER_S requests a second, half of them on connections that are kept, half on new ones."""

    def __init__(self, ports, path: str):
        self.seen, self.failed, self.stop = [], [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._send, args=(ports[n % len(ports)], path, n % 4 < 2)) for n in range(SENDERS)]

    def _send(self, port, path, keep):
        connection = None
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + SENDERS / PACE_PER_S, time.monotonic() - 1)
            try:
                if connection is not None and not keep:
                    connection.close()
                if connection is None or not keep:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("GET", path, headers={"Host": f"localhost:{port}"})
                answer = connection.getresponse()
                text = answer.read().decode()
                said = (answer.status, text[:300])
            except (OSError, http.client.HTTPException) as error:
                connection, said = None, (0, repr(error))
            with self.lock:
                (self.seen if said[0] == 200 else self.failed).append(said[1] if said[0] == 200 else said)
        if connection is not None:
            connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        until(lambda: len(self.seen) > PACE_PER_S / 4, "the load runs")
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def wait_more(self, version: str, count: int = PACE_PER_S):
        until(lambda: self.seen[-1] == version, f"{version} answers", 30)
        before = len(self.seen)
        until(lambda: len(self.seen) > before + count, "more requests")


class Handover(TreeCase):
    def install(self, name, version, way="", **rest):
        self.tree.top.app_add(release(self.tree.folder, name, version, way, **rest), self.tree.bottom.name)

    def rollout(self, name, tier=None):
        found = [r for r in (tier or self.tree.bottom).status()["rollouts"]
                 if r["app"] == name and r["tier"].endswith("/" + self.tree.bottom.name)]
        return found[0] if found else {}

    def wait_state(self, name, state, before=""):
        def there():
            rollout = self.rollout(name)
            return rollout if rollout.get("state") == state and rollout["release"] != before else None
        return until(there, f"{name} is {state}: {self.rollout(name)}", 60 * slack())

    def begin(self, name, **rest):
        self.install(name, "v1", **rest)
        first = self.wait_state(name, "serving")
        self.tree.bottom.wait_reaches(f"/apps/{name}/")
        self.tree.top.wait_reaches(f"/apps/{name}/")
        return first["release"]

    def ports(self):
        return [self.tree.bottom.web_port, self.tree.top.web_port]

    def posting(self, name):
        """A request whose body is only half there; the function sends the rest and gives the answer."""
        body = bytes(range(256)) * 4096
        connection = http.client.HTTPConnection("127.0.0.1", self.tree.bottom.web_port, timeout=60)
        connection.putrequest("POST", f"/apps/{name}/", skip_host=True)
        port = self.tree.bottom.web_port
        for key, value in (("Host", f"localhost:{port}"), ("Origin", f"http://localhost:{port}"), ("Content-Length", str(len(body)))):
            connection.putheader(key, value)
        connection.endheaders()
        connection.send(body[:len(body) // 2])

        def rest():
            connection.send(body[len(body) // 2:])
            with contextlib.closing(connection):
                answer = connection.getresponse()
                return answer.status, answer.read().decode(), hashlib.sha256(body).hexdigest()
        return rest

    def test_overlap_serves_every_request_and_a_websocket_goes_on(self):
        first = self.begin("beds")
        socket = WebSocket(self.tree.bottom.web_port, "/apps/beds/live")
        socket.send("a")
        self.assertEqual(socket.receive()[1], b"v1 a")
        with Load(self.ports(), "/apps/beds/") as load:
            rest = self.posting("beds")
            self.install("beds", "v2")
            second = self.wait_state("beds", "serving", first)
            load.wait_more("v2")
            status, text, digest = rest()
            self.assertEqual((status, text), (200, "v1 " + digest), "what was under way is finished by the release that had it")
            socket.send("b")
            self.assertEqual(socket.receive()[1], b"v1 b")
            self.assertEqual(len(processes_of(self.tree.bottom, "beds")), 2)
            socket.close()
            until(lambda: len(processes_of(self.tree.bottom, "beds")) == 1, "the old one has ended", 40)
        self.assertEqual(load.failed, [])
        self.assertEqual(set(load.seen), {"v1", "v2"})
        self.assertEqual(second["serves"], second["release"])
        until(lambda: self.rollout("beds", self.tree.top).get("serves") == second["release"], "the top tier knows")

    def test_exclusive_serves_every_request_and_never_runs_twice(self):
        first = self.begin("drugs", handover="exclusive")
        socket = WebSocket(self.tree.bottom.web_port, "/apps/drugs/live")
        socket.send("a")
        self.assertEqual(socket.receive()[1], b"v1 a")
        with Load(self.ports(), "/apps/drugs/") as load:
            rest = self.posting("drugs")
            answered = []
            late = threading.Timer(1.0, lambda: answered.append(rest()))
            late.start()
            self.install("drugs", "v2", handover="exclusive")
            self.wait_state("drugs", "serving", first)
            load.wait_more("v2")
            late.join()
            self.assertTrue(socket.ended(), "it does not hold up those who wait")
        self.assertEqual(load.failed, [])
        self.assertEqual(answered[0][:1], (200,))
        self.assertEqual(set(load.seen), {"v1", "v2"})

    def test_a_crash_in_the_middle_leaves_one_release_and_the_new_one_comes(self):
        for handover in ("overlap", "exclusive"):
            name = "night-" + handover
            release = self.begin(name, handover=handover)
            for number, victim in enumerate(("keeper", "spawner", "supervisor"), 2):
                self.install(name, f"v{number}", handover=handover)
                until(lambda: self.rollout(name)["release"] != release, "the next one has arrived")  # noqa: B023
                self.die(victim)
                release = self.wait_state(name, "serving", release)["release"]
                text = until(lambda: self.tree.bottom.browser().get(f"/apps/{name}/").text, "an answer")  # noqa: B023
                self.assertEqual(text, f"v{number}", f"{handover}, {victim}")
                until(lambda: len(processes_of(self.tree.bottom, name)) == 1, "no other process is left", 40)  # noqa: B023

    def die(self, victim):
        if victim == "supervisor":
            self.tree.bottom.kill()
            self.tree.bottom.start()
        else:
            before = self.tree.bottom.processes()
            os.kill(before[victim], signal.SIGKILL)
            until(lambda: self.tree.bottom.processes()[victim] != before[victim], f"{victim} is there again")

    def test_each_users_process_is_switched(self):
        self.tree.top.user_add("nurse", "kiku-1912", apps=["notes"])
        self.install("notes", "v1", instance="user")
        first = self.wait_state("notes", "serving")["release"]
        browser = self.tree.bottom.browser()
        self.assertEqual(browser.log_in("nurse", "kiku-1912").status, 200)
        self.assertEqual(until(lambda: browser.get("/apps/notes/").text, "an answer"), "v1")
        self.install("notes", "v2", instance="user")
        answers = []
        until(lambda: answers.append(browser.get("/apps/notes/")) or answers[-1].text == "v2", "v2 answers", 30)
        self.assertEqual({a.status for a in answers}, {200})
        self.wait_state("notes", "serving", first)

    def broken(self, name, way, reason, line, handover="overlap"):
        before = self.rollout(name)
        good = before["serves"]
        with Load(self.ports(), f"/apps/{name}/") as load:
            self.install(name, f"bad-{way}", way, handover=handover)
            rollout = self.wait_state(name, "rolled_back", before["release"])
            load.wait_more("v1", PACE_PER_S // 2)
        self.assertEqual(load.failed, [], way)
        self.assertEqual(set(load.seen), {"v1"}, way)
        self.assertEqual(rollout["serves"], good)
        self.assertRegex(rollout["why"], reason)
        self.assertIn(line, rollout.get("last_lines", ""))
        return rollout

    def test_a_release_that_does_not_come_up_is_rolled_back_and_says_why(self):
        self.begin("ward")
        self.broken("ward", "exits", "exit status 3", "the table of beds is missing")
        self.broken("ward", "deaf", "not ready within 3 s", "this is release bad-deaf")
        self.broken("ward", "500", "answered with 500", "no bed is free")
        self.broken("ward", "hangs", "does not answer|not ready", "this is release bad-hangs")
        last = self.broken("ward", "forks", "not ready within 3 s", "no more processes")
        until(lambda: self.rollout("ward", self.tree.top).get("state") == "rolled_back", "the top tier knows")
        self.assertIn("no more processes", self.rollout("ward", self.tree.top)["last_lines"])
        self.assertIn("rolled back", self.tree.bottom.run("why", "ward"))
        self.assertIn("rolled_back", self.tree.bottom.run("status").replace("rolled back", "rolled_back"))
        self.tree.bottom.kill()
        self.tree.bottom.start()
        self.assertEqual(self.rollout("ward"), last, "it survives, and is not tried again")
        self.assertEqual(self.tree.bottom.browser().get("/apps/ward/").text, "v1")
        self.tree.bottom.wait_link()
        self.install("ward", "v2")
        self.wait_state("ward", "serving", last["release"])
        until(lambda: self.tree.bottom.browser().get("/apps/ward/").text == "v2", "a good one is taken")

    def test_an_exclusive_release_that_cannot_read_the_data_gives_way_to_the_old_one(self):
        self.begin("lab", handover="exclusive")
        self.broken("lab", "old-data", "exit status 4", "cannot read what the release before has written", "exclusive")

    def test_a_release_that_crashes_when_it_is_used_is_rolled_back(self):
        first = self.begin("triage")
        self.install("triage", "v2", "crashes")
        browser = self.tree.bottom.browser()
        rollout = until(lambda: (browser.get("/apps/triage/"), self.rollout("triage"))[1].get("state") == "rolled_back" and
                        self.rollout("triage"), "it is rolled back", 60)
        self.assertEqual(rollout["serves"], first)
        self.assertIn("a bed without a patient", rollout["last_lines"])
        self.assertEqual(until(lambda: browser.get("/apps/triage/").text, "an answer"), "v1")


if __name__ == "__main__":
    main()
