"""The cases of tests/hostile/cases.txt, whose own beginning says how it is written."""
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "s": b" ", "\\": b"\\"}
ESCAPE = re.compile(r"\\\{(\d+)\*([^}]*)\}|\\x([0-9a-f]{2})|\\(.)", re.DOTALL)


def unescaped(text: str) -> bytes:
    out, at = b"", 0
    for found in ESCAPE.finditer(text):
        out += text[at:found.start()].encode()
        times, piece, code, letter = found.groups()
        out += unescaped(piece) * int(times) if times else bytes([int(code, 16)]) if code else ESCAPES[letter]
        at = found.end()
    return out + text[at:].encode()


@dataclass
class Case:
    side: str
    rfc: str
    name: str
    message: bytes = b""
    words: list = field(default_factory=list)
    asked: str = ""  # of an answer: GET, HEAD, "GET 1.0", upgrade


def cases(side: str):
    """Those of one side: request or answer."""
    found, macros, macro, current = [], {}, None, None
    for line in (ROOT / "tests/hostile/cases.txt").read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "==":
            current = rest
        elif kind == "define":
            macro = macros[rest] = []
        elif kind == "#":
            macro = None
            rfc, _, name = rest.partition(" | ")
            found.append(Case(current, rfc, name))
        elif kind == ">" and macro is not None:
            macro.append(unescaped(rest) + b"\r\n")
        elif kind == "+":
            found[-1].message += b"".join(macros[rest])
        elif kind in (">", "-"):
            found[-1].message += unescaped(rest) + (b"\r\n" if kind == ">" else b"")
        elif kind == "to":
            found[-1].asked = rest
        elif kind == "=":
            found[-1].words = rest.split()
    return [one for one in found if one.side == side]


def corpus(target: str):
    """The inputs of a fuzz target of lib/net: (name, bytes)."""
    return [(file.name, file.read_bytes()) for file in sorted((ROOT / f"lib/net/fuzz/corpus_{target}").iterdir())]
