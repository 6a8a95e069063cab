"""A small WebSocket client (RFC 6455): text and binary messages, ping, close."""
import base64
import hashlib
import os
import socket
import struct

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    def __init__(self, status: int, head: str):
        super().__init__(f"not upgraded: {status}")
        self.status, self.head = status, head


class WebSocket:
    def __init__(self, port: int, path: str, host: str = "localhost", headers=None, timeout: float = 30.0,
                 origin: str = ""):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.rest = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines.append(f"Origin: {origin or f'http://{host}:{port}'}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.rest:
            data = self.sock.recv(4096)
            if not data:
                raise Refused(0, self.rest.decode("latin-1"))
            self.rest += data
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        self.head = head.decode("latin-1")
        status = int(self.head.split()[1])
        if status != 101:
            self.sock.close()
            raise Refused(status, self.head)
        want = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert f"sec-websocket-accept: {want}".lower() in self.head.lower(), self.head

    def header(self, name: str) -> str:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return ""

    def send(self, data, opcode: int = 0) -> None:
        if isinstance(data, str):
            data, opcode = data.encode(), opcode or TEXT
        opcode = opcode or BINARY
        mask = os.urandom(4)
        size = len(data)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack("!H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", size)
        repeated = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big") if size else b""
        self.sock.sendall(head + mask + masked)

    def _take(self, count: int) -> bytes:
        while len(self.rest) < count:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the WebSocket ended")
            self.rest += data
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def receive(self):
        """One message as (opcode, bytes); fragments are joined, pings answered."""
        kind, message = 0, b""
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack("!H", self._take(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self._take(8))[0]
            data = self._take(size)
            opcode = first & 0x0F
            if opcode == PING:
                self.send(data, PONG)
                continue
            if opcode in (CLOSE, PONG):
                return opcode, data
            kind = opcode or kind
            message += data
            if first & 0x80:
                return kind, message

    def ended(self, seconds: float = 10.0) -> bool:
        """True when the other side ends the connection within so long."""
        self.sock.settimeout(seconds)
        try:
            while True:
                if self.receive()[0] == CLOSE:
                    return True
        except (ConnectionError, OSError) as error:
            return not isinstance(error, socket.timeout)

    def close(self) -> None:
        try:
            self.send(struct.pack("!H", 1000), CLOSE)
        except OSError:
            pass
        self.sock.close()
