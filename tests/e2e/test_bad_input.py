#!/usr/bin/python3
"""What bad input gets: a clear error, the right exit status, and nothing half-done."""
import fcntl
import json
import re
import threading
import time

from harness.case import TreeCase, main
from harness.tree import Tier, free_port

USAGE, REFUSED, NOT_FOUND, LOCKED = 2, 4, 5, 6


class BadInput(TreeCase):
    config = "[login]\nfailures_before_delay = 1000\nattempts_per_minute_per_address = 1000\n"

    @classmethod
    def furnish(cls):
        cls.tree.top.user_add("reception", "sakura-2001")

    def refused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "", "errors are on stderr")
        for word in words:
            self.assertIn(word.lower(), done.stderr.lower())
        self.assertNotIn("terminate called", done.stderr)

    def config_check(self, text):
        file = self.tree.folder / "check.toml"
        file.write_text(text)
        return self.tree.top.run("config", "check", file, check=False)

    def join(self, line, name="kyoto"):
        """A new tier that tries to enrol with this line; the finished command, and what is left of its state."""
        number = len(list(self.tree.folder.glob("join*")))
        tier = Tier(self.tree, f"join{number}", self.tree.top)
        done = tier.run("relay", "--join", "-", stdin=line + "\n", check=False, timeout=30)
        keys = list((tier.state / "keys").glob("*")) if (tier.state / "keys").exists() else []
        return done, keys

    def test_an_unknown_key_is_refused_with_file_line_and_the_nearest_valid_key(self):
        self.refused(self.config_check('[web]\n\nlisen = ["127.0.0.1:1"]\n'), USAGE, "check.toml:3", "lisen", "listen")
        self.refused(self.config_check("[webb]\n"), USAGE, "check.toml:1", "web")

    def test_a_wrong_type_or_a_value_out_of_its_limits_is_refused(self):
        self.refused(self.config_check('[web]\nmax_connections = "many"\n'), USAGE, "check.toml:2", "max_connections")
        self.refused(self.config_check("[web]\nmax_connections = -1\n"), USAGE, "check.toml:2", "max_connections")
        self.refused(self.config_check("[web\n"), USAGE, "check.toml:1")

    def test_a_missing_file_is_named(self):
        self.refused(self.tree.top.run("config", "check", "/nowhere/hasp.toml", check=False), NOT_FOUND, "/nowhere/hasp.toml")
        self.refused(self.tree.top.run("app", "add", "/nowhere/app", "--to", self.tree.top.name, check=False), NOT_FOUND,
                     "/nowhere/app")

    def test_an_invitation_is_good_once(self):
        line = self.tree.top.invite("kyoto", f"127.0.0.1:{self.tree.top.link_port}")
        local = self.tree.add_local("kyoto", self.tree.top)
        self.assertTrue(local.link_is_up())
        done, keys = self.join(line)
        self.refused(done, REFUSED)
        self.assertEqual(keys, [])

    def test_an_invitation_that_was_cut_or_changed_is_refused_before_anything_is_made(self):
        line = self.tree.top.invite("kobe", f"127.0.0.1:{self.tree.top.link_port}")
        middle = len(line) // 2
        changed = line[:middle] + ("A" if line[middle] != "A" else "B") + line[middle + 1:]
        for bad in (line[:-4], line[4:], changed, "", "hello", line + line, "x" * 100000):
            done, keys = self.join(bad)
            self.assertNotEqual(done.returncode, 0, bad[:40])
            self.assertIn(done.returncode, (USAGE, REFUSED), done.stderr)
            self.assertEqual(keys, [], bad[:40])

    def test_an_invitation_in_the_arguments_is_refused_and_not_repeated(self):
        line = self.tree.top.invite("kobe", f"127.0.0.1:{self.tree.top.link_port}")
        tier = Tier(self.tree, "argv", self.tree.top)
        done = tier.run("relay", "--join", line, check=False, timeout=30)
        self.refused(done, USAGE, "--join", "standard input")
        self.assertNotIn(line.rsplit(".", 2)[1], done.stderr)

    def test_a_wrong_password_costs_one_hash_in_every_path(self):
        def seconds(user, password):
            begin = time.perf_counter()
            status = self.tree.top.browser().log_in(user, password, follow=False).status
            return time.perf_counter() - begin, status

        self.tree.top.user_add("sleeper", "aoi-1853")
        self.tree.top.run("user", "disable", "sleeper")
        right = min(seconds("reception", "sakura-2001")[0] for _ in range(3))
        for user in ("reception", "unknown", "sleeper"):
            times = [seconds(user, "wrong") for _ in range(3)]
            self.assertEqual({status for _, status in times}, {401})
            self.assertGreater(min(t for t, _ in times), right * 0.5, user)
            self.assertLess(min(t for t, _ in times), right * 2.0, user)

    def test_a_second_daemon_on_the_same_state_is_refused(self):
        done = self.tree.top.run("serve", check=False, timeout=20)
        self.refused(done, LOCKED, str(self.tree.top.state))
        self.assertEqual(self.tree.top.browser().get("/", follow=True).status, 200)

    def test_a_command_that_ends_in_a_moment_keeps_no_daemon_from_starting(self):
        tier = Tier(self.tree, "beside", None)
        tier.run("init", "--realm", "beside", "--name", "beside")
        with open(tier.state / "lock", "a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            release = threading.Timer(0.5, fcntl.flock, (held, fcntl.LOCK_UN))
            release.start()
            tier.start()
            release.join()
        self.assertEqual(tier.stop(), 0)

    def test_a_port_in_use_is_named(self):
        other = Tier(self.tree, "other", None)
        other.run("init", "--realm", "other", "--name", "other")
        text = (other.state / "hasp.toml").read_text().replace(str(other.web_port), str(self.tree.top.web_port))
        (other.state / "hasp.toml").write_text(text)
        done = other.run("serve", check=False, timeout=20)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(self.tree.top.web_port), done.stderr)

    def test_init_does_not_touch_a_state_that_is_there(self):
        before = {p: p.stat().st_mtime_ns for p in (self.tree.top.state / "keys").rglob("*")}
        done = self.tree.top.run("init", "--realm", "again", "--name", "again", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(before, {p: p.stat().st_mtime_ns for p in (self.tree.top.state / "keys").rglob("*")})

    def test_relay_without_a_parent_does_not_start(self):
        lone = Tier(self.tree, "lone", None)
        self.assertNotEqual(lone.run("relay", check=False, timeout=20).returncode, 0)

    def test_a_manifest_with_an_error_is_refused_with_its_line_and_installs_nothing(self):
        folder = self.tree.folder / "bad-app"
        folder.mkdir()
        (folder / "hasp-app.toml").write_text('[app]\nname = "bad"\nkind = "process"\n[process]\ncomand = ["x"]\n')
        done = self.tree.top.run("app", "add", folder, "--to", self.tree.top.name, check=False)
        self.refused(done, USAGE, "hasp-app.toml:5", "comand", "command")
        (folder / "hasp-app.toml").write_text('[app]\nname = "../bad"\nkind = "static"\n')
        self.assertNotEqual(self.tree.top.run("app", "add", folder, "--to", self.tree.top.name, check=False).returncode, 0)
        self.assertNotIn("bad", json.dumps(self.tree.top.status()["apps"]))

    def test_unknown_commands_and_options_are_answered_with_the_nearest_one(self):
        self.refused(self.tree.top.run("statsu", check=False), USAGE, "status")
        self.refused(self.tree.top.run("status", "--jsno", check=False), USAGE, "--json")

    def test_secrets_are_in_no_log_and_in_no_argument(self):
        line = self.tree.top.invite("nara", f"127.0.0.1:{self.tree.top.link_port}")
        self.tree.top.browser().log_in("reception", "secret-typed-here", follow=False)
        token = self.tree.top.token("reception")
        everything = self.tree.top.log() + "".join(
            p.read_text(errors="replace") for p in (self.tree.top.state / "log").rglob("*") if p.is_file())
        for secret in ("secret-typed-here", token, line):
            self.assertNotIn(secret, everything)

    def test_hostile_requests_are_refused_and_the_connection_is_closed(self):
        import socket
        good = b"Host: localhost\r\n"
        hostile = {
            "two lengths": b"POST / HTTP/1.1\r\n" + good + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "length and chunked": b"POST / HTTP/1.1\r\n" + good + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "no host": b"GET / HTTP/1.1\r\n\r\n",
            "two hosts": b"GET / HTTP/1.1\r\n" + good + good + b"\r\n",
            "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
            "folded line": b"GET / HTTP/1.1\r\n" + good + b"A: b\r\n c\r\n\r\n",
            "NUL": b"GET / HTTP/1.1\r\n" + good + b"A: b\0c\r\n\r\n",
            "space before colon": b"GET / HTTP/1.1\r\n" + good + b"A : b\r\n\r\n",
            "chunk size overflow": b"POST / HTTP/1.1\r\n" + good + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            "dot segments": b"GET /apps/%2e%2e/x HTTP/1.1\r\n" + good + b"\r\n",
            "large head": b"GET / HTTP/1.1\r\n" + good + b"A: " + b"x" * 200000 + b"\r\n\r\n",
            "not HTTP": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 64,
        }
        for name, message in hostile.items():
            with self.subTest(name), socket.create_connection(("127.0.0.1", self.tree.bottom.web_port), timeout=20) as peer:
                answer = b""
                try:
                    peer.sendall(message)
                    while data := peer.recv(65536):
                        answer += data
                except ConnectionError:
                    pass
                if answer:
                    self.assertRegex(answer[:12].decode(), r"HTTP/1\.1 4\d\d")
                self.assertEqual(len(re.findall(rb"HTTP/1\.1 \d", answer)), 1 if answer else 0)
        self.assertEqual(self.tree.bottom.browser().get("/", follow=True).status, 200)
        self.assertTrue(free_port())


if __name__ == "__main__":
    main()
