#!/usr/bin/python3
"""C4: text is compressed where an app is served, and arrives so through every tier. Trees of depth 2 and 4."""
import gzip
import http.client
import zlib

from harness.case import TreeCase, main

PAGE = b"<p>the same line, many times</p>\n" * 20_000
SERVER = '''
import http.server
PAGE = b"<p>the same line, many times</p>\\n" * 20_000
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        events, lines = self.path.endswith("/events"), self.path.endswith("/lines")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if events else "text/plain" if lines else "text/html")
        if not events and not lines:
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"d\\r\\ndata: first\\n\\n\\r\\n")
        self.wfile.flush()
        self.rfile.read(1)
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
'''


class Compress(TreeCase):
    @classmethod
    def furnish(cls):
        site, pages = cls.tree.folder / "site", cls.tree.folder / "pages"
        site.mkdir()
        (site / "hasp-app.toml").write_text('[app]\nname = "site"\nkind = "static"\naccess = "public"\n')
        (site / "index.html").write_bytes(PAGE)
        (site / "ready.html").write_bytes(PAGE)
        (site / "ready.html.gz").write_bytes(gzip.compress(PAGE))
        pages.mkdir()
        (pages / "hasp-app.toml").write_text(
            '[app]\nname = "pages"\nkind = "process"\naccess = "public"\n'
            '[process]\ncommand = ["/usr/bin/python3", "server.py"]\nlisten = "tcp:8000"\n')
        (pages / "server.py").write_text(SERVER)
        for folder in (site, pages):
            cls.tree.top.app_add(folder)
        for path in ("/apps/site/", "/apps/pages/"):
            cls.tree.bottom.wait_reaches(path)

    def get(self, path, coding="gzip"):
        return self.tree.bottom.browser().get(path, headers={"Accept-Encoding": coding})

    def test_a_page_of_a_static_and_of_a_process_app_arrives_compressed(self):
        for path in ("/apps/site/", "/apps/site/ready.html", "/apps/pages/"):
            small = self.get(path)
            self.assertEqual((small.status, small.headers["content-encoding"]), (200, "gzip"), path)
            self.assertIn("Accept-Encoding", small.headers["vary"])
            self.assertLess(len(small.body), len(PAGE) // 20)
            self.assertEqual(gzip.decompress(small.body), PAGE)
            plain = self.get(path, "identity")
            self.assertEqual((plain.headers.get("content-encoding"), plain.body), (None, PAGE), path)

    def test_what_streams_is_not_held_back(self):
        for path, coded in (("/apps/pages/events", False), ("/apps/pages/lines", True)):
            connection, response = self.open(path)
            try:
                bytes_seen = response.read1(4096)
                if coded:
                    unpack = zlib.decompressobj(31)
                    text = unpack.decompress(bytes_seen)
                    while not text:
                        text = unpack.decompress(response.read1(4096))
                    bytes_seen = text
                self.assertEqual(bytes_seen, b"data: first\n\n")
                self.assertEqual(response.headers.get("content-encoding"), "gzip" if coded else None)
            finally:
                connection.close()

    def open(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.tree.bottom.web_port, timeout=30)
        connection.request("GET", path, headers={"Accept-Encoding": "gzip", "Host": f"localhost:{self.tree.bottom.web_port}"})
        return connection, connection.getresponse()


if __name__ == "__main__":
    main()
