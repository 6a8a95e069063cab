#!/usr/bin/python3
"""A1, A3: browsers speak HTTP/2 to the tier that they know; what is behind it does not notice, through any number of tiers."""
import hashlib
import json
import ssl
import subprocess
import threading
from pathlib import Path

from harness.backend import Backend, BLOCK
from harness.browser import Browser
from harness.case import CHAINS, TreeCase, depth, main
from harness.memory import rss_kb
from harness.tree import Tree
from harness.waiting import slack, until

MIB = 1 << 20
SCRIPT = Path(__file__).resolve().parent / "harness/http2.mjs"
NODE = "/usr/bin/node"


class Http2(TreeCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = Tree(CHAINS[depth()], tls=True)
        try:
            cls.furnish()
        except BaseException:
            cls.tree.close()
            raise

    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("echo", cls.backend.url, access="public")
        cls.tree.top.upstream_app("echo-user", cls.backend.url)
        cls.tree.top.upstream_app("little", cls.backend.url, access="public", app="body_mib_max = 1\n")
        cls.tree.top.user_add("reception", "sakura-2001", apps=["echo-user"])
        cls.tree.bottom.upstream_app("near", cls.backend.url, access="public")
        cls.port = cls.tree.bottom.tls_port
        cls.tls = ssl.create_default_context(cafile=cls.tree.tls_ca)
        cls.tree.bottom.wait_reaches("/apps/echo/bytes/1")

    def begin(self, *jobs, serial: bool = False):
        task = {"url": f"https://127.0.0.1:{self.port}", "ca": str(self.tree.tls_ca), "host": f"localhost:{self.port}",
                "serial": serial, "jobs": list(jobs)}
        client = subprocess.Popen([NODE, "--no-warnings", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        client.stdin.write(json.dumps(task))
        client.stdin.close()
        return client

    def ask(self, *jobs, serial: bool = False):
        client = self.begin(*jobs, serial=serial)
        out, err = client.stdout.read(), client.stderr.read()
        client.wait(timeout=60)
        client.stdout.close()
        client.stderr.close()
        self.assertEqual(client.returncode, 0, out + err)
        told = json.loads(out)
        self.assertEqual(told["alpn"], "h2")
        return told["results"]

    def browser(self) -> Browser:
        return Browser(self.port, tls=self.tls)

    def test_a_hundred_requests_at_once_over_one_connection_are_all_answered(self):
        [answers] = self.ask({"kind": "get", "path": "/apps/echo/echo?a=1", "times": 100, "headers": {"x-mine": "yes"}})
        self.assertEqual({a["status"] for a in answers}, {200})
        seen = json.loads(answers[0]["text"])
        self.assertEqual((seen["method"], seen["path"], seen["headers"]["x-mine"]), ("GET", "/echo?a=1", "yes"))
        self.assertEqual(seen["headers"]["x-forwarded-proto"], "https")
        self.assertEqual(len({a["headers"]["x-request-id"] for a in answers}), 100)

    def test_bodies_go_up_and_come_down_at_once_within_32_mb_above_idle_at_every_tier(self):
        pids = {tier.name: [p for role, p in tier.processes().items() if role != "supervisor"] for tier in self.tree.tiers}

        def memory():
            return {name: sum(rss_kb(pid) for pid in group) for name, group in pids.items()}

        idle, peak, over = memory(), memory(), threading.Event()

        def watch():
            while not over.wait(0.05):
                for name, kb in memory().items():
                    peak[name] = max(peak[name], kb)

        watcher = threading.Thread(target=watch)
        watcher.start()
        up, down, chunked = self.ask(
            {"kind": "post", "path": "/apps/echo/echo", "size": 60 * MIB, "headers": {"content-length": str(60 * MIB)}},
            {"kind": "get", "path": f"/apps/echo/bytes/{60 * MIB}"},
            {"kind": "post", "path": "/apps/near/echo", "size": 20 * MIB})
        over.set()
        watcher.join()
        told = json.loads(up["text"])
        self.assertEqual((up["status"], told["size"]), (200, 60 * MIB))
        self.assertEqual(told["sha256"], hashlib.sha256(b"hasp" * (15 * MIB)).hexdigest())
        self.assertEqual(down[0]["sha256"], hashlib.sha256(BLOCK * (60 * MIB // len(BLOCK))).hexdigest())
        self.assertEqual(json.loads(chunked["text"])["sha256"], hashlib.sha256(b"hasp" * (5 * MIB)).hexdigest())
        for name, kb in peak.items():
            self.assertLessEqual(kb, idle[name] + int(32 * 1024 * slack()), f"{name}: {idle[name]} KiB idle, {kb} KiB at most")

    def test_a_websocket_goes_through_as_one(self):
        [told] = self.ask({"kind": "socket", "path": "/apps/echo/ws", "say": ["guten", "tag", "sakura"]})
        self.assertEqual(told, {"status": 200, "heard": ["guten", "tag", "sakura"]})

    def test_a_websocket_from_another_site_is_refused(self):
        [told] = self.ask({"kind": "socket", "path": "/apps/echo/ws", "say": [], "headers": {"origin": "https://evil.example"}})
        self.assertEqual(told["status"], 403)

    def test_events_come_when_they_are_sent(self):
        client = self.begin({"kind": "events", "path": "/apps/echo/events", "count": 2})
        self.assertEqual(client.stderr.readline(), "open\n", "the answer's head is not held back")
        until(lambda: self.backend.streams, "the backend has a stream")
        for text in ("one", "two"):
            self.backend.emit(text)
            self.assertEqual(client.stderr.readline(), "event\n")
        told = json.loads(client.stdout.read())
        self.assertEqual(told["results"][0]["heard"], ["data: one\n\n", "data: two\n\n"])
        client.wait(timeout=20)
        client.stdout.close()
        client.stderr.close()

    def test_one_log_in_serves_both_protocols(self):
        browser = self.browser()
        browser.log_in("reception", "sakura-2001")
        [before], = [self.ask({"kind": "get", "path": "/apps/echo-user/echo"})[0]]
        self.assertNotEqual(before["status"], 200)
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies["localhost"].items())
        [[answer]] = self.ask({"kind": "get", "path": "/apps/echo-user/echo", "headers": {"cookie": cookie}})
        self.assertEqual(answer["status"], 200)
        self.assertEqual(json.loads(answer["text"])["headers"]["remote-user"], "reception")
        self.assertNotIn("hasp", json.loads(answer["text"])["headers"].get("cookie", ""))
        self.assertEqual(browser.get("/apps/echo-user/echo").status, 200)

    def test_nothing_is_taken_from_outside_by_any_spelling(self):
        forged = {"hasp-user": "root", "hasp-session": "x", "remote-user": "root", "hasp-client": "10.0.0.1"}
        [[answer]] = self.ask({"kind": "get", "path": "/apps/echo/echo", "headers": forged})
        seen = json.loads(answer["text"])["headers"]
        self.assertEqual([name for name in forged if name in seen], [])

    def test_heads_that_are_too_long_and_methods_without_a_body_get_what_http_1_gives(self):
        [[long_head], [head], [none]] = self.ask(
            {"kind": "get", "path": "/apps/echo/echo", "headers": {f"x-{i}": "v" * 4000 for i in range(10)}},
            {"kind": "get", "path": "/apps/echo/bytes/500", "method": "HEAD"},
            {"kind": "get", "path": "/nothing/here"})
        self.assertEqual(long_head["status"], 431)
        self.assertEqual((head["status"], head["size"], head["headers"]["content-length"]), (200, 0, "500"))
        self.assertEqual(none["status"], self.browser().get("/nothing/here").status)

    def test_a_body_beyond_the_apps_limit_gets_413_through_every_tier_and_the_others_are_served(self):
        to = {"kind": "post", "path": "/apps/little/echo"}
        said, unsaid, fits = self.ask({**to, "size": MIB + 1, "headers": {"content-length": str(MIB + 1)}},
                                      {**to, "size": MIB + 1}, {**to, "size": MIB})
        self.assertEqual((said["status"], unsaid["status"], fits["status"]), (413, 413, 200))

    def test_answers_that_are_given_up_leave_nothing_behind(self):
        front = self.tree.bottom.processes()["front"]
        self.ask(*[{"kind": "reset", "path": f"/apps/echo/bytes/{50 * MIB}"} for _ in range(20)])
        [answers] = self.ask({"kind": "get", "path": "/apps/echo/echo", "times": 5})
        self.assertEqual({a["status"] for a in answers}, {200})
        self.assertEqual(self.tree.bottom.processes()["front"], front, "front still is the same process")

    def test_a_tier_that_ends_lets_what_is_under_way_end(self):
        client = self.begin({"kind": "events", "path": "/apps/near/events", "count": 1},
                            {"kind": "get", "path": "/apps/near/bytes/1000"})
        self.assertEqual(client.stderr.readline(), "open\n")
        until(lambda: self.backend.streams, "the backend has a stream")
        stopping = threading.Thread(target=self.tree.bottom.stop)
        stopping.start()
        until(lambda: self.refused(), "no further connection is taken")
        self.backend.emit("last words")
        told = json.loads(client.stdout.read())
        self.assertEqual(told["results"][0]["heard"], ["data: last words\n\n"])
        client.wait(timeout=20)
        client.stdout.close()
        client.stderr.close()
        stopping.join()
        self.tree.bottom.start()
        self.tree.bottom.wait_reaches("/apps/echo/bytes/1")

    def refused(self) -> bool:
        try:
            self.browser().get("/")
            return False
        except OSError:
            return True


if __name__ == "__main__":
    main()
