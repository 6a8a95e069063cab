#!/usr/bin/python3
"""A1, A3, A4: scripts/lab starts a tree that serves, and leaves nothing behind."""
import os
import resource
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness.backend import Backend
from harness.browser import Browser
from harness.case import main
from harness.memory import alive, descendants_of
from harness.tree import ROOT, free_port
from harness.waiting import until


class Lab(unittest.TestCase):
    def lab(self, *arguments, stop=signal.SIGTERM, files=0):
        backend, port = Backend(), free_port()
        folder = tempfile.mkdtemp(prefix="hasp-lab-test.")
        os.chmod(folder, 0o755)
        process = subprocess.Popen([str(ROOT / "scripts/lab"), "--port", str(port), "--upstream", backend.url + "/base",
                                    "--user", "reception:sakura:2001", *arguments],
                                   stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": folder},
                                   preexec_fn=lambda: files and resource.setrlimit(
                                       resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
        try:
            lines = []
            while not (lines and lines[-1].startswith("ready ")):
                line = process.stdout.readline()
                self.assertTrue(line, f"the lab ended: {lines}")
                lines.append(line.strip())
            below = descendants_of(process.pid)
            yield port, lines
            process.send_signal(stop)
            self.assertEqual(process.wait(30), 0)
            until(lambda: not any(alive(pid) for pid in below), "its processes are gone", 10)
            self.assertEqual(list(Path(folder).iterdir()), [], "its files are gone")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)
            process.stdout.close()
            backend.close()
            os.rmdir(folder)

    def test_the_lowest_tier_serves_the_apps_of_the_topmost_one(self):
        for port, lines in self.lab("--tiers", "3", stop=signal.SIGINT):
            self.assertEqual(lines[-1], f"ready http://localhost:{port}")
            browser = Browser(port)
            self.assertEqual(browser.get("/apps/echo/x?y").json()["path"], "/base/x?y")
            self.assertNotEqual(browser.get("/apps/echo-user/x").status, 200)
            self.assertEqual(browser.log_in("reception", "sakura:2001").status, 200)
            self.assertEqual(browser.get("/apps/echo-user/x").json()["headers"]["remote-user"], "reception")

    def test_its_user_may_have_a_short_password(self):
        for port, _ in self.lab("--user", "demo:demo"):
            browser = Browser(port)
            self.assertEqual(browser.log_in("demo", "demo").status, 200)
            self.assertEqual(browser.get("/apps/echo-user/x").json()["headers"]["remote-user"], "demo")

    def test_users_are_not_limited_by_the_soft_limit_of_open_files(self):
        users = 300
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4 * users:
            self.skipTest("the hard limit of open files is too low here")
        for port, _ in self.lab(files=256):
            held = []
            try:
                for _ in range(users):
                    one = socket.create_connection(("127.0.0.1", port), timeout=30)
                    held.append(one)
                    one.sendall(b"GET /hasp/login HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    self.assertTrue(one.recv(100).startswith(b"HTTP/1.1 200"), len(held))
            finally:
                for one in held:
                    one.close()

    def test_it_serves_https_with_a_ca_file(self):
        for port, lines in self.lab("--tls"):
            ca = lines[0].split(" ", 1)[1]
            browser = Browser(port, tls=ssl.create_default_context(cafile=ca))
            self.assertEqual(browser.get("/apps/echo/x").status, 200)
            self.assertEqual(browser.log_in("reception", "sakura:2001").status, 200)
            self.assertTrue(all(name.startswith("__Host-") for name in browser.cookies["localhost"]))


if __name__ == "__main__":
    main()
