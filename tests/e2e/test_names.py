#!/usr/bin/python3
"""Names inside a LAN: what `hasp names` prints is read and answered by the real resolvers, and `hasp doctor --as-client` says what a
terminal sees. Windows DNS cannot be run here: the text of its PowerShell is held by cmd/hasp/names_test.cpp, byte by byte."""
import json
import os
import shutil
import socket
import struct
import subprocess
import threading

from harness.backend import Backend
from harness.case import TreeCase, main
from harness.tree import Tree, binary, free_port
from harness.waiting import until

A, AAAA, MX = 1, 28, 15
LAN = ["192.0.2.10", "2001:db8::10"]
NAMES = ["clinic.example", "echo.clinic.example", "notes.clinic.example", "read.example"]


def tool(name: str) -> str:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin") or name


def ask(port: int, name: str, kind: int):
    """(rcode, {(address, ttl)}) of a question to 127.0.0.1 (RFC 1035 §4.1), or None when nothing answers."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        try:
            asking.connect(("127.0.0.1", port))
            asking.send(question)
            answer = asking.recv(4096)
        except OSError:
            return None
    place, found = len(question), set()
    for _ in range(struct.unpack(">H", answer[6:8])[0]):
        assert answer[place] & 0xC0, "a name that is not a pointer to the question"
        of, _, ttl, size = struct.unpack(">2HIH", answer[place + 2:place + 12])
        data = answer[place + 12:place + 12 + size]
        place += 12 + size
        found.add((socket.inet_ntop(socket.AF_INET if of == A else socket.AF_INET6, data), ttl))
    return answer[3] & 15, found


class Resolver:
    """A resolver's process on a loopback port, which knows nobody to ask."""

    def __init__(self, folder, name: str, arguments, port: int):
        self.port, self.log = port, folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *map(str, arguments)], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        until(self.answers, f"{name} answers")

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        return ask(self.port, "clinic.example", A)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


class OtherServer:
    """A web server that is not hasp, with the Date that it is given."""

    def __init__(self, answer: bytes, silent: bool = False):
        self.answer, self.silent, self.held = answer, silent, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            if self.silent:
                self.held.append(connection)
                continue
            with connection:
                connection.recv(4096)
                connection.sendall(self.answer)

    def close(self):
        self.socket.close()
        for connection in self.held:
            connection.close()


class Names(TreeCase):
    """An app that the local holds, and one of the center's with a host of its own that the local passes on."""

    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.tree = Tree(["center", "tokyo"], config='[web]\napp_host = "{app}.clinic.example"\n')
        try:
            cls.backend = Backend()
            cls.tokyo, center = cls.tree.bottom, cls.tree.top
            center.upstream_app("echo", cls.backend.url, access="public")
            folder = cls.tree.folder / "app-notes"
            folder.mkdir()
            (folder / "hasp-app.toml").write_text('[app]\nname = "notes"\nkind = "static"\naccess = "public"\n'
                                                  'hosts = ["read.example"]\n')
            (folder / "index.html").write_text("<p>Notes")
            center.app_add(folder, "center", "tokyo")
            cls.tokyo.wait_holds("notes")
            until(lambda: [n["name"] for n in cls.shown()["names"]] == NAMES, "tokyo knows the names of both apps")
        except BaseException:
            cls.tree.close()
            raise

    @classmethod
    def shown(cls, *arguments) -> dict:
        return json.loads(cls.tokyo.run("names", "--json", *arguments))

    def lines_for(self, resolver: str, *arguments) -> str:
        addresses = [word for ip in LAN for word in ("--address", ip)]
        return self.tokyo.run("names", "--for", resolver, "--ttl", 60, *addresses, *arguments)

    def check(self, *command) -> str:
        done = subprocess.run([tool(command[0]), *map(str, command[1:])], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def leads_here(self, port: int, *names, ttl: int = 60):
        for name in names:
            self.assertEqual(ask(port, name, A), (0, {(LAN[0], ttl)}), name)
            self.assertEqual(ask(port, name, AAAA), (0, {(LAN[1], ttl)}), name)

    def test_the_names_are_those_of_the_apps_held_here_and_of_those_that_are_passed_on(self):
        shown = self.shown()
        self.assertEqual([(n.get("app"), n.get("where")) for n in shown["names"]],
                         [(None, None), ("echo", "center"), ("notes", "tokyo"), ("notes", "tokyo")])
        self.assertEqual(shown["addresses"], ["127.0.0.1"])
        self.assertTrue([note for note in shown["notes"] if "loopback alone" in note], shown["notes"])
        text = self.tokyo.run("names")
        for word in (*NAMES, "(the portal)", "127.0.0.1", "hasp names --for", "hasp doctor --as-client http://clinic.example:"):
            self.assertIn(word, text)

    def test_a_tier_that_does_not_run_says_them_from_its_disk(self):
        before = self.shown()
        self.tokyo.stop()
        try:
            self.assertEqual(self.shown(), before)
        finally:
            self.tokyo.start()
            self.tokyo.wait_link()

    def dnsmasq(self, text: str) -> Resolver:
        port, file = free_port(), self.tree.folder / "dnsmasq.conf"
        file.write_text(f"port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\n{text}")
        self.assertIn("syntax check OK", self.check("dnsmasq", "--test", "-C", file))
        return Resolver(self.tree.folder, "dnsmasq", [tool("dnsmasq"), "-k", "-C", file, "--pid-file=", "--user=", "--group="], port)

    def test_dnsmasq_answers_with_what_is_printed_for_it(self):
        with self.dnsmasq(self.lines_for("dnsmasq")) as resolver:
            self.leads_here(resolver.port, *NAMES)
            for other in ("mail.clinic.example", "b.notes.clinic.example", "myclinic.example"):
                self.assertEqual(ask(resolver.port, other, A), (5, set()), "others are asked for elsewhere, as before")
        with self.dnsmasq(self.lines_for("dnsmasq", "--wildcard")) as resolver:
            self.leads_here(resolver.port, "clinic.example", "later.clinic.example", "a.b.clinic.example", ttl=0)
            self.leads_here(resolver.port, "read.example")

    def test_dnsmasq_asks_nobody_for_the_family_that_a_name_does_not_have(self):
        with self.dnsmasq(self.tokyo.run("names", "--for", "dnsmasq", "--address", LAN[0])) as resolver:
            for name in NAMES:
                self.assertEqual(ask(resolver.port, name, AAAA), (0, set()), name)

    def unbound(self, text: str) -> Resolver:
        port, file = free_port(), self.tree.folder / "unbound.conf"
        file.write_text(f'server:\n    interface: 127.0.0.1\n    port: {port}\n    do-daemonize: no\n    chroot: ""\n    username: ""\n'
                        f'    directory: "{self.tree.folder}"\n    pidfile: ""\n    use-syslog: no\n    module-config: "iterator"\n'
                        f'    do-not-query-localhost: no\n{text}\nforward-zone:\n    name: "."\n'
                        f'    forward-addr: 127.0.0.1@{free_port()}\n')
        self.check("unbound-checkconf", file)
        return Resolver(self.tree.folder, "unbound", [tool("unbound"), "-d", "-c", file], port)

    def test_unbound_answers_with_what_is_printed_for_it(self):
        with self.unbound(self.lines_for("unbound")) as resolver:
            self.leads_here(resolver.port, *NAMES)
            self.assertEqual(ask(resolver.port, "notes.clinic.example", MX), (0, set()), "and asks nobody for the rest")
        with self.unbound(self.lines_for("unbound", "--wildcard")) as resolver:
            self.leads_here(resolver.port, *NAMES, "later.clinic.example", "a.b.clinic.example")

    def test_named_checkzone_reads_the_zone_file(self):
        several = self.tokyo.run("names", "--for", "bind", check=False)
        self.assertEqual(several.returncode, 2, several.stdout)
        self.assertIn("clinic.example, read.example", several.stderr)
        for zone, options, owners in (("clinic.example", [], ["clinic.example.", "echo.clinic.example.", "notes.clinic.example."]),
                                      ("clinic.example", ["--wildcard"], ["*.clinic.example.", "clinic.example."]),
                                      ("read.example", [], ["read.example."]), ("example", [], [f"{n}." for n in NAMES])):
            file = self.tree.folder / "names.zone"
            file.write_text(self.lines_for("bind", "--zone", zone, *options))
            loaded = self.check("named-checkzone", "-D", zone, file)
            records = [line.split() for line in loaded.splitlines() if "\tIN " in line or " IN " in line]
            for owner in owners:
                for kind, ip in zip(("A", "AAAA"), LAN):
                    self.assertIn([owner, "60", "IN", kind, ip], records, loaded)

    def test_named_checkconf_reads_the_lines_for_named_conf(self):
        text = self.lines_for("bind", "--zone", "clinic.example")
        lines = [line[1:] for line in text.splitlines() if line.startswith(";")]
        start = next(i for i, line in enumerate(lines) if line.strip().startswith("zone "))
        conf = self.tree.folder / "named.conf"
        conf.write_text("\n".join(lines[start:start + 4]) + "\n")
        self.check("named-checkconf", conf)

    def test_windows_gets_a_zone_for_what_no_other_holds(self):
        text = self.lines_for("windows")
        self.assertEqual([line for line in text.splitlines() if line.startswith("Add-DnsServerPrimaryZone")],
                         ["Add-DnsServerPrimaryZone -Name 'clinic.example' -ZoneFile 'clinic.example.dns'",
                          "Add-DnsServerPrimaryZone -Name 'read.example' -ZoneFile 'read.example.dns'"])

    def test_what_no_resolver_can_take_is_refused(self):
        for code, word, arguments in ((2, "no IP address", ["--address", "192.0.2"]), (2, "no host name", ["--zone", "a b"]),
                                      (2, "--ttl", ["--ttl", "0"]), (2, "one of dnsmasq", ["--for", "hosts"]),
                                      (5, "no host name of this tier", ["--for", "bind", "--zone", "other.example"])):
            done = self.tokyo.run("names", *arguments, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stdout, "")


class AsClient(TreeCase):
    """From a terminal: no state, and the names of localhost, which every machine has."""

    @classmethod
    def setUpClass(cls):
        cls.tls_port = free_port()
        cls.tree = Tree(["center"], tls=True, port=cls.tls_port, config='[web]\nportal_hosts = ["localhost"]\n')
        try:
            cls.backend = Backend()
            cls.tree.top.upstream_app("echo", cls.backend.url, access="public")
        except BaseException:
            cls.tree.close()
            raise

    def see(self, *arguments, code: int = 0, **environment) -> list:
        """[(check, state, what)]"""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HASP_") and "proxy" not in k.lower()}
        done = subprocess.run([binary(), "doctor", "--as-client", "--json", *map(str, arguments)], capture_output=True, text=True,
                              timeout=60, env=kept | environment, check=False)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        said = json.loads(done.stdout)
        self.assertEqual(said["failed"] > 0, code == 1)
        for one in said["findings"]:
            self.assertEqual(one["next"] == "", one["state"] == "ok", one)
        return [(one["check"], one["state"], one["what"]) for one in said["findings"]]

    def assertSeen(self, seen, check, state, words):
        self.assertTrue([1 for c, s, what in seen if (c, s) == (check, state) and words in what], (check, state, words, seen))

    def test_a_terminal_that_trusts_the_authority_sees_that_all_is_well(self):
        seen = self.see("--ca", self.tree.tls_ca, f"https://localhost:{self.tls_port}/somewhere")
        self.assertEqual([what for check, state, what in seen if state != "ok" and check != "connect"],
                         ["its certificate is good for 1 days"])
        for check, words in (("name", "127.0.0.1"), ("connect", "connects in"), ("tls", "TLSv1.3"), ("tls", "trusted authority"),
                             ("tls", "is for localhost"), ("http", "log-in page"), ("clock", "agrees")):
            self.assertSeen(seen, check, "ok", words)

    def test_a_certificate_that_has_not_the_name_of_an_app_is_told(self):
        # OpenSSL, like browsers, takes no wildcard right below a top level.
        seen = self.see("--ca", self.tree.tls_ca, f"https://echo.localhost:{self.tls_port}", code=1)
        self.assertSeen(seen, "tls", "fail", "not for echo.localhost")
        self.assertSeen(seen, "http", "ok", "log-in page")

    def test_a_terminal_that_does_not_trust_it_is_told_so_and_what_else_is_right(self):
        seen = self.see(f"https://localhost:{self.tls_port}", code=1)
        self.assertSeen(seen, "tls", "fail", "not trusted")
        self.assertSeen(seen, "http", "ok", "log-in page")

    def test_a_host_that_the_tier_does_not_know_is_told(self):
        seen = self.see("--ca", self.tree.tls_ca, f"https://127.0.0.1:{self.tls_port}", code=1)
        self.assertSeen(seen, "http", "fail", "does not know this host name")

    def test_without_tls_on_this_machine_nothing_is_wrong(self):
        seen = self.see(f"http://localhost:{self.tree.top.web_port}")
        self.assertSeen(seen, "http", "ok", "log-in page")

    def test_it_takes_the_names_of_the_tier_at_a_state(self):
        done = self.tree.top.run("doctor", "--as-client", "--ca", self.tree.tls_ca, check=False)
        self.assertEqual(done.returncode, 1, "the certificate has not the app's name")
        for url in (f"https://localhost:{self.tls_port}/\n", f"https://echo.localhost:{self.tls_port}/\n"):
            self.assertIn(url, done.stdout)
        quiet = self.tree.top.run("doctor", "--as-client", "-q", f"http://localhost:{self.tree.top.web_port}")
        self.assertNotIn("  ok ", quiet)

    def test_another_server_a_portal_in_between_and_a_wrong_clock_are_told_apart(self):
        cases = ((b"HTTP/1.1 302 Found\r\nLocation: http://hotel.example/\r\n\r\n", "http", "fail", "leads to http://hotel.example/"),
                 (b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nIt works", "clock", "warn", "ahead of the tier's"),
                 (b"220 mail.example ESMTP\r\n", "http", "fail", "not HTTP"), (b"", "http", "fail", "closed"))
        for answer, check, state, words in cases:
            server = OtherServer(answer)
            self.assertSeen(self.see(f"http://localhost:{server.port}", code=1), check, state, words)
            self.assertSeen(self.see(f"https://localhost:{server.port}", code=1), "tls", "fail", "no TLS")
            server.close()

    def test_a_server_that_says_nothing_and_a_port_where_nobody_listens(self):
        server = OtherServer(b"", silent=True)
        self.assertSeen(self.see("--timeout", 1, f"http://localhost:{server.port}", code=1), "http", "fail", "not within 1000 ms")
        self.assertSeen(self.see("--timeout", 1, f"https://localhost:{server.port}", code=1), "tls", "fail", "not within 1000 ms")
        server.close()
        self.assertSeen(self.see(f"http://localhost:{free_port()}", code=1), "connect", "fail", "refused")

    def test_a_name_that_nobody_knows_is_a_failure_with_its_remedy(self):
        self.assertSeen(self.see("https://wiki.clinic.invalid", code=1), "name", "fail", "does not resolve")

    def test_proxies_of_the_environment_are_named(self):
        url = f"http://localhost:{self.tree.top.web_port}"
        self.assertSeen(self.see(url, http_proxy="http://me:secret@proxy.example:3128"), "proxy", "warn", "proxy.example:3128")
        self.assertSeen(self.see(url, http_proxy="http://proxy.example:3128", no_proxy="localhost"), "proxy", "ok", "spares it")

    def test_what_is_no_address_is_a_matter_of_usage(self):
        for arguments in (["--as-client", "ftp://clinic.example"], ["--as-client", "--state", self.tree.folder / "nothing"],
                          ["--as-client", "--ca", self.tree.folder / "no.pem", "localhost"], ["--as-client", "--timeout", "0", "localhost"],
                          ["https://clinic.example"]):
            done = subprocess.run([binary(), "doctor", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (arguments, done.stderr))


if __name__ == "__main__":
    main()
