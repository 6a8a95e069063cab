"""hasp and nginx side by side, and the table that says why they differ (differences.txt, whose beginning says how it is written)."""
import re
import signal
import subprocess
import unittest
from collections import Counter
from pathlib import Path

from .tree import Tree, free_port
from .waiting import until

TABLE = Path(__file__).resolve().parents[1] / "differences.txt"

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 512; }}
http {{
  access_log off; merge_slashes off; keepalive_requests 100000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  large_client_header_buffers 8 32k; client_max_body_size 10g;
  server {{
    listen 127.0.0.1:{port} {listen};
    {server}
    location / {{
      proxy_pass http://127.0.0.1:{app};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      {location}
      proxy_request_buffering off;
    }}
  }}
}}
"""


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


class Pair(unittest.TestCase):
    """hasp and nginx, an app of that class behind each, and the rows of the table that are about them."""
    app_class, part = None, ""
    hosts, config, tls = ["a"], "", False        # of hasp
    listen, server, location = "", "", ""        # of nginx: after the address, in the server, in its location

    @classmethod
    def setUpClass(cls):
        cls.app, cls.reference_app = cls.app_class(), cls.app_class()
        cls.tree = Tree(["center"], config=cls.config, tls=cls.tls)
        folder = cls.tree.folder / "app"
        folder.mkdir()
        names = ", ".join(f'"{host}"' for host in cls.hosts)
        (folder / "hasp-app.toml").write_text('[app]\nname = "open"\ntitle = "open"\nkind = "upstream"\naccess = "public"\n'
                                              f'hosts = [{names}]\n[upstream]\nurls = ["http://127.0.0.1:{cls.app.port}"]\n')
        cls.tree.top.app_add(folder)
        cls.port = free_port()
        config = cls.tree.folder / "nginx.conf"
        server = cls.server
        if cls.tls:
            server += f" ssl_certificate {cls.tree.tls_cert}; ssl_certificate_key {cls.tree.tls_key};"
        config.write_text(NGINX.format(folder=cls.tree.folder, port=cls.port, app=cls.reference_app.port, listen=cls.listen,
                                       server=server, location=cls.location))
        cls.nginx = subprocess.Popen(["/usr/sbin/nginx", "-e", str(cls.tree.folder / "error.log"), "-p", str(cls.tree.folder),
                                      "-c", str(config)])
        for port in (cls.port, cls.tree.top.tls_port if cls.tls else cls.tree.top.web_port):
            until(lambda: cls.answers(port), f"an app answers at port {port}")

    @classmethod
    def answers(cls, port: int) -> bool:
        """Whether an app answers there."""
        raise NotImplementedError

    @classmethod
    def tearDownClass(cls):
        cls.nginx.send_signal(signal.SIGTERM)
        cls.nginx.wait(20)
        cls.app.close()
        cls.reference_app.close()
        trouble = cls.tree.close()
        assert not trouble, "\n".join(trouble)

    def compare(self, messages, both):
        """both(MESSAGE) gives what a client got, and what else is to be compared, of hasp and of nginx."""
        text = TABLE.read_text().split("\n== ")
        rows = next(part for part in text if part.startswith(self.part + "\n")).splitlines()[1:]
        table = [Row(line) for line in rows if line and not line.startswith(";")]
        counts, unexplained = Counter(), []
        for name, message in messages:
            (hasp, seen), (nginx, seen_there) = both(message)
            if (hasp, seen) == (nginx, seen_there):
                counts["the same"] += 1
                continue
            row = next((row for row in table if row.fits(hasp, nginx, name)), None)
            if row is None:
                unexplained.append(f"{name}\n  hasp {hasp} {seen}\n  nginx {nginx} {seen_there}\n  {message!r:.300}")
                continue
            row.used += 1
            counts[row.why] += 1
        for why, count in counts.most_common():
            print(f"{count:5}  {why}")
        print(f"{sum(counts.values()) + len(unexplained):5}  messages, {len(unexplained)} without a reason")
        self.assertEqual(unexplained, [], "\n" + "\n".join(unexplained))
        self.assertEqual([row.line for row in table if not row.used], [], "rows that explain nothing")
