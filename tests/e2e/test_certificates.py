#!/usr/bin/python3
"""Certificates for browsers: by the realm's own authority, and by ACME, for keys that stay on the box."""
import json
import os
import signal
import socket
import ssl
import subprocess
import urllib.request

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


class Outside(TreeCase):
    """Pebble is the test server of those who run Let's Encrypt: it verifies signatures, nonces and records like theirs, and
    refuses a quarter of all nonces."""
    @classmethod
    def setUpClass(cls):
        cls.port, acme, cls.manage, dns, txt = (free_port() for _ in range(5))
        cls.tree, cls.servers = Tree(), []
        try:
            cls.tree._make_certificate()
            folder = cls.tree.folder
            (folder / "pebble.json").write_text(json.dumps({"pebble": {
                "listenAddress": f"127.0.0.1:{acme}", "managementListenAddress": f"127.0.0.1:{cls.manage}",
                "certificate": str(cls.tree.tls_cert), "privateKey": str(cls.tree.tls_key), "httpPort": 5002, "tlsPort": 5001}}))
            hook = folder / "dns-hook"
            hook.write_text(f"""#!/usr/bin/python3
import json, sys, urllib.request
act, name, value = sys.argv[1:]
open("{folder}/hook.log", "a").write(f"{{act}} {{name}} {{value}}\\n")
urllib.request.urlopen("http://127.0.0.1:{txt}/" + act + "-txt", json.dumps({{"host": name + ".", "value": value}}).encode(), timeout=10)
""")
            hook.chmod(0o755)
            cls.serve("pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{txt}", "-http01", "",
                      "-https01", "", "-tlsalpn01", "")
            cls.serve("pebble", "-config", folder / "pebble.json", "-dnsserver", f"127.0.0.1:{dns}", "-strict")
            for port in (acme, txt):
                until(lambda p=port: cls.accepts(p), "the servers are there")
            center = cls.tree.add_center("center", config=f"""[acme]
directory = "https://localhost:{acme}/dir"
ca = "{cls.tree.tls_ca}"
contact = "mailto:it@clinic.example"
names = ["clinic.example"]
dns_hook = "{hook}"
dns_wait_s = 0
""")
            cls.tokyo = cls.tree.add_local("tokyo", center, config=browsers(cls.port, "acme", "tokyo.clinic.example"))
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for server in cls.servers:
            server.kill()
            server.wait()
        super().tearDownClass()

    @classmethod
    def serve(cls, *command):
        with open(cls.tree.folder / f"{command[0]}.log", "wb") as log:
            cls.servers.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, command)], stdout=log, stderr=log,
                                                env=os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "25"}))

    @staticmethod
    def accepts(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def test_a_box_has_a_public_certificate_that_its_center_asked_for(self):
        def arrived():
            return "ends" in self.tokyo.status()["browser_certificate"]
        until(arrived, "the certificate is there", 60)
        context = ssl.create_default_context(cafile=self.tree.tls_ca)
        root = self.tree.folder / "root.pem"
        with urllib.request.urlopen(f"https://localhost:{self.manage}/roots/0", context=context, timeout=10) as answer:
            root.write_bytes(answer.read())
        names = seen(self.port, root, "wiki.tokyo.clinic.example")["subjectAltName"]
        self.assertEqual(sorted(names), [("DNS", "*.tokyo.clinic.example"), ("DNS", "tokyo.clinic.example")])
        # Each record that was set was taken away; the box's key is at the box alone.
        said = [line.split() for line in (self.tree.folder / "hook.log").read_text().splitlines()]
        self.assertEqual({tuple(x[1:]) for x in said if x[0] == "set"}, {tuple(x[1:]) for x in said if x[0] == "clear"})
        self.assertEqual({x[1] for x in said}, {"_acme-challenge.tokyo.clinic.example"})
        self.assertNotIn("PRIVATE", (self.tree.top.state / "keys/acme.json").read_text())
        self.assertEqual([x["state"] for x in self.tree.top.status()["acme"]["orders"]], ["ready"])
        self.assertIn("(by Pebble", self.tree.top.run("offline-report", "tokyo"))


if __name__ == "__main__":
    main()
