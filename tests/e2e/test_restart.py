#!/usr/bin/python3
"""Reload of settings and a restart with another binary: no request fails, no WebSocket breaks, nothing is left behind."""
import http.client
import os
import shutil
import signal
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.backend import Backend
from harness.case import TreeCase, depth_adds_nothing, main
from harness.memory import children_of, command_of
from harness.tree import binary, free_port
from harness.waiting import until
from harness.websocket import WebSocket

PAUSE_S = 0.02


class Load:
    """Requests without an end, on a kept connection and on new ones; what went wrong is kept."""

    def __init__(self, targets):
        self.stop, self.done, self.failures = threading.Event(), 0, []
        self.threads = [threading.Thread(target=self.run, args=(port, path, kept), daemon=True)
                        for port, path in targets for kept in (True, False)]
        for thread in self.threads:
            thread.start()

    def run(self, port, path, kept):
        connection, number = None, 0
        while not self.stop.wait(PAUSE_S):
            number += 1
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                body = b"x" * 1000 if number % 2 else None  # POST: nobody may send it twice
                connection.request("POST" if body else "GET", path, body=body, headers={"Host": f"localhost:{port}"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    self.failures.append(f"{port}{path} kept={kept}: {answer.status} {text[:300]!r}")
                if answer.will_close or not kept:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{port}{path} kept={kept}: {type(error).__name__} {error}")
                connection = None
            self.done += 1
        if connection:
            connection.close()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(40)


class Download(threading.Thread):
    """A long answer that is taken slowly, to its end."""

    def __init__(self, port, path, size):
        super().__init__(daemon=True)
        self.size, self.taken, self.failure, self.hurry = size, 0, "", threading.Event()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall(f"GET {path}/{size} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        self.start()

    def run(self):
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                head += self.socket.recv(1000)
            self.taken = len(head.split(b"\r\n\r\n", 1)[1])
            while data := self.socket.recv(32_768):
                self.taken += len(data)
                self.hurry.wait(0.02)
        except OSError as error:
            self.failure = f"after {self.taken}: {error}"

    def end(self):
        self.hurry.set()
        self.join(60)
        self.socket.close()
        return self.failure or self.taken


class Talk:
    """A WebSocket on which a message goes to and fro every 100 ms."""

    def __init__(self, port, path):
        self.socket, self.count, self.failure, self.stop = WebSocket(port, path), 0, "", threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop.wait(0.1):
            try:
                self.socket.send(f"message {self.count}")
                got = self.socket.receive()[1]
                if got != f"message {self.count}".encode():
                    self.failure = f"{got!r} instead of message {self.count}"
                    return
                self.count += 1
            except (OSError, AssertionError, ValueError) as error:
                self.failure = f"after {self.count}: {type(error).__name__} {error}"
                return

    def end(self):
        self.stop.set()
        self.thread.join(40)
        self.socket.sock.close()


class Restart(TreeCase):
    config = "[web]\nkeepalive_s = 3\n[process]\ndrain_s = 120\n"

    @classmethod
    def setUpClass(cls):
        # A hasp of its own, so that another can be installed in its place.
        cls.bin = Path(tempfile.mkdtemp(prefix="hasp-bin."))
        cls.bin.chmod(0o755)
        cls.original = binary()
        cls.install(lambda new: shutil.copy2(cls.original, new))
        os.environ["HASP_BIN"] = str(cls.bin / "hasp")
        cls.addClassCleanup(shutil.rmtree, cls.bin, ignore_errors=True)
        super().setUpClass()

    @classmethod
    def install(cls, make):
        new = cls.bin / "hasp.new"
        make(new)
        new.chmod(0o755)
        new.replace(cls.bin / "hasp")

    @classmethod
    def furnish(cls):
        cls.backend = Backend()
        cls.tree.top.upstream_app("far", cls.backend.url, access="public")
        cls.tree.bottom.upstream_app("near", cls.backend.url, access="public")
        cls.tree.top.wait_reaches("/apps/near/x")
        cls.tree.bottom.wait_reaches("/apps/far/x")

    def wait_alone(self, tier):
        """Until nothing but the supervisor's three processes is there."""
        def alone():
            names = [command_of(pid).split(" ")[0] for pid in children_of(tier.process.pid)]
            return sorted(names) == ["front", "keeper", "spawner"] or None
        until(alone, f"{tier.name} has three processes", 30)

    def test_under_load_nobody_notices_reloads_and_restarts(self):
        top, bottom = self.tree.top, self.tree.bottom
        for tier in (top, bottom):
            self.wait_alone(tier)
        descriptors = {tier.name: len(os.listdir(f"/proc/{tier.process.pid}/fd")) for tier in (top, bottom)}
        talks = [Talk(bottom.web_port, "/apps/far/ws"), Talk(top.web_port, "/apps/near/ws")]
        download = Download(bottom.web_port, "/apps/far/bytes", 40_000_000)
        load = Load([(bottom.web_port, "/apps/far/x"), (bottom.web_port, "/apps/near/x"),
                     (top.web_port, "/apps/near/x"), (top.web_port, "/apps/far/x")])
        try:
            # Of a longer chain those in the middle, which have links on both sides.
            for tier in self.tree.tiers[1:-1] or self.tree.tiers:
                before = tier.processes()
                for command in ("reload", "restart"):
                    served = load.done
                    tier.run(command, timeout=200)
                    until(lambda: load.done > served + 20, "requests go on", 30)
                    self.assertEqual(load.failures, [], f"{command} of {tier.name}")
                after = tier.processes()
                self.assertEqual((after["supervisor"], after["spawner"]), (before["supervisor"], before["spawner"]))
                self.assertNotEqual(after["front"], before["front"])
                self.assertNotEqual(after["keeper"], before["keeper"])
        finally:
            load.end()
        self.assertEqual(load.failures, [])
        counts = [talk.count for talk in talks]
        until(lambda: all(t.failure or t.count > c for t, c in zip(talks, counts)), "the WebSockets go on")
        self.assertEqual([talk.failure for talk in talks], ["", ""])
        self.assertEqual(download.end(), download.size, "the download came whole")
        for talk in talks:
            talk.end()
        for tier in self.tree.tiers:
            self.wait_alone(tier)
        for tier in (top, bottom):
            left = len(os.listdir(f"/proc/{tier.process.pid}/fd"))
            self.assertLessEqual(left, descriptors[tier.name], f"descriptors of {tier.name}")

    @depth_adds_nothing
    def test_a_reload_takes_over_what_it_can_and_names_what_waits(self):
        tier = self.tree.bottom
        file = tier.state / "hasp.toml"
        good, port = file.read_text(), free_port()
        try:
            file.write_text(good.replace("[process]", '[apps]\nisolation = "none-allowed"\n\n[process]')
                            .replace("[web]\n", '[web]\nportal_hosts = ["localhost"]\n')
                            .replace(f'"127.0.0.1:{tier.web_port}"', f'"127.0.0.1:{tier.web_port}", "127.0.0.1:{port}"'))
            said = tier.run("reload")
            self.assertIn("changed: web.listen, web.portal_hosts\n", said)
            self.assertIn("needs a new start of the tier: apps.isolation\n", said)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            for host, status in (("localhost", 200), ("other.example", 421)):
                connection.request("GET", "/apps/near/x", headers={"Host": host})
                answer = connection.getresponse()
                answer.read()
                self.assertEqual(answer.status, status, host)
            connection.close()
        finally:
            file.write_text(good)
            tier.run("reload")
        self.assertTrue(self.refused(port))

    @staticmethod
    def refused(port) -> bool:
        def probe():
            try:
                socket.create_connection(("127.0.0.1", port), timeout=10).close()
                return False
            except ConnectionRefusedError:
                return True
        return until(probe, "nobody listens there any more", 10)

    @depth_adds_nothing
    def test_a_config_that_is_wrong_changes_nothing_and_is_told(self):
        tier = self.tree.bottom
        file = tier.state / "hasp.toml"
        good, before = file.read_text(), tier.processes()
        taken = socket.create_server(("127.0.0.1", 0))
        busy = taken.getsockname()[1]
        wrong = {"keepalive_sec = 3": (2, ["hasp.toml:", "keepalive_sec", "keepalive_s"]),
                 'tls_cert = "/nowhere/web.pem"\ntls_key = "/nowhere/web.key"': (1, ["/nowhere/web.pem"]),
                 f'tls_listen = []\nportal_hosts = []\nlisten = ["127.0.0.1:{busy}"]': (6, [str(busy)])}
        try:
            for text, (code, words) in wrong.items():
                lines = good.split("\n")
                if "\nlisten" in text:
                    lines = [line for line in lines if not line.startswith(f'listen = ["127.0.0.1:{tier.web_port}"')]
                file.write_text("\n".join(lines).replace("[web]\n", f"[web]\n{text}\n", 1))
                for command in ("reload", "restart"):
                    done = tier.run(command, check=False)
                    self.assertEqual(done.returncode, code if command == "reload" else 1, f"{command}: {done.stderr}")
                    for word in words:
                        self.assertIn(word, done.stderr, command)
                    self.assertEqual(tier.browser().get("/apps/far/x").status, 200)
        finally:
            taken.close()
            file.write_text(good)
        self.wait_alone(tier)
        self.assertEqual(tier.processes(), before)

    @depth_adds_nothing
    def test_a_binary_that_cannot_take_over_is_told_and_the_one_before_serves_on(self):
        tier = self.tree.bottom
        before = tier.processes()
        broken = {"#!/bin/sh\necho the library is missing >&2\nexit 127\n": "the library is missing",
                  "#!/bin/sh\nexit 0\n": "is no hasp", "neither a program nor a script": "hasp"}
        try:
            for text, words in broken.items():
                self.install(lambda new, text=text: new.write_text(text))
                os.environ["HASP_BIN"] = self.original
                done = tier.run("restart", check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(words, done.stderr)
                self.assertEqual(tier.browser().get("/apps/far/x").status, 200)
        finally:
            os.environ["HASP_BIN"] = str(self.bin / "hasp")
            self.install(lambda new: shutil.copy2(self.original, new))
        self.assertEqual(tier.processes(), before)

    @staticmethod
    def named(tier, name) -> list:
        return [pid for pid in children_of(tier.process.pid) if command_of(pid).split(" ")[0] == name]

    @depth_adds_nothing
    def test_a_front_that_dies_while_the_next_one_starts_is_followed_by_that_one(self):
        tier = self.tree.bottom
        # The next front serves a few hundredths of a second after it began: sometimes it does before it is held.
        for _ in range(20):
            self.wait_alone(tier)
            before = tier.processes()
            deaths, jails = tier.log().count("front killed"), tier.log().count("front.jail")
            with ThreadPoolExecutor() as pool:
                told = pool.submit(tier.run, "reload", timeout=100)
                following = self.hold_next_front(tier, before["front"], told)
                held = tier.log().count("front.jail") == jails
                try:
                    if held:
                        os.kill(before["front"], signal.SIGKILL)
                        until(lambda: tier.log().count("front killed") > deaths, "the death is noticed", 20)
                finally:
                    for pid in following:
                        os.kill(pid, signal.SIGCONT)
                told.result(100)
            if held:
                break
        self.assertTrue(held, "the next front was never held before it served")
        self.assertEqual(tier.log().count("front.jail") - jails, 1, "another was started beside it")
        self.assertEqual(tier.browser().get("/apps/far/x").status, 200)
        self.assertNotIn(before["front"], self.named(tier, "front"))
        self.wait_alone(tier)

    def hold_next_front(self, tier, serving, told) -> set:
        """Stops the front that a reload starts, as soon as it is there."""
        while not told.done():
            following = set(self.named(tier, "front")) - {serving}
            for pid in following:
                os.kill(pid, signal.SIGSTOP)
            if following:
                return following
        return set()

    @depth_adds_nothing
    def test_the_program_that_is_gone_back_to_need_not_know_how_to_read_the_file_of_the_new_one(self):
        tier = self.tree.bottom
        file = tier.state / "hasp.toml"
        good, before = file.read_text(), tier.processes()
        # Another version: the old setting is none of its settings, and it has one that the old one has not.
        self.install(lambda new: new.write_bytes(Path(self.original).read_bytes().replace(b"keepalive_s", b"keepalive_x")))
        os.environ["HASP_BIN"] = self.original
        try:
            file.write_text(good.replace("keepalive_s", "keepalive_x"))
            with ThreadPoolExecutor() as pool:
                told = pool.submit(tier.run, "restart", check=False, timeout=100)
                keepers = until(lambda: [k for k in self.named(tier, "keeper") if k != before["keeper"]], "its keeper", 30)
                os.kill(keepers[0], signal.SIGKILL)
                done = told.result(100)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("keeper killed", done.stderr)
            self.assertEqual(tier.browser().get("/apps/far/x").status, 200)
            self.assertIn("(deleted)", os.readlink(f"/proc/{tier.process.pid}/exe"), "it is not what is installed")
            self.assertNotEqual(tier.run("reload", check=False).returncode, 0, "the old one does not know the key")
        finally:
            file.write_text(good)
            self.install(lambda new: shutil.copy2(self.original, new))
            os.environ["HASP_BIN"] = str(self.bin / "hasp")
        tier.run("reload")
        self.assertEqual(tier.browser().get("/apps/far/x").status, 200)


if __name__ == "__main__":
    main()
