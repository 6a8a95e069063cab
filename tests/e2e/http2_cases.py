"""Frames that RFC 9113 has an opinion about: (section, name, frames, what a server may say). The last is a regular expression over
harness/frames.py's words; what it does not take is a fault of the server. An error of a stream may be treated as one of the
connection (RFC 9113 section 5.4.1), and whoever has no patience may close."""
import struct

from harness.frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ACK, GOAWAY, HEADERS, PADDED, PING, PRIORITISED, PRIORITY,
                            PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, headers, request, settings)

HELLO = settings()
ONE = "1: 200 GET /1 "


def connection(*errors: str) -> str:
    return r"(1: .*; )?(goaway (" + "|".join(errors) + ")|close)"


def stream(*errors: str) -> str:
    """Stream 1 or the connection fails; a request that is no good may also be answered with 400."""
    one = "|".join(errors)
    return rf"1: (400 ?)?reset ({one}); open|1: 400( reset [A-Z_]+)?; open|{connection(*errors)}"


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def with_fields(*fields) -> bytes:
    return headers(1, block(*fields))


GOOD = ((":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/1"))
POST = request("/1", method="POST")
BLOCK = request("/1")

CASES = [
    ("3.4", "no SETTINGS first", headers(1, BLOCK), connection("PROTOCOL_ERROR") + "|" + ONE + "; open"),
    ("4.1", "an unknown frame is passed over", HELLO + frame(0xEE, 0xFF, 0, b"12345678") + headers(1, BLOCK), ONE + "; open"),
    ("4.1", "an unknown frame of a stream is passed over", HELLO + frame(0xEE, 0, 1, b"x") + headers(1, BLOCK), ONE + "; open"),
    ("4.1", "the reserved bit is passed over", HELLO + headers(0x80000001, BLOCK), ONE + "; open"),
    ("4.1", "flags without a meaning are passed over", HELLO + headers(1, BLOCK, flags=0x40) + frame(PING, 0x16, 0, b"12345678"), ONE + "; open"),
    ("4.2", "DATA above the frame size", HELLO + headers(1, POST, end_stream=False) + frame(DATA, END_STREAM, 1, bytes(16385)),
     stream("FRAME_SIZE_ERROR")),
    ("4.2", "HEADERS above the frame size", HELLO + headers(1, request("/1", ("x", "y" * 16400))), connection("FRAME_SIZE_ERROR")),
    ("4.3", "a header block that is none", HELLO + headers(1, b"\xff\xff\xff\xff\xff\xff"), connection("COMPRESSION_ERROR")),
    ("4.3", "an index that stands for nothing", HELLO + headers(1, b"\xfe"), connection("COMPRESSION_ERROR")),
    ("4.3", "a table size update beyond what was allowed", HELLO + headers(1, b"\x3f\xe2\xff\x03" + BLOCK), connection("COMPRESSION_ERROR")),
    ("5.1", "DATA of an idle stream", HELLO + frame(DATA, END_STREAM, 1, b"x"), connection("PROTOCOL_ERROR", "STREAM_CLOSED")),
    ("5.1", "RST_STREAM of an idle stream", HELLO + frame(RST_STREAM, 0, 1, number(8)), connection("PROTOCOL_ERROR")),
    ("5.1", "WINDOW_UPDATE of an idle stream", HELLO + frame(WINDOW_UPDATE, 0, 1, number(1)), connection("PROTOCOL_ERROR")),
    ("5.1", "CONTINUATION of an idle stream", HELLO + frame(CONTINUATION, END_HEADERS, 1, BLOCK), connection("PROTOCOL_ERROR")),
    ("5.1", "DATA after the end", HELLO + headers(1, BLOCK) + frame(DATA, END_STREAM, 1, b"x"),
     ONE + "; open|" + "1: (200 GET /1 )?reset STREAM_CLOSED; open|" + connection("STREAM_CLOSED", "PROTOCOL_ERROR")),
    ("5.1", "DATA after a reset of ours", HELLO + headers(1, POST, end_stream=False) + frame(RST_STREAM, 0, 1, number(8)) + frame(DATA, END_STREAM, 1, b"x"),
     "1: reset STREAM_CLOSED; open|open|" + connection("STREAM_CLOSED", "PROTOCOL_ERROR")),
    ("5.1.1", "an even stream", HELLO + headers(2, BLOCK), "goaway PROTOCOL_ERROR|close"),
    ("5.1.1", "a stream below the last one", HELLO + headers(5, request("/5")) + headers(3, request("/3")),
     r"(5: .*; )?goaway (PROTOCOL_ERROR|STREAM_CLOSED)|(5: .*; )?close"),
    ("5.1.2", "three hundred streams at once", HELLO + b"".join(headers(1 + 2 * i, request(f"/{i}", method="POST"), end_stream=False) for i in range(300)),
     r".*reset (REFUSED_STREAM|PROTOCOL_ERROR).*|.*goaway (REFUSED_STREAM|PROTOCOL_ERROR|ENHANCE_YOUR_CALM)|.*close"),
    ("5.3.1", "a stream that depends on itself", HELLO + headers(1, number(1) + b"\x0f" + BLOCK, flags=PRIORITISED), ONE + "; open|" + stream("PROTOCOL_ERROR")),
    ("5.4.1", "GOAWAY, then a request", HELLO + frame(GOAWAY, 0, 0, number(0) + number(0)) + headers(1, BLOCK), ".*"),
    ("6.1", "DATA of the connection", HELLO + frame(DATA, END_STREAM, 0, b"x"), connection("PROTOCOL_ERROR")),
    ("6.1", "padding that is all of the frame", HELLO + headers(1, POST, end_stream=False) + frame(DATA, END_STREAM | PADDED, 1, b"\x05\0\0\0\0"),
     connection("PROTOCOL_ERROR")),
    ("6.1", "padding is not content", HELLO + headers(1, POST, end_stream=False) + frame(DATA, END_STREAM | PADDED, 1, b"\x03yes\0\0\0"), "1: 200 POST /1 yes; open"),
    ("6.2", "HEADERS of the connection", HELLO + headers(0, BLOCK), connection("PROTOCOL_ERROR")),
    ("6.2", "padding longer than the block", HELLO + headers(1, b"\xf0" + BLOCK, flags=PADDED), connection("PROTOCOL_ERROR")),
    ("6.2", "padded and prioritised", HELLO + headers(1, b"\x02" + number(0) + b"\x0f" + BLOCK + b"\0\0", flags=PADDED | PRIORITISED), ONE + "; open"),
    ("6.3", "PRIORITY of the connection", HELLO + frame(PRIORITY, 0, 0, bytes(5)), connection("PROTOCOL_ERROR")),
    ("6.3", "PRIORITY of four bytes", HELLO + frame(PRIORITY, 0, 1, bytes(4)), "1: reset FRAME_SIZE_ERROR; open|" + connection("FRAME_SIZE_ERROR")),
    ("6.3", "PRIORITY of an idle stream", HELLO + frame(PRIORITY, 0, 1, bytes(5)) + headers(3, request("/3")), "3: 200 GET /3 ; open"),
    ("6.4", "RST_STREAM of the connection", HELLO + frame(RST_STREAM, 0, 0, number(8)), connection("PROTOCOL_ERROR")),
    ("6.4", "RST_STREAM of three bytes", HELLO + headers(1, POST, end_stream=False) + frame(RST_STREAM, 0, 1, bytes(3)), connection("FRAME_SIZE_ERROR")),
    ("6.5", "SETTINGS of a stream", HELLO + frame(SETTINGS, 0, 1), connection("PROTOCOL_ERROR")),
    ("6.5", "SETTINGS of five bytes", HELLO + frame(SETTINGS, 0, 0, bytes(5)), connection("FRAME_SIZE_ERROR")),
    ("6.5", "an acknowledgement with content", HELLO + frame(SETTINGS, ACK, 0, bytes(6)), connection("FRAME_SIZE_ERROR")),
    ("6.5.2", "ENABLE_PUSH of two", settings((2, 2)), connection("PROTOCOL_ERROR")),
    ("6.5.2", "a window above 2^31-1", settings((4, 0x80000000)), connection("FLOW_CONTROL_ERROR")),
    ("6.5.2", "a frame size below 2^14", settings((5, 16383)), connection("PROTOCOL_ERROR")),
    ("6.5.2", "a frame size above 2^24-1", settings((5, 1 << 24)), connection("PROTOCOL_ERROR")),
    ("6.5.2", "a setting that nobody knows", settings((0xFEED, 7)) + headers(1, BLOCK), ONE + "; open"),
    ("6.5.3", "settings in order, the last counts", settings((4, 0), (4, 65535)) + headers(1, BLOCK), ONE + "; open"),
    ("6.6", "PUSH_PROMISE of a client", HELLO + frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + BLOCK), connection("PROTOCOL_ERROR")),
    ("6.7", "PING of a stream", HELLO + frame(PING, 0, 1, bytes(8)), connection("PROTOCOL_ERROR")),
    ("6.7", "PING of six bytes", HELLO + frame(PING, 0, 0, bytes(6)), connection("FRAME_SIZE_ERROR")),
    ("6.7", "an answer to no PING", HELLO + frame(PING, ACK, 0, bytes(8)) + headers(1, BLOCK), ONE + "; open"),
    ("6.8", "GOAWAY of a stream", HELLO + frame(GOAWAY, 0, 1, bytes(8)), connection("PROTOCOL_ERROR")),
    ("6.9", "WINDOW_UPDATE of nothing", HELLO + frame(WINDOW_UPDATE, 0, 0, number(0)), connection("PROTOCOL_ERROR")),
    ("6.9", "WINDOW_UPDATE of nothing for a stream", HELLO + headers(1, POST, end_stream=False) + frame(WINDOW_UPDATE, 0, 1, number(0)), stream("PROTOCOL_ERROR")),
    ("6.9", "WINDOW_UPDATE of three bytes", HELLO + frame(WINDOW_UPDATE, 0, 0, bytes(3)), connection("FRAME_SIZE_ERROR")),
    ("6.9.1", "a window above 2^31-1 by steps", HELLO + 2 * frame(WINDOW_UPDATE, 0, 0, number(0x7FFFFFFF)), connection("FLOW_CONTROL_ERROR")),
    ("6.9.1", "a stream's window above 2^31-1 by steps", HELLO + headers(1, POST, end_stream=False) + 2 * frame(WINDOW_UPDATE, 0, 1, number(0x7FFFFFFF)),
     stream("FLOW_CONTROL_ERROR")),
    ("6.9.2", "a window of nothing holds the content back", settings((4, 0)) + headers(1, BLOCK), "1: 200; open"),
    ("6.9.2", "a window of one byte", settings((4, 1)) + headers(1, BLOCK), "1: 200 G; open"),
    ("6.10", "CONTINUATION goes on", HELLO + headers(1, BLOCK[:9], end_headers=False) + frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]), ONE + "; open"),
    ("6.10", "CONTINUATION of another stream", HELLO + headers(1, BLOCK[:9], end_headers=False) + frame(CONTINUATION, END_HEADERS, 3, BLOCK[9:]), connection("PROTOCOL_ERROR")),
    ("6.10", "another frame in the middle of a block", HELLO + headers(1, BLOCK[:9], end_headers=False) + frame(PING, 0, 0, bytes(8)) + frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]),
     connection("PROTOCOL_ERROR")),
    ("6.10", "an unknown frame in the middle of a block", HELLO + headers(1, BLOCK[:9], end_headers=False) + frame(0xEE, 0, 1) + frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]),
     connection("PROTOCOL_ERROR")),
    ("6.10", "CONTINUATION after the end of the block", HELLO + headers(1, BLOCK) + frame(CONTINUATION, END_HEADERS, 1, BLOCK), connection("PROTOCOL_ERROR")),
    ("8.1", "a second HEADERS that does not end the stream", HELLO + headers(1, POST, end_stream=False) + headers(1, block(("x", "1")), end_stream=False),
     stream("PROTOCOL_ERROR")),
    ("8.1", "trailers", HELLO + headers(1, POST, end_stream=False) + frame(DATA, 0, 1, b"yes") + headers(1, block(("x-sum", "1"))), "1: 200 POST /1 yes; open"),
    ("8.1.1", "a content shorter than Content-Length", HELLO + headers(1, request("/1", ("content-length", "5"), method="POST"), end_stream=False) + frame(DATA, END_STREAM, 1, b"abc"),
     stream("PROTOCOL_ERROR")),
    ("8.1.1", "a content longer than Content-Length", HELLO + headers(1, request("/1", ("content-length", "1"), method="POST"), end_stream=False) + frame(DATA, END_STREAM, 1, b"abc"),
     stream("PROTOCOL_ERROR")),
    ("8.1.1", "no content where Content-Length has one", HELLO + headers(1, request("/1", ("content-length", "3"), method="POST")), stream("PROTOCOL_ERROR")),
    ("8.1.1", "content where Content-Length says that there is none",
     HELLO + headers(1, request("/1", ("content-length", "0"), method="POST"), end_stream=False) + frame(DATA, END_STREAM, 1, b"a"), stream("PROTOCOL_ERROR")),
    ("8.1.1", "a content that goes on behind Content-Length",
     HELLO + headers(1, request("/1", ("content-length", "3"), method="POST"), end_stream=False) + frame(DATA, 0, 1, b"abc") + frame(DATA, END_STREAM, 1, b"d"),
     stream("PROTOCOL_ERROR")),
    ("8.1.1", "a content whose end comes in a frame of its own",
     HELLO + headers(1, request("/1", ("content-length", "3"), method="POST"), end_stream=False) + frame(DATA, 0, 1, b"abc") + frame(DATA, END_STREAM, 1),
     "1: 200 POST /1 abc; open"),
    ("8.1.1", "no content, and the end in a frame of its own",
     HELLO + headers(1, request("/1", ("content-length", "0"), method="POST"), end_stream=False) + frame(DATA, END_STREAM, 1), "1: 200 POST /1 ; open"),
    ("8.2", "a name with a capital", HELLO + with_fields(*GOOD, ("X-Big", "1")), stream("PROTOCOL_ERROR")),
    ("8.2.1", "an empty name", HELLO + with_fields(*GOOD, ("", "1")), stream("PROTOCOL_ERROR")),
    ("8.2.1", "a name with a colon", HELLO + with_fields(*GOOD, ("a:b", "1")), stream("PROTOCOL_ERROR")),
    ("8.2.1", "a name with a space", HELLO + with_fields(*GOOD, ("a b", "1")), stream("PROTOCOL_ERROR")),
    ("8.2.1", "a value with a line feed", HELLO + with_fields(*GOOD, ("x", "a\nb: c")), stream("PROTOCOL_ERROR")),
    ("8.2.1", "a value with a carriage return", HELLO + with_fields(*GOOD, ("x", "a\rb")), stream("PROTOCOL_ERROR")),
    ("8.2.1", "a value with NUL", HELLO + with_fields(*GOOD, ("x", "a\0b")), stream("PROTOCOL_ERROR")),
    ("8.2.1", "a value that begins with a space", HELLO + with_fields(*GOOD, ("x", " a")), ONE + "; open|" + stream("PROTOCOL_ERROR")),
    ("8.2.2", "Connection", HELLO + with_fields(*GOOD, ("connection", "close")), stream("PROTOCOL_ERROR")),
    ("8.2.2", "Keep-Alive", HELLO + with_fields(*GOOD, ("keep-alive", "5")), stream("PROTOCOL_ERROR")),
    ("8.2.2", "Transfer-Encoding", HELLO + with_fields(*GOOD, ("transfer-encoding", "chunked")), stream("PROTOCOL_ERROR")),
    ("8.2.2", "Upgrade", HELLO + with_fields(*GOOD, ("upgrade", "websocket")), stream("PROTOCOL_ERROR")),
    ("8.2.2", "TE of something else than trailers", HELLO + with_fields(*GOOD, ("te", "gzip")), stream("PROTOCOL_ERROR")),
    ("8.2.2", "TE of trailers", HELLO + with_fields(*GOOD, ("te", "trailers")), ONE + "; open"),
    ("8.3", "an unknown pseudo-field", HELLO + with_fields(*GOOD, (":odd", "1")), stream("PROTOCOL_ERROR")),
    ("8.3", "a pseudo-field of answers", HELLO + with_fields(*GOOD, (":status", "200")), stream("PROTOCOL_ERROR")),
    ("8.3", "a pseudo-field behind a field", HELLO + with_fields(*GOOD[:3], ("x", "1"), GOOD[3]), stream("PROTOCOL_ERROR")),
    ("8.3", "a pseudo-field among trailers", HELLO + headers(1, POST, end_stream=False) + headers(1, block((":path", "/2"))), stream("PROTOCOL_ERROR")),
    ("8.3.1", "an empty path", HELLO + with_fields(*GOOD[:3], (":path", "")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "a path without a slash", HELLO + with_fields(*GOOD[:3], (":path", "1")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "no method", HELLO + with_fields(*GOOD[1:]), stream("PROTOCOL_ERROR")),
    ("8.3.1", "no scheme", HELLO + with_fields(GOOD[0], *GOOD[2:]), stream("PROTOCOL_ERROR")),
    ("8.3.1", "no path", HELLO + with_fields(*GOOD[:3]), stream("PROTOCOL_ERROR")),
    ("8.3.1", "two methods", HELLO + with_fields(*GOOD, (":method", "POST")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "two schemes", HELLO + with_fields(*GOOD, (":scheme", "http")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "two paths", HELLO + with_fields(*GOOD, (":path", "/2")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "two authorities", HELLO + with_fields(*GOOD, (":authority", "b")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "Host instead of the authority", HELLO + with_fields(*GOOD[:2], GOOD[3], ("host", "a")), ONE + "; open"),
    ("8.3.1", "Host and another authority", HELLO + with_fields(*GOOD, ("host", "b")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "neither Host nor an authority", HELLO + with_fields(*GOOD[:2], GOOD[3]), stream("PROTOCOL_ERROR")),
    ("8.3.1", "an authority with a user", HELLO + with_fields(*GOOD[:2], (":authority", "x@a"), GOOD[3]), stream("PROTOCOL_ERROR")),
    ("8.3.1", "a path with a fragment", HELLO + with_fields(*GOOD[:3], (":path", "/1#x")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "a path with a space", HELLO + with_fields(*GOOD[:3], (":path", "/1 HTTP/1.1")), stream("PROTOCOL_ERROR")),
    ("8.3.1", "a method with a space", HELLO + with_fields((":method", "GET /x"), *GOOD[1:]), stream("PROTOCOL_ERROR")),
    ("8.5", "CONNECT with a path", HELLO + with_fields((":method", "CONNECT"), *GOOD[1:]), stream("PROTOCOL_ERROR") + "|1: (405|501); open"),
    ("10.5", "a header list of 300 KiB", HELLO + headers(1, BLOCK, end_headers=False) + b"".join(
        frame(CONTINUATION, END_HEADERS if i == 19 else 0, 1, block((f"x-{i}", "y" * 16000))) for i in range(20)),
     r"1: 431.*; open|" + stream("ENHANCE_YOUR_CALM", "PROTOCOL_ERROR", "COMPRESSION_ERROR", "INTERNAL_ERROR", "REFUSED_STREAM")),
    ("10.5.1", "eleven thousand CONTINUATION frames without a byte", HELLO + headers(1, BLOCK, end_headers=False) + 11000 * frame(CONTINUATION, 0, 1),
     r"1: 400.*|" + connection("ENHANCE_YOUR_CALM", "PROTOCOL_ERROR", "INTERNAL_ERROR")),
]
