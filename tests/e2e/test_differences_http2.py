#!/usr/bin/python3
"""Strictness in frames: each case of http2_cases.py is held against what RFC 9113 lets a server say; each of them, and each input of the
fuzz corpora of frames and of PROXY headers, goes to nginx as well, and each difference has a reason in differences.txt."""
import re
import socket
import ssl
import struct
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness.differences import Pair
from harness.frames import headers, request, settings, talk
from harness.hostile import corpus
from harness.waiting import slack
from http2_cases import CASES
from test_differences import App


class Echo(App):
    """Answers with what it was asked."""

    def answer(self, what: bytes, content: bytes, fields: dict) -> bytes:
        text = what + b" " + content
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


class Frames(Pair):
    part, app_class = "frames", Echo
    tls, hosts = True, ["a", "a.test"]
    listen, server = "ssl http2", "http2_max_concurrent_streams 128;"

    @classmethod
    def setUpClass(cls):
        cls.context = ssl.create_default_context()
        cls.context.check_hostname, cls.context.verify_mode = False, ssl.CERT_NONE
        cls.context.set_alpn_protocols(["h2"])
        super().setUpClass()

    @classmethod
    def answers(cls, port: int) -> bool:
        try:
            return talk(port, cls.context, settings() + headers(1, request("/1"))) == "1: 200 GET /1 ; open"
        except OSError:
            return False

    def said(self, port: int, messages) -> list:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda frames: talk(port, self.context, frames), messages))

    def test_each_case_is_answered_as_the_standard_says(self):
        wrong = []
        for (section, name, _, may), said in zip(CASES, self.said(self.tree.top.tls_port, [case[2] for case in CASES])):
            if not re.fullmatch(may, said):
                wrong.append(f"RFC 9113 {section}: {name}\n  said: {said}\n  may:  {may}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_each_difference_to_nginx_has_a_reason(self):
        named = [(f"RFC 9113 §{section}: {name}", frames) for section, name, frames, _ in CASES]
        # The first byte of an input says in which pieces it comes to the parser.
        named += [(f"corpus: {name}", content[1:]) for name, content in corpus("http2")]
        both = list(zip(*(self.said(port, [frames for _, frames in named]) for port in (self.tree.top.tls_port, self.port))))
        self.compare(((name, index) for index, (name, _) in enumerate(named)), lambda index: [(said, None) for said in both[index]])


class WhoAsks(App):
    def answer(self, what: bytes, content: bytes, fields: dict) -> bytes:
        text = fields.get(b"x-forwarded-for", b"nobody")
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = bytes([192, 0, 2, 1, 203, 0, 113, 7, 1, 187, 0, 80])
V6 = bytes.fromhex("20010db8000000000000000000000001" "20010db8000000000000000000000002" "01bb0050")


def proxied(version_command: int, family: int, content: bytes, length=None) -> bytes:
    return SIGNATURE + struct.pack(">BBH", version_command, family, len(content) if length is None else length) + content


HEADERS = [
    ("IPv4", proxied(0x21, 0x11, V4)),
    ("IPv6", proxied(0x21, 0x21, V6)),
    ("IPv4 in IPv6", proxied(0x21, 0x21, bytes(10) + b"\xff\xff" + V4[:4] + V6[16:])),
    ("UDP", proxied(0x21, 0x12, V4)),
    ("no family", proxied(0x21, 0x00, b"")),
    ("no family, with addresses", proxied(0x21, 0x00, V4)),
    ("a path", proxied(0x21, 0x31, bytes(216))),
    ("LOCAL", proxied(0x20, 0x00, b"")),
    ("LOCAL with addresses", proxied(0x20, 0x11, V4)),
    ("an extra", proxied(0x21, 0x11, V4 + b"\x04\0\x03abc")),
    ("an extra that is cut", proxied(0x21, 0x11, V4 + b"\x04\0\x09abc")),
    ("an extra without a length", proxied(0x21, 0x11, V4 + b"\x04")),
    ("a checksum that is wrong", proxied(0x21, 0x11, V4 + b"\x03\0\x04abcd")),
    ("a checksum of three bytes", proxied(0x21, 0x11, V4 + b"\x03\0\x03abc")),
    ("addresses too short", proxied(0x21, 0x11, V4[:8])),
    ("IPv6 with addresses of IPv4", proxied(0x21, 0x21, V4)),
    ("an unknown family", proxied(0x21, 0x51, V4)),
    ("an unknown transport", proxied(0x21, 0x15, V4)),
    ("an unknown command", proxied(0x22, 0x11, V4)),
    ("another version", proxied(0x31, 0x11, V4)),
    ("version 1", b"PROXY TCP4 192.0.2.1 203.0.113.7 443 80\r\n"),
    ("no header", b""),
    ("a signature with an error", b"\r\n\r\n\0\r\nQUIT\r" + proxied(0x21, 0x11, V4)[12:]),
    ("longer than anybody needs", proxied(0x21, 0x11, V4 + b"\x04\x4e\x20" + bytes(20000))),
    ("longer than what comes", proxied(0x21, 0x11, V4, 60000)),
    ("two headers", 2 * proxied(0x21, 0x11, V4)),
]


class ProxyHeaders(Pair):
    part, app_class = "proxy headers", WhoAsks
    config = '[web]\nproxies = ["127.0.0.1"]\nproxies_say = "proxy-protocol"\n'
    listen, server = "proxy_protocol", "real_ip_header proxy_protocol; set_real_ip_from 127.0.0.1;"
    location = "proxy_set_header X-Forwarded-For $remote_addr;"

    @classmethod
    def answers(cls, port: int) -> bool:
        return cls.said(port, HEADERS[0][1]) == "200 192.0.2.1"

    @staticmethod
    def said(port: int, header: bytes) -> str:
        """Whom the app was told of, or what became of the connection."""
        got = b""
        with socket.create_connection(("127.0.0.1", port), timeout=0.4 * slack()) as client:
            try:
                client.sendall(header + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                while piece := client.recv(65536):
                    got += piece
            except TimeoutError:
                return "waits"
            except ConnectionError:
                pass
        status = re.match(rb"HTTP/1\.1 (\d\d\d) ", got)
        body = got.partition(b"\r\n\r\n")[2].decode("latin-1") if status and status.group(1) == b"200" else ""
        return f"{status.group(1).decode()} {body}".strip() if status else "close"

    def test_each_difference_to_nginx_has_a_reason(self):
        named = HEADERS + [(f"corpus: {name}", content) for name, content in corpus("proxy_header")]
        self.compare(named, lambda header: [(self.said(port, header), None) for port in (self.tree.top.web_port, self.port)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
