"""HTTP/1.1 read a second time: by the grammar of RFC 9110 and 9112 and what lib/net/README.md refuses beside, and not by
hasp's own parsers. What hasp takes, and what it writes, is held against this reading (test_mutations.py)."""
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
EXTENSIONS = re.compile(rb"(?:[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + QUOTED + rb"))?)*\Z")
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([^ \t]+) HTTP/1\.([0-9])\Z", re.DOTALL)
STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9][0-9]) " + VALUE + rb"\Z", re.DOTALL)
# RFC 3986 section 3.3, and the four characters that browsers send as they are; in a query those and a lone "%".
PATH = re.compile(rb"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@|^\[\]]|%[0-9A-Fa-f]{2})*)+\Z")
QUERY = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%|^\[\]{}`\\]*\Z")
HOST = re.compile(rb"(?:[A-Za-z0-9\-._~]+|\[::1\])(?::[0-9]{0,5})?\Z")
METHOD_BYTES_MAX, SIZE_DIGITS_MAX, LENGTH_MAX = 32, 15, 2 ** 63 - 1


class Refused(Exception):
    """No message of HTTP/1.1."""


class Incomplete(Exception):
    """More bytes are needed."""


@dataclass
class Message:
    version: int         # the minor one
    fields: list         # (name in lower case, value)
    method: bytes = b""  # of a request
    target: bytes = b""
    status: int = 0      # of an answer
    content: bytes = b""
    keeps: bool = True   # the connection goes on behind it
    broken: bool = False  # of an answer: its content breaks off, or its chunks are none

    def values(self, name: bytes) -> list:
        return [value for known, value in self.fields if known == name]

    def members(self, name: bytes) -> list:
        return [part.strip(b" \t").lower() for value in self.values(name) for part in value.split(b",") if part.strip(b" \t")]


def line(text: bytes, at: int):
    end = text.find(b"\n", at)
    if end < 0:
        raise Incomplete
    if end == at or text[end - 1:end] != b"\r" or b"\r" in text[at:end - 1]:
        raise Refused("a bare CR or LF")
    return text[at:end - 1], end + 1


def field_lines(text: bytes, at: int):
    fields = []
    while True:
        one, at = line(text, at)
        if not one:
            return fields, at
        found = re.match(rb"(" + TOKEN + rb"):[ \t]*(" + VALUE + rb")\Z", one, re.DOTALL)
        if not found:
            raise Refused("a field line")
        fields.append((found[1].lower(), found[2].rstrip(b" \t")))


def chunks(text: bytes, at: int):
    content = b""
    while True:
        size_line, at = line(text, at)
        found = re.match(rb"([0-9a-fA-F]{1,15})(?![0-9a-fA-F])(.*)\Z", size_line, re.DOTALL)
        if not found or not EXTENSIONS.match(found[2]):
            raise Refused("a chunk's size")
        size = int(found[1], 16)
        if size == 0:
            break
        if text[at + size:at + size + 2] not in (b"\r\n", b"\r", b""):
            raise Refused("the end of a chunk")
        if len(text) < at + size + 2:
            raise Incomplete
        content, at = content + text[at:at + size], at + size + 2
    return content, field_lines(text, at)[1]


def framing(message: Message):
    """(chunked, length or None)"""
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if codings:
        if lengths or message.version == 0 or [one.lower() for one in codings] != [b"chunked"]:
            raise Refused("Transfer-Encoding")
        return True, None
    if not lengths:
        return False, None
    if len(lengths) > 1 or not re.match(rb"[0-9]{1,19}\Z", lengths[0]) or int(lengths[0]) > LENGTH_MAX:
        raise Refused("Content-Length")
    return False, int(lengths[0])


def connection(message: Message):
    options = message.members(b"connection")
    if not all(re.match(TOKEN + rb"\Z", one) for one in options):
        raise Refused("Connection")
    message.keeps = b"close" not in options and (message.version > 0 or b"keep-alive" in options)


def check_target(target: bytes):
    if re.match(rb"(?i)https?://", target):
        authority, slash, rest = target.split(b"://", 1)[1].partition(b"/")
        if b"?" in authority:  # no path
            authority, _, query = authority.partition(b"?")
            slash, rest = b"/", b"?" + query + slash + rest
        if not HOST.match(authority):
            raise Refused("the authority")
        target = b"/" + rest
    path, _, query = target.partition(b"?")
    if not PATH.match(path) or not QUERY.match(query):
        raise Refused("the target")
    for segment in path.split(b"/")[1:]:
        decoded = unquote_to_bytes(segment)
        if b"\\" in decoded or b"\0" in decoded or (decoded and not decoded.strip(b"/")) \
                or any(part.split(b";")[0] in (b".", b"..") for part in decoded.split(b"/")):
            raise Refused("a segment of the path")


def request(text: bytes, at: int = 0):
    """(Message, where the next one begins). Refused and Incomplete."""
    at += 2 if text[at:at + 2] == b"\r\n" else 0
    one, at = line(text, at)
    found = REQUEST_LINE.match(one)
    if not found or len(found[1]) > METHOD_BYTES_MAX:
        raise Refused("the request line")
    if found[1] == b"CONNECT":
        raise Refused("a tunnel, which nobody offers")
    check_target(found[2])
    fields, at = field_lines(text, at)
    message = Message(int(found[3]), fields, found[1], found[2])
    hosts = message.values(b"host")
    if len(hosts) > 1 or (not hosts and message.version > 0) or not all(HOST.match(host) for host in hosts):
        raise Refused("Host")
    expected = message.values(b"expect")
    if expected and message.version > 0 and [one.lower() for one in expected] != [b"100-continue"]:
        raise Refused("Expect")
    chunked, length = framing(message)
    connection(message)
    if chunked:
        message.content, at = chunks(text, at)
    elif length:
        if len(text) < at + length:
            raise Incomplete
        message.content, at = text[at:at + length], at + length
    return message, at


def requests(text: bytes):
    """Those in this text, and how it ends: "open", "close" (the last one wants it), "refused" or "incomplete"."""
    found, at = [], 0
    while at < len(text):
        try:
            one, at = request(text, at)
        except Incomplete:
            return found, "incomplete"
        except Refused:
            return found, "refused"
        found.append(one)
        if not one.keeps:
            return found, "close"
    return found, "open"


def answer(text: bytes, method: bytes):
    """The final answer of what an app says, and then ends the connection. Refused and Incomplete speak of the head."""
    at = 0
    while True:
        one, at = line(text, at)
        found = STATUS_LINE.match(one)
        if not found:
            raise Refused("the status line")
        fields, at = field_lines(text, at)
        message = Message(int(found[1]), fields, status=int(found[2]))
        chunked, length = framing(message)
        connection(message)
        if message.status in (101, 204) or message.status < 200:
            if message.status == 101 or chunked or length:
                raise Refused("what such an answer cannot have")
        if message.status >= 200:
            break
        if message.version == 0:
            raise Refused("an interim answer of HTTP/1.0")
    if method == b"HEAD" or message.status in (204, 304):
        return message
    if chunked:
        try:
            message.content, _ = chunks(text, at)
        except (Refused, Incomplete):
            message.broken = True
        return message
    message.content = text[at:] if length is None else text[at:at + length]
    message.broken = length is not None and len(text) < at + length
    return message
