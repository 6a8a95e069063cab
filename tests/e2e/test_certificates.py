#!/usr/bin/python3
"""Certificates for browsers: by the realm's own authority, for keys that stay on the box."""
import os
import signal
import socket
import ssl
import subprocess

from harness.case import TreeCase, main
from harness.tree import Tree, free_port
from harness.waiting import until

LAN = '[web_ca]\nnames = ["clinic.lan"]\n'


def browsers(port: int, source: str, host: str) -> str:
    return f'[web]\ntls_listen = ["127.0.0.1:{port}"]\ntls_from = "{source}"\napp_host = "{{app}}.{host}"\n'


def seen(port: int, trusted, host: str) -> dict:
    """What a browser that trusts that authority sees; an ssl.SSLError if it does not take it."""
    context = ssl.create_default_context(cafile=trusted)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, \
            context.wrap_socket(plain, server_hostname=host) as tls:
        return tls.getpeercert() | {"der": tls.getpeercert(binary_form=True)}


class OwnAuthority(TreeCase):
    @classmethod
    def setUpClass(cls):
        cls.port, cls.center_port = free_port(), free_port()
        cls.tree = Tree()
        try:
            center = cls.tree.add_center("center", config=browsers(cls.center_port, "lan", "clinic.lan") + LAN)
            cls.tokyo = cls.tree.add_local("tokyo", center, config=browsers(cls.port, "lan", "tokyo.clinic.lan"))
            cls.authority = cls.tree.folder / "clinic-ca.crt"
            cls.authority.write_text(center.run("ca", "export"))
        except BaseException:
            cls.tree.close()
            raise

    def test_browsers_that_trust_the_authority_reach_each_tier_by_its_names(self):
        # The first connection may come before the certificate: it waits for it.
        names = seen(self.port, self.authority, "wiki.tokyo.clinic.lan")["subjectAltName"]
        self.assertEqual(names, (("DNS", "tokyo.clinic.lan"), ("DNS", "*.tokyo.clinic.lan")))
        seen(self.center_port, self.authority, "clinic.lan")
        with self.assertRaises(ssl.SSLCertVerificationError):
            seen(self.port, self.authority, "osaka.clinic.lan")
        # Whoever stands at the site can hand it out too.
        exported = until(lambda: (done := self.tokyo.run("ca", "export", check=False)).returncode == 0 and done.stdout, "it is known")
        self.assertEqual(exported, self.authority.read_text())

    def test_a_new_front_shows_the_same_without_the_link(self):
        before = seen(self.port, self.authority, "tokyo.clinic.lan")["der"]
        self.tokyo.gate.cut()
        try:
            os.kill(self.tokyo.processes()["front"], signal.SIGKILL)
            self.assertEqual(seen(self.port, self.authority, "tokyo.clinic.lan")["der"], before)
            self.tokyo.restart()
            self.assertEqual(seen(self.port, self.authority, "tokyo.clinic.lan")["der"], before)
        finally:
            self.tokyo.gate.restore()
        self.tokyo.wait_link()

    def test_its_stolen_key_is_worth_nothing_for_another_name(self):
        keys, folder = self.tree.top.state / "keys", self.tree.folder
        (folder / "bank.ext").write_text("subjectAltName=DNS:bank.example\n")
        for command in (["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                         "-keyout", folder / "bank.key", "-subj", "/CN=bank", "-out", folder / "bank.csr"],
                        ["openssl", "x509", "-req", "-in", folder / "bank.csr", "-CA", keys / "web-ca.pem",
                         "-CAkey", keys / "web-ca-key.pem", "-CAcreateserial", "-CAserial", folder / "serial",
                         "-extfile", folder / "bank.ext", "-out", folder / "bank.pem"]):
            subprocess.run(command, check=True, capture_output=True)
        verdict = subprocess.run(["openssl", "verify", "-CAfile", self.authority, folder / "bank.pem"], capture_output=True,
                                 text=True, check=False)
        self.assertNotEqual(verdict.returncode, 0)
        self.assertIn("permitted subtree violation", verdict.stdout + verdict.stderr)

    def test_the_offline_report_says_when_it_ends(self):
        until(lambda: "browser_certificate" in self.tokyo.status() and "ends" in self.tokyo.status()["browser_certificate"], "it has one")
        report = self.tree.top.run("offline-report", "tokyo")
        self.assertRegex(report, r"The certificate that browsers see ends 20\d\d-.* \(by sakura center browsers 20\d\d\)")
        self.assertIn("HTTPS works for 30 days at least", report)
        self.assertIn("clinic.lan", self.tree.top.run("ca", "show"))


if __name__ == "__main__":
    main()
