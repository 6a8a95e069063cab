"""An upstream server for tests: it says what it was sent, counts, streams and keeps what is put.

    /…/echo…        what arrived, as JSON: method, path, headers, body's length and SHA-256
    /…/bytes/N      N bytes, fast
    /…/events       server-sent events, one each time Backend.emit() is called
    /…/ws…          a WebSocket that answers what it is sent
    /…/old          an HTTP/1.0 answer that ends with the connection
    /…/kept…?CC     with Cache-Control: CC (percent-encoded) and an entity tag: who asked, and how many of these there were;
                    /…/kept-type…: of a type, and a 304 says a more exact one
"""
import base64
import hashlib
import json
import queue
import socket
import struct
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .websocket import GUID

BLOCK = bytes(range(256)) * 256  # 64 KiB


class _Server(ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that leaves is no fault of the backend's
            super().handle_error(request, client_address)


class Backend:
    def __init__(self):
        self.requests = []  # (method, path, headers) in the order of arrival
        self.streams = []
        self.kept = 0
        outer = self

        class Handler(_Handler):
            backend = outer

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def emit(self, text: str) -> None:
        for stream in self.streams:
            stream.put(text)

    def end_streams(self) -> None:
        while self.streams:
            self.streams.pop().put(None)

    def close(self) -> None:
        self.end_streams()
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend = None

    def log_message(self, *_):
        pass

    def _body(self):
        digest, size = hashlib.sha256(), 0
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while True:
                length = int(self.rfile.readline().split(b";")[0], 16)
                if length == 0:
                    while self.rfile.readline() not in (b"\r\n", b""):
                        pass
                    break
                size += self._swallow(length, digest)
                self.rfile.readline()
        else:
            size = self._swallow(int(self.headers.get("Content-Length") or 0), digest)
        return size, digest.hexdigest()

    def _swallow(self, length, digest):
        left = length
        while left:
            data = self.rfile.read(min(left, 1 << 18))
            if not data:
                break
            digest.update(data)
            left -= len(data)
        return length - left

    def _send(self, body: bytes, kind: str, status: int = 200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _any(self):
        headers = {}
        for name, value in self.headers.items():
            headers[name.lower()] = headers[name.lower()] + ", " + value if name.lower() in headers else value
        self.backend.requests.append((self.command, self.path, headers))
        parts = self.path.split("?")[0].strip("/").split("/")
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self._websocket()
        if "bytes" in parts:
            return self._bytes(int(parts[-1]))
        if parts[-1] == "events":
            return self._events()
        if parts[-1] == "old":
            self.close_connection = True
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nended by the connection")
            return None
        if parts[-1].startswith("kept"):
            return self._kept()
        size, digest = self._body()
        seen = {"method": self.command, "path": self.path, "headers": headers, "size": size, "sha256": digest}
        return self._send(json.dumps(seen).encode(), "application/json")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_PROPFIND = do_REPORT = _any

    def _kept(self):
        self._body()
        if self.headers.get("If-None-Match") == '"kept"':
            self.send_response(304)
            self.send_header("ETag", '"kept"')
            if "/kept-type" in self.path:
                self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.end_headers()
            return
        self.backend.kept += 1
        body = f"{self.headers.get('Remote-User', 'nobody')} {self.backend.kept}".encode()
        self.send_response(200)
        self.send_header("Cache-Control", urllib.parse.unquote(self.path.partition("?")[2]))
        self.send_header("ETag", '"kept"')
        if "/kept-type" in self.path:
            self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _bytes(self, count):
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(count))
        self.end_headers()
        if self.command == "HEAD":
            return
        while count:
            part = BLOCK[:min(count, len(BLOCK))]
            self.wfile.write(part)
            count -= len(part)

    def _events(self):
        stream = queue.Queue()
        self.backend.streams.append(stream)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            text = stream.get()
            if text is None:
                self.wfile.write(b"0\r\n\r\n")
                return
            event = f"data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()

    def _websocket(self):
        accept = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()).decode()
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            size = head[1] & 0x7F
            if size == 126:
                size = struct.unpack("!H", self.rfile.read(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self.rfile.read(8))[0]
            mask = self.rfile.read(4)
            data = self.rfile.read(size)
            plain = (int.from_bytes(data, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big"))
            data = plain.to_bytes(size, "big") if size else b""
            opcode = head[0] & 0x0F
            if opcode == 9:
                opcode = 10
            out = bytes([0x80 | opcode])
            out += bytes([size]) if size < 126 else bytes([126]) + struct.pack("!H", size) if size < 65536 \
                else bytes([127]) + struct.pack("!Q", size)
            self.connection.sendall(out + data)
            if opcode == 8:
                self.connection.shutdown(socket.SHUT_WR)
                return
