#!/usr/bin/python3
"""A1, A3, A4: scripts/lab starts a tree that serves, and leaves nothing behind."""
import os
import signal
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
    def lab(self, *arguments, stop=signal.SIGTERM):
        backend, port = Backend(), free_port()
        folder = tempfile.mkdtemp(prefix="hasp-lab-test.")
        os.chmod(folder, 0o755)
        process = subprocess.Popen([str(ROOT / "scripts/lab"), "--port", str(port), "--upstream", backend.url + "/base",
                                    "--user", "reception:sakura:2001", *arguments],
                                   stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": folder})
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

    def test_it_serves_https_with_a_ca_file(self):
        for port, lines in self.lab("--tls"):
            ca = lines[0].split(" ", 1)[1]
            browser = Browser(port, tls=ssl.create_default_context(cafile=ca))
            self.assertEqual(browser.get("/apps/echo/x").status, 200)
            self.assertEqual(browser.log_in("reception", "sakura:2001").status, 200)
            self.assertTrue(all(name.startswith("__Host-") for name in browser.cookies["localhost"]))


if __name__ == "__main__":
    main()
