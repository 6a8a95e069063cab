"""HTTP/2 as bytes (RFC 9113): frames to send, good ones and bad ones, and what a server says to them."""
import socket
import ssl
import struct

import hpack

from .waiting import slack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITISED = 0x4, 0x8, 0x20
ERRORS = ("NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR REFUSED_STREAM "
          "CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED").split()
PROBE = b"probe-of"
SILENCE_S = 0.4  # who has said nothing for so long waits for more
QUIET_S = 0.2    # after the answer to the probe


def frame(kind: int, flags: int = 0, stream: int = 0, content: bytes = b"", length=None) -> bytes:
    """`length`: what the frame says, where that is not what it has."""
    return struct.pack(">I", len(content) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + content


def block(*fields) -> bytes:
    """A header block of literal fields, never indexed (RFC 7541 section 6.2.3), as the names stand there."""
    out = b""
    for name, value in fields:
        out += b"\x10"
        for text in (name, value):
            text = text.encode("latin-1") if isinstance(text, str) else text
            out += (bytes([len(text)]) if len(text) < 127 else b"\x7f" + varint(len(text) - 127)) + text
    return out


def varint(number: int) -> bytes:
    out = b""
    while number >= 128:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def request(path: str = "/", *more, method: str = "GET", authority: str = "a", scheme: str = "https") -> bytes:
    return block((":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more)


def headers(stream: int, content: bytes, end_stream: bool = True, end_headers: bool = True, flags: int = 0) -> bytes:
    return frame(HEADERS, flags | (END_STREAM if end_stream else 0) | (END_HEADERS if end_headers else 0), stream, content)


def settings(*pairs) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def error_name(code: int) -> str:
    return ERRORS[code] if code < len(ERRORS) else str(code)


class Said:
    """What a server said on one connection."""

    def __init__(self):
        self.streams, self.goaway, self.probed, self.bytes = {}, "", False, b""
        self.decoder = hpack.Decoder()
        self.open_block = None

    def take(self, more: bytes):
        self.bytes += more
        while len(self.bytes) >= 9:
            length = int.from_bytes(self.bytes[:3], "big")
            if len(self.bytes) < 9 + length:
                return
            kind, flags, stream = struct.unpack(">BBI", self.bytes[3:9])
            self.one(kind, flags, stream & 0x7FFFFFFF, self.bytes[9:9 + length])
            self.bytes = self.bytes[9 + length:]

    def one(self, kind: int, flags: int, stream: int, content: bytes):
        words = self.streams.setdefault(stream, []) if stream else []
        if kind in (HEADERS, CONTINUATION):
            if kind == HEADERS and flags & PRIORITISED:
                content = content[5:]
            self.open_block = content if kind == HEADERS else self.open_block + content
            if flags & END_HEADERS:
                fields = dict(self.decoder.decode(self.open_block))
                if ":status" in fields and not fields[":status"].startswith("1"):
                    words.append(fields[":status"])
        elif kind == DATA and words and words[0] == "200":
            words.append(content.decode("latin-1"))
        elif kind == RST_STREAM:
            words.append("reset " + error_name(int.from_bytes(content[:4], "big")))
        elif kind == GOAWAY:
            self.goaway = error_name(int.from_bytes(content[4:8], "big"))
        elif kind == PING and flags & ACK and content == PROBE:
            self.probed = True

    def text(self, end: str) -> str:
        parts = [f"{stream}: {' '.join(word for word in words if word)}" for stream, words in sorted(self.streams.items()) if words]
        return "; ".join(parts + [f"goaway {self.goaway}" if self.goaway not in ("", "NO_ERROR") else end])


def talk(port: int, tls: ssl.SSLContext, frames: bytes) -> str:
    """What a server says to these frames and a PING behind them: each stream's status, content and reset, then the connection's
    end: "goaway ERROR", "close", "open" (the PING came back) or "waits"."""
    said = Said()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, tls.wrap_socket(plain, server_hostname="localhost") as client:
        assert client.selected_alpn_protocol() == "h2", "the server does not speak HTTP/2"
        try:
            client.sendall(PREFACE + frames + frame(PING, 0, 0, PROBE))
            while True:
                client.settimeout((QUIET_S if said.probed else SILENCE_S) * slack())
                piece = client.recv(65536)
                if not piece:
                    return said.text("close")
                said.take(piece)
        except TimeoutError:
            return said.text("open" if said.probed else "waits")
        except (ConnectionError, ssl.SSLError):
            return said.text("close")
