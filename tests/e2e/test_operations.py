#!/usr/bin/python3
"""What those who run a tier expect of it: figures for Prometheus, logs that rotate, certificates that are renewed under it."""
import re
import shutil
import signal
import ssl
import subprocess
import urllib.error
import urllib.request

from harness.backend import Backend
from harness.browser import Browser
from harness.case import TreeCase, main
from harness.tree import Tree, free_port
from harness.waiting import until

LINE = re.compile(r'^[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? [0-9.]+$')


class Operations(TreeCase):
    @classmethod
    def setUpClass(cls):
        cls.metrics_port = free_port()
        cls.tls_port = free_port()
        cls.tree = Tree(["center"], config=f'[metrics]\nlisten = ["127.0.0.1:{cls.metrics_port}"]\n', tls=True, port=cls.tls_port)
        try:
            cls.backend = Backend()
            cls.tree.top.upstream_app("echo", cls.backend.url, access="public")
            cls.tree.top.wait_reaches("/apps/echo/bytes/1")
        except BaseException:
            cls.tree.close()
            raise

    def metrics(self, path: str = "/metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=10) as answer:
            self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
            text = answer.read().decode()
        figures = {}
        for line in text.splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP [a-z_]+ .+|TYPE [a-z_]+ (counter|gauge|histogram))$")
                continue
            self.assertRegex(line, LINE)
            name, _, value = line.rpartition(" ")
            self.assertNotIn(name, figures, "each series stands once")
            figures[name] = float(value)
        return figures

    def test_prometheus_reads_what_was_served_and_how_long_it_took(self):
        app = 'app="echo",served="here"'
        before = self.metrics()
        for _ in range(5):
            self.assertEqual(self.tree.top.browser().get("/apps/echo/bytes/1000").status, 200)
        self.tree.top.browser().get("/apps/no-such-app/")
        after = until(lambda: (now := self.metrics())[f'hasp_requests_total{{{app},code="2xx"}}']
                      >= before.get(f'hasp_requests_total{{{app},code="2xx"}}', 0) + 5 and now, "five more are counted")

        def grown(name):
            return after[name] - before.get(name, 0)

        self.assertEqual(grown(f"hasp_answer_bytes_total{{{app}}}"), 5000)
        self.assertEqual(grown(f"hasp_request_duration_seconds_count{{{app}}}"), 5)
        self.assertEqual(grown(f'hasp_request_duration_seconds_bucket{{{app},le="+Inf"}}'), 5)
        buckets = [v for k, v in after.items() if k.startswith(f"hasp_request_duration_seconds_bucket{{{app}")]
        self.assertEqual(buckets, sorted(buckets), "each bucket holds those before it")
        self.assertGreater(after["hasp_upstream_connections_total"], 0)
        self.assertFalse([k for k in after if "no-such-app" in k], "names that clients make up are no series")
        self.assertEqual([v for k, v in after.items() if k.startswith('hasp_info{tier="') and 'center' in k], [1], after)

    def test_nothing_else_is_there(self):
        for path in ("/", "/apps/echo/bytes/1", "/hasp/login"):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.metrics(path)
            self.assertEqual(refused.exception.code, 404)
            refused.exception.close()

    def test_after_sighup_the_access_log_is_a_new_file_and_no_line_is_lost(self):
        tier = self.tree.top
        log = tier.state / "log/access.jsonl"
        first = tier.browser().get("/apps/echo/bytes/1").headers["x-request-id"]
        until(lambda: first in log.read_text(), "the first line is there")
        log.rename(log.with_suffix(".1"))
        between = tier.browser().get("/apps/echo/bytes/1").headers["x-request-id"]
        tier.process.send_signal(signal.SIGHUP)
        until(log.exists, "the log is opened anew")
        last = until(lambda: (rid := tier.browser().get("/apps/echo/bytes/1").headers["x-request-id"]) and
                     until(lambda: rid in log.read_text() or rid in log.with_suffix(".1").read_text(), "it is logged") and
                     rid in log.read_text() and rid, "new lines go to the new file")
        self.assertIn(between, log.with_suffix(".1").read_text() + log.read_text())
        self.assertNotIn(last, log.with_suffix(".1").read_text())

    def certificate(self) -> bytes:
        context = ssl.create_default_context(cafile=self.tree.tls_ca)
        with ssl.create_connection(("127.0.0.1", self.tls_port), timeout=10) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as tls:
            return tls.getpeercert(binary_form=True)

    def test_a_renewed_certificate_is_used_within_seconds_and_a_broken_one_never(self):
        old = self.certificate()
        kept = Browser(self.tls_port, tls=ssl.create_default_context(cafile=self.tree.tls_ca))
        connection, answer = kept.open("GET", "/apps/echo/bytes/1000")
        answer.read()
        cert, key = self.tree.tls_cert, self.tree.tls_key
        good = (cert.read_bytes(), key.read_bytes())
        key.write_text("this is no key\n")
        until(lambda: "cannot be used" in self.tree.top.log() or "not readable" in self.tree.top.log(), "it is told", 20)
        self.assertEqual(self.certificate(), old)
        key.write_bytes(good[1])
        folder = self.tree.folder / "renewed"
        folder.mkdir()
        request, extensions = folder / "web.csr", folder / "web.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for command in (["openssl", "req", "-new", "-key", key, "-subj", "/CN=renewed", "-out", request],
                        ["openssl", "x509", "-req", "-in", request, "-CA", self.tree.tls_ca, "-CAkey", self.tree.folder / "ca.key",
                         "-CAcreateserial", "-days", "30", "-extfile", extensions, "-out", folder / "web.pem"]):
            subprocess.run(command, check=True, capture_output=True)
        shutil.move(folder / "web.pem", cert)
        until(lambda: self.certificate() != old, "the renewed certificate is shown", 20)
        self.assertEqual(kept.get("/apps/echo/bytes/1").status, 200)
        connection.close()


if __name__ == "__main__":
    main()
