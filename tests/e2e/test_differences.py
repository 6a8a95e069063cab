#!/usr/bin/python3
"""Every request of the hostile cases and of the fuzz corpora goes to hasp and to nginx, with the same app behind each. What the
client gets and what the app sees must be the same, or a row of differences.txt says why it is not."""
import re
import signal
import socket
import subprocess
import threading
import unittest
from collections import Counter
from pathlib import Path

from harness.hostile import cases, corpus
from harness.tree import Tree, free_port
from harness.waiting import slack, until

TABLE = Path(__file__).resolve().parent / "differences.txt"
PROBE = b"GET /probe-of-the-test HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROBED = b"HTTP/1.1 200 OK\r\nX-Probed: yes\r\nContent-Length: 2\r\n\r\nok"
SILENCE_S = 0.4  # a proxy that has said nothing for so long waits for more

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 512; }}
http {{
  access_log off; merge_slashes off; keepalive_requests 100000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  large_client_header_buffers 8 32k; client_max_body_size 10g;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{app};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
    }}
  }}
}}
"""


class App:
    """Says "ok" to every request, and keeps what it was asked: (method and target, content)."""

    def __init__(self):
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while self.one(connection, stream):
                    pass
            except (OSError, ValueError):
                pass  # the proxy has given the request up half-way

    def one(self, connection, stream) -> bool:
        line = stream.readline()
        fields = {}
        while (text := stream.readline()) not in (b"\r\n", b""):
            name, _, value = text.partition(b":")
            fields[name.strip().lower()] = value.strip()
        if not line:
            return False
        content = b""
        if fields.get(b"transfer-encoding") == b"chunked":
            while size := int(stream.readline(), 16):
                content += stream.read(size)
                stream.readline()
            stream.readline()
        else:
            size = int(fields.get(b"content-length", 0))
            while len(content) < size:
                piece = stream.read(min(size - len(content), 65536))
                if not piece:
                    return False
                content += piece
        what = line.rsplit(b" ", 1)[0]
        if what == PROBE.split(b" HTTP")[0]:
            connection.sendall(PROBED)
            return True
        self.seen.append((what, content))
        connection.sendall(ANSWER[:-2] if what.startswith(b"HEAD ") else ANSWER)
        return True

    def close(self):
        self.listener.close()


def statuses(stream: bytes, heads_only: bool):
    """The statuses of the answers in what a proxy said, without 100, and whether the last one is whole."""
    out = []
    while stream:
        head, end, rest = stream.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.1 (\d\d\d)", head)
        if not end or not found:
            # nginx says a page without a head to HTTP/0.9, and so has no status.
            return out + ([] if found else ["page"]), bool(not found)
        status = int(found.group(1))
        length = re.search(rb"(?i)\r\nContent-Length: (\d+)", head)
        size = int(length.group(1)) if length and not (heads_only and not out) else 0
        if len(rest) < size:
            return out, False
        stream = rest[size:]
        if status != 100:
            out.append(status)
    return out, True


def outcome(port: int, message: bytes):
    """The statuses that a client gets for the message and a probe behind it, then "close", "open" or "waits"."""
    heads_only = message.startswith(b"HEAD ")
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S * slack()) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            client.sendall(message + PROBE)
            while not (b"\r\nX-Probed: yes\r\n" in got and statuses(got, heads_only)[1]):
                piece = client.recv(65536)
                if not piece:
                    return statuses(got, heads_only)[0] + ["close"]
                got += piece
            return statuses(got, heads_only)[0][:-1] + ["open"]
        except TimeoutError:
            return statuses(got, heads_only)[0] + ["waits"]
        except ConnectionError:
            return statuses(got, heads_only)[0] + ["close"]


class Row:
    """One line of the table: what hasp said, what nginx said, which messages it is about (by name), and why."""

    def __init__(self, line: str):
        self.line = line
        self.hasp, self.nginx, pattern, self.why = (part.strip() for part in line.split(" | "))
        self.pattern = re.compile(pattern)
        self.used = 0

    def fits(self, hasp: str, nginx: str, name: str) -> bool:
        return re.fullmatch(self.hasp, hasp) is not None and re.fullmatch(self.nginx, nginx) is not None \
            and self.pattern.match(name) is not None


class Differences(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.app, cls.reference_app = App(), App()
        cls.tree = Tree(["center"])
        folder = cls.tree.folder / "app"
        folder.mkdir()
        (folder / "hasp-app.toml").write_text('[app]\nname = "open"\ntitle = "open"\nkind = "upstream"\naccess = "public"\n'
                                              f'hosts = ["a"]\n[upstream]\nurls = ["http://127.0.0.1:{cls.app.port}"]\n')
        cls.tree.top.app_add(folder)
        cls.port = free_port()
        config = cls.tree.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=cls.tree.folder, port=cls.port, app=cls.reference_app.port))
        cls.nginx = subprocess.Popen(["/usr/sbin/nginx", "-e", str(cls.tree.folder / "error.log"), "-p", str(cls.tree.folder),
                                      "-c", str(config)])
        for port in (cls.port, cls.tree.top.web_port):
            until(lambda: outcome(port, b"") == ["open"], f"an app answers at port {port}")

    @classmethod
    def tearDownClass(cls):
        cls.nginx.send_signal(signal.SIGTERM)
        cls.nginx.wait(20)
        cls.app.close()
        cls.reference_app.close()
        trouble = cls.tree.close()
        assert not trouble, "\n".join(trouble)

    def messages(self):
        known = set()
        named = [(f"RFC {one.rfc}: {one.name}", one.message) for one in cases("request")]
        named += [(f"corpus: {name}", content) for name, content in corpus("request_head")]
        named += [(f"target: {name}", b"GET " + content + b" HTTP/1.1\r\nHost: a\r\n\r\n")
                  for name, content in corpus("request_target")]
        for name, message in named:
            if message not in known:
                known.add(message)
                yield name, message

    def both(self, message: bytes):
        results = []
        for port, app in ((self.tree.top.web_port, self.app), (self.port, self.reference_app)):
            app.seen.clear()
            said = " ".join(str(one) for one in outcome(port, message))
            results.append((said, list(app.seen)))
        return results

    def test_each_difference_to_nginx_has_a_reason(self):
        table = [Row(line) for line in TABLE.read_text().splitlines() if line and not line.startswith(";")]
        counts, unexplained = Counter(), []
        for name, message in self.messages():
            (hasp, seen), (nginx, seen_there) = self.both(message)
            if (hasp, seen) == (nginx, seen_there):
                counts["the same"] += 1
                continue
            row = next((row for row in table if row.fits(hasp, nginx, name)), None)
            if row is None:
                unexplained.append(f"{name}\n  hasp {hasp} {seen}\n  nginx {nginx} {seen_there}\n  {message[:200]!r}")
                continue
            row.used += 1
            counts[row.why] += 1
        for why, count in counts.most_common():
            print(f"{count:5}  {why}")
        print(f"{sum(counts.values()) + len(unexplained):5}  messages, {len(unexplained)} without a reason")
        self.assertEqual(unexplained, [], "\n" + "\n".join(unexplained))
        self.assertEqual([row.line for row in table if not row.used], [], "rows that explain nothing")


if __name__ == "__main__":
    unittest.main(verbosity=2)
