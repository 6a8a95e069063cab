"""Contents for bench/run sync, out of files that Debian ships, so that they compress as people's files do.

Texts are of perl, python3, cmake and g++ (which the build and the tests need) and of /usr/share/doc; programs are those of g++. Where
other versions or packages are installed, other bytes come out, the same for everybody who is measured.
"""
import gzip
import random
import re
import zlib
from pathlib import Path

CODE = (("/usr/lib/python3.11", ".py"), ("/usr/share/perl/5.36.0", ".pm"), ("/usr/share/cmake-3.25", ".cmake"),
        ("/usr/include/c++/12", ""), ("/usr/include/linux", ".h"))
PROSE = (("/usr/share/doc", ""), ("/usr/share/perl/5.36.0", ".pod"), ("/usr/share/common-licenses", ""))
PROGRAMS = [f"/usr/lib/gcc/x86_64-linux-gnu/12/{name}" for name in ("cc1plus", "cc1", "lto1")]
TEXT_BYTES_MIN, TEXT_BYTES_MAX = 400, 200_000  # of a file that is taken, and what is taken of it
POOL_BYTES_MIN = 8_000_000


def texts_below(roots) -> list:
    """The texts, each once, in the order of their paths."""
    found, known = [], set()
    for root, suffix in roots:
        for path in sorted(Path(root).rglob("*" + suffix)):
            if path.is_symlink() or not path.is_file() or path.suffix in (".pyc", ".png", ".gif", ".svg", ".pdf", ".xz", ".bz2"):
                continue
            raw = path.read_bytes()[:TEXT_BYTES_MAX]
            if path.suffix == ".gz":
                try:
                    raw = zlib.decompressobj(31).decompress(raw, TEXT_BYTES_MAX)
                except zlib.error:
                    continue
            if len(raw) < TEXT_BYTES_MIN or b"\0" in raw or hash(raw) in known:
                continue
            known.add(hash(raw))
            found.append(raw)
    return found


class Texts:
    """Pieces of one shuffled text: none is given out twice before all of it was."""

    def __init__(self, roots, chance: random.Random):
        texts = texts_below(roots)
        chance.shuffle(texts)
        self.all = b"\n".join(texts)
        if len(self.all) < POOL_BYTES_MIN:
            raise SystemExit(f"bench/run sync: there are only {len(self.all)} bytes of text below {', '.join(r for r, _ in roots)}. "
                             "Install the packages of scripts/packages.txt")
        self.at = 0

    def take(self, size: int) -> str:
        if self.at + size >= len(self.all):
            self.at = self.at % 997 + 1  # other borders than the first time
        piece = self.all[self.at:self.at + size]
        self.at += size
        return piece.decode("utf-8", "ignore")

    def seek(self, chance: random.Random) -> None:
        self.at = chance.randrange(len(self.all))


class Sources:
    """What workloads are made from. It is read once and stays in memory."""

    def __init__(self, seed: int):
        self.prose = Texts(PROSE, random.Random(f"{seed}/prose"))
        self.code = Texts(CODE, random.Random(f"{seed}/code"))
        self.lines = [line for line in re.sub(r"[^\x20-\x7e\n]", "", self.prose.all[:6_000_000].decode("ascii", "ignore")).split("\n") if 20 < len(line) < 120]

    def seek(self, chance: random.Random) -> None:
        """Another place for each tree and each change."""
        self.prose.seek(chance)
        self.code.seek(chance)

    def text(self, size: int, chance: random.Random) -> str:
        """A file of a person: prose or code, with a first line of its own."""
        kind = self.prose if chance.random() < 0.6 else self.code
        return f"{chance.getrandbits(48):x} {chance.choice(self.lines)}\n{kind.take(max(size - 60, 1))}"

    def sentence(self, chance: random.Random) -> str:
        return " ".join(chance.choice(self.lines).strip() for _ in range(chance.randint(1, 2)))


def program_bytes(size: int) -> bytes:
    """The compilers' own programs, one after the other."""
    out = b""
    for name in PROGRAMS:
        out += Path(name).read_bytes()
    if len(out) < size:
        out += out[:size - len(out)]
    return out[:size]


def log_lines(sources: Sources, size: int, chance: random.Random, begin_s: int) -> bytes:
    """A server's log: times, programs, numbers, and messages that come again and again."""
    hosts = ["sakura", "tokyo", "osaka"]
    programs = ["sshd", "kernel", "postfix/smtpd", "cron", "nginx", "hasp", "systemd", "dhcpd"]
    messages = chance.sample(sources.lines, 400)
    starts = [f"{host} {program}[" for host in hosts for program in programs]
    lines, total, now = [], 0, begin_s
    while total < size:
        bits = chance.getrandbits(64)
        now += bits & 1
        line = (f"2026-{1 + now // 2592000 % 12:02}-{1 + now // 86400 % 28:02}T{now // 3600 % 24:02}:{now // 60 % 60:02}:{now % 60:02}.{bits % 1000:03}Z "
                f"{starts[bits >> 10 & 15]}{bits >> 14 & 16383}]: {messages[(bits >> 28) % len(messages)]} "
                f"from 10.{bits >> 32 & 255}.{bits >> 40 & 255}.{bits >> 48 & 255} in {bits >> 50} ms\n")
        lines.append(line)
        total += len(line)
    return "".join(lines).encode()[:size - 1] + b"\n"
