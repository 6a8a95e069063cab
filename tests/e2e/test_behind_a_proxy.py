#!/usr/bin/python3
"""HAProxy in front of a tier: it ends TLS and says so by X-Forwarded-*, or passes TLS on and says whose it is by the PROXY
protocol. The tier's users, logs and limits are those of the clients and not of the proxy."""
import json
import shutil
import socket
import ssl
import subprocess

from harness.backend import Backend
from harness.browser import Browser
from harness.case import TreeCase, main
from harness.tree import Tree, free_port
from harness.waiting import until

COMMON = """
global
    maxconn 200
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
"""


class HAProxy:
    """In the foreground, with the front's port as `port`."""

    def __init__(self, tree, name: str, text: str, port: int):
        self.port = port
        file = tree.folder / f"{name}.cfg"
        file.write_text(COMMON + text)
        self.log = tree.folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", file],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(self.listens, f"HAProxy listens: {self.log.read_text()}")

    def listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class EndsTls(TreeCase):
    @classmethod
    def setUpClass(cls):
        cls.tls_port = free_port()
        cls.tree = Tree(["center"], config='[web]\nproxies = ["127.0.0.9"]\n')
        try:
            cls.tree._make_certificate()
            cls.backend = Backend()
            tier = cls.tree.top
            tier.user_add("nurse", "sakura-2001", apps=["notes"])
            tier.upstream_app("echo", cls.backend.url, access="public")
            tier.upstream_app("notes", cls.backend.url)
            tier.wait_reaches("/apps/echo/bytes/1")
            pem = cls.tree.folder / "haproxy.pem"
            pem.write_bytes(cls.tree.tls_cert.read_bytes() + cls.tree.tls_key.read_bytes())
            cls.proxy = HAProxy(cls.tree, "ends-tls", f"""
frontend users
    mode http
    bind 127.0.0.1:{cls.tls_port} ssl crt {pem}
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    default_backend tier
backend tier
    mode http
    server center 127.0.0.1:{tier.web_port} source 127.0.0.9
""", cls.tls_port)
        except BaseException:
            cls.tree.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.proxy.close()
        super().tearDownClass()

    def browser(self) -> Browser:
        return Browser(self.tls_port, tls=ssl.create_default_context(cafile=self.tree.tls_ca))

    def test_a_user_signs_on_through_it_with_the_cookie_that_is_for_tls_alone(self):
        browser = self.browser()
        browser.log_in("nurse", "sakura-2001")
        self.assertTrue([name for name in browser.cookies["localhost"] if name.startswith("__Host-")], browser.cookies)
        seen = browser.get("/apps/notes/echo").json()["headers"]
        self.assertEqual(seen["x-forwarded-proto"], "https")
        self.assertEqual(seen["x-forwarded-host"], f"localhost:{self.tls_port}")

    def test_what_a_client_says_of_himself_is_not_believed(self):
        answer = self.browser().get("/apps/echo/echo", headers={"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.8"})
        seen = answer.json()["headers"]
        self.assertEqual(seen["x-forwarded-for"], "127.0.0.1", "HAProxy names him behind what he wrote")
        self.assertNotIn("forwarded", seen)
        log = self.tree.top.state / "log/access.jsonl"
        line = until(lambda: next((one for one in log.read_text().splitlines() if answer.rid in one), None), "it is logged")
        self.assertEqual(json.loads(line)["client"], "127.0.0.1")


class PassesTlsOn(TreeCase):
    @classmethod
    def setUpClass(cls):
        cls.tls_port, cls.proxy_port = free_port(), free_port()
        cls.tree = Tree(["center"], config='[web]\nproxies = ["127.0.0.9"]\nproxies_say = "proxy-protocol"\n', tls=True,
                        port=cls.tls_port)
        try:
            cls.backend = Backend()
            cls.tree.top.upstream_app("echo", cls.backend.url, access="public")
            cls.tree.top.wait_reaches("/apps/echo/bytes/1")
            cls.proxy = HAProxy(cls.tree, "passes-tls-on", f"""
listen users
    mode tcp
    bind 127.0.0.1:{cls.proxy_port}
    server center 127.0.0.1:{cls.tls_port} send-proxy-v2 proxy-v2-options crc32c,unique-id,authority check check-send-proxy inter 200ms source 127.0.0.9
""", cls.proxy_port)
        except BaseException:
            cls.tree.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.proxy.close()
        super().tearDownClass()

    def context(self):
        return ssl.create_default_context(cafile=self.tree.tls_ca)

    def test_the_tier_sees_the_client_and_its_checks_are_no_requests(self):
        with socket.create_connection(("127.0.0.1", self.proxy_port), timeout=10, source_address=("127.0.0.77", 0)) as plain, \
                self.context().wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"GET /apps/echo/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := tls.recv(65536):
                answer += piece
        self.assertIn(b" 200 ", answer.partition(b"\r\n")[0])
        self.assertEqual(json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]["x-forwarded-for"], "127.0.0.77")
        self.assertEqual(len(Browser(self.proxy_port, tls=self.context()).get("/apps/echo/bytes/70000").body), 70000)

    def test_without_the_header_nobody_is_answered(self):
        with socket.create_connection(("127.0.0.1", self.tls_port), timeout=10, source_address=("127.0.0.9", 0)) as plain, \
                self.assertRaises((ConnectionError, ssl.SSLError)):
            self.context().wrap_socket(plain, server_hostname="localhost")
        until(lambda: "does not begin with a PROXY header" in self.tree.top.log(), "the log says why")


if __name__ == "__main__":
    main()
