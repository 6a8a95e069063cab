"""What bench/run sync moves: trees and their changes, the same for everybody who is measured.

    make(name, root)                the tree
    change(name, root, number)      the number-th change of it, in place

From a fixed seed. Both are done by programs with their usual means: written in place, appended, or written beside and renamed, as noted.
`python3 -B bench/sync_workloads.py make|change NAME FOLDER [NUMBER] [--quick]` does one by hand.
"""
import argparse
import os
import random
import sqlite3
import sys
from pathlib import Path

from sync_office import make_documents, save_documents
from sync_texts import Sources, log_lines, program_bytes

SEED = 20_261_129
MB = 1_000_000
FOLDER_FILES = 100
MAILS_FLAGGED, MAILS_ADDED = 50, 20
ROWS_LONGER = 200


def replace(path: Path, data: bytes) -> None:
    """As editors save: beside it, durable, then renamed."""
    beside = path.with_name(path.name + ".new")
    with open(beside, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    beside.rename(path)


class Workload:
    """`files`, `bytes`: how large, as the name says; --quick makes them smaller. A subclass has _make and _change."""

    def __init__(self, name: str, sources: Sources, scale: float = 1.0, seed: int = SEED):
        self.name, self.sources, self.seed = name, sources, seed
        self.scale = scale

    def told(self) -> str:
        return (self.__doc__ or "").split(".\n")[0].rstrip(".")

    def told_size(self) -> str:
        return f", {self.scale:g} of that" if self.scale != 1.0 else ""

    def chance(self, number: int) -> random.Random:
        return random.Random(f"{self.seed}/{self.name}/{number}")

    def make(self, root: Path) -> None:
        chance = self.chance(0)
        self.sources.seek(chance)
        self._make(root, chance)

    def change(self, root: Path, number: int):
        """Of small files, those that it edited."""
        chance = self.chance(number)
        self.sources.seek(chance)
        return self._change(root, chance, number)

    def count(self, full: int, least: int = 1) -> int:
        return max(int(full * self.scale), least)

    def _make(self, root: Path, chance) -> None:
        raise NotImplementedError

    def _change(self, root: Path, chance, number: int):
        raise NotImplementedError


class Small(Workload):
    """Small files in folders of 100; some of them get another line, written in place."""

    def __init__(self, name, sources, scale=1.0, files=10_000, edited=100, middle=2_500, folder_files=FOLDER_FILES):
        super().__init__(name, sources, scale)
        self.files, self.edited, self.middle, self.folder_files = self.count(files), edited, middle, folder_files

    def path(self, root: Path, n: int) -> Path:
        folder = n // self.folder_files
        kind = ("txt", "md", "html", "py", "xml")[n % 5]
        return root / f"Projects {folder // 20:02}/Ward {folder:03}/{'Übergabe' if n % 50 == 7 else 'note'} {n:05}.{kind}"

    def size(self, chance) -> int:
        return min(max(int(chance.lognormvariate(0, 1) * self.middle), 64), 40_000)

    def _make(self, root, chance):
        for n in range(self.files):
            path = self.path(root, n)
            if n % self.folder_files == 0:
                path.parent.mkdir(parents=True)
            path.write_text(self.sources.text(self.size(chance), chance))

    def _change(self, root, chance, number):
        paths = [self.path(root, n) for n in chance.sample(range(self.files), min(self.edited, self.files))]
        for path in paths:
            lines = path.read_text().split("\n")
            at = chance.randrange(len(lines))
            if chance.random() < 0.5:
                lines[at] = self.sources.sentence(chance)
            else:
                lines.insert(at, self.sources.sentence(chance))
            path.write_text("\n".join(lines))
        return paths


class First(Small):
    """Nothing is there at first, and each change is a whole tree of small files, for a user of its own."""

    def _make(self, root, chance):
        pass

    def _change(self, root, chance, number):
        super()._make(root, chance)


class Move(Small):
    """Folders of 1,000 small files; each change moves one of them below another folder."""

    def _make(self, root, chance):
        super()._make(root, chance)
        (root / "Archive").mkdir()

    def path(self, root, n):
        return root / f"Project {n // self.folder_files:02}/note {n:05}.txt"

    def _change(self, root, chance, number):
        name = f"Project {(number - 1) % (self.files // self.folder_files):02}"
        here, there = root / name, root / "Archive" / name
        if here.exists():
            here.rename(there)
        else:
            there.rename(here)


class Database(Workload):
    """A database of SQLite, 200 MB; 1,000 rows at random places are updated in one transaction, and it is closed."""

    def _make(self, root, chance):
        size = self.count(200 * MB)
        with sqlite3.connect(root / "clinic.db") as db:
            db.execute("PRAGMA synchronous = OFF")
            db.execute("CREATE TABLE visit (id INTEGER PRIMARY KEY, patient INTEGER NOT NULL, day TEXT NOT NULL, cost INTEGER NOT NULL, note TEXT NOT NULL)")
            db.execute("CREATE INDEX visit_patient ON visit (patient)")

            def rows():
                total = 0
                while total < size * 0.9:  # the rest is SQLite's
                    note = self.sources.prose.take(chance.randint(100, 900))
                    total += len(note.encode()) + 40
                    yield (chance.randrange(40_000), f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}", chance.randrange(100_000), note)

            db.executemany("INSERT INTO visit (patient, day, cost, note) VALUES (?, ?, ?, ?)", rows())
        db.close()

    def _change(self, root, chance, number):
        with sqlite3.connect(root / "clinic.db") as db:
            rows = db.execute("SELECT max(id) FROM visit").fetchone()[0]
            for row in chance.sample(range(1, rows + 1), self.count(1_000)):
                db.execute("UPDATE visit SET cost = ?, note = ? || substr(note, 40) WHERE id = ?",
                           (chance.randrange(100_000), self.sources.sentence(chance)[:40].ljust(40), row))
        db.close()


class Log(Workload):
    """A log of 100 MB, to which 1 MB is appended."""

    def _make(self, root, chance):
        (root / "ward.log").write_bytes(log_lines(self.sources, self.count(100 * MB), chance, 0))

    def _change(self, root, chance, number):
        with open(root / "ward.log", "ab") as out:
            out.write(log_lines(self.sources, self.count(MB), self.chance(0), 80 * MB + number * 10_000))


class Insert(Workload):
    """100 MB of programs, into which 1 KB is inserted at a random place; written beside and renamed."""

    def _make(self, root, chance):
        (root / "image.bin").write_bytes(program_bytes(self.count(100 * MB)))

    def _change(self, root, chance, number):
        data = (root / "image.bin").read_bytes()
        at = chance.randrange(len(data))
        replace(root / "image.bin", data[:at] + chance.randbytes(1_000) + data[at:])


class Rename(Workload):
    """A file of 100 MB gets another name."""

    def _make(self, root, chance):
        (root / "scans").mkdir()
        (root / "scans/scan 0.bin").write_bytes(program_bytes(self.count(100 * MB)))
        (root / "scans/index.txt").write_text(self.sources.text(2_000, chance))

    def _change(self, root, chance, number):
        old = next((root / "scans").glob("scan *.bin"))
        old.rename(root / f"scans/scan {number}.bin")


class Office(Workload):
    """40 documents (.docx and .odt), in each of which a paragraph is edited; saved as office programs do, every member anew."""

    def _make(self, root, chance):
        make_documents(root, self.count(40, 4), self.sources, chance)

    def _change(self, root, chance, number):
        save_documents(root, self.sources, chance, number, replace)


class Mailbox(Workload):
    """A mailbox (mbox) of 50 MB; 20 mails are added at its end and 50 get another flag; written beside and renamed."""

    def mail(self, chance, n: int) -> str:
        who = [f"{chance.choice(['anna', 'kenji', 'mei', 'lab', 'front.desk'])}@{chance.choice(['clinic', 'hospital', 'city'])}.example" for _ in range(2)]
        head = (f"From {who[0]} Mon Nov {1 + n % 28:2} {n % 24:02}:{n % 60:02}:07 2026\nReturn-Path: <{who[0]}>\nReceived: from mx{n % 7}.example "
                f"by mail.clinic.example with ESMTPS id {chance.getrandbits(60):x}\nMessage-ID: <{chance.getrandbits(80):x}@example>\nFrom: {who[0]}\n"
                f"To: {who[1]}\nSubject: {chance.choice(self.sources.lines)[:70]}\nStatus: {chance.choice(['RO', 'O', 'RO'])}\nX-Status: \n"
                f"Content-Type: text/plain; charset=utf-8\n\n")
        body = self.sources.prose.take(int(chance.lognormvariate(0, 1) * 2_000) + 100).replace("\nFrom ", "\n>From ")
        if chance.random() < 0.04:  # an attachment
            line = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            body += "\n" + "\n".join("".join(chance.choices(line, k=76)) for _ in range(chance.randint(200, 2_000)))
        return head + body.rstrip("\n") + "\n\n"

    def _make(self, root, chance):
        size, total, mails = self.count(50 * MB), 0, []
        while total < size:
            mails.append(self.mail(chance, len(mails)).encode())
            total += len(mails[-1])
        (root / "Inbox").write_bytes(b"".join(mails))

    def _change(self, root, chance, number):
        mails = (root / "Inbox").read_bytes().split(b"\n\nFrom ")
        for n in chance.sample(range(len(mails)), min(MAILS_FLAGGED, len(mails))):
            head, _, body = mails[n].partition(b"\n\n")
            if b"\nStatus: O\n" in head:
                head = head.replace(b"\nStatus: O\n", b"\nStatus: RO\n")
            else:
                head = head.replace(b"\nX-Status: ", b"\nX-Status: A", 1)
            mails[n] = head + b"\n\n" + body
        added = "".join(self.mail(chance, 10_000 * number + n) for n in range(MAILS_ADDED))
        replace(root / "Inbox", b"\n\nFrom ".join(mails) + added.encode())


class Csv(Workload):
    """A table (CSV) of 50 MB; 200 rows at random places get longer or shorter; written beside and renamed."""

    def row(self, chance, n: int) -> str:
        return (f"{n},2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02},{chance.choice(['Tokyo', 'Osaka', 'Kobe'])},{chance.randrange(40_000)},"
                f"{chance.randrange(1_000_000) / 100:.2f},\"{chance.choice(self.sources.lines).replace(chr(34), '')}\"\n")

    def _make(self, root, chance):
        size, total, rows = self.count(50 * MB), 0, ["visit,day,branch,patient,cost,note\n"]
        while total < size:
            rows.append(self.row(chance, len(rows)))
            total += len(rows[-1])
        (root / "visits.csv").write_text("".join(rows))

    def _change(self, root, chance, number):
        rows = (root / "visits.csv").read_text().split("\n")
        for n in chance.sample(range(1, len(rows) - 1), ROWS_LONGER):
            start, _, note = rows[n].rpartition(",\"")
            words = note.rstrip('"').split(" ")
            if len(words) > 3 and chance.random() < 0.5:
                del words[chance.randrange(len(words))]
            else:
                words.insert(chance.randrange(len(words) + 1), f"room {chance.randrange(1_000)}")
            rows[n] = start + ",\"" + " ".join(words) + "\""
        replace(root / "visits.csv", "\n".join(rows).encode())


NAMES = ("edit100", "none", "one", "sqlite", "append", "insert", "rename", "move", "first", "office", "mailbox", "csv")
MANY_FILES, MANY_MIDDLE = 100_000, 500


def workload(name: str, sources: Sources, scale: float = 1.0, files: int = 0) -> Workload:
    """files: how many files `none` and `one` have, if not 100,000 (with --quick 10,000)."""
    if name in ("none", "one"):
        small = Small(name, sources, 1.0 if files else scale, files or MANY_FILES, 1 if name == "one" else 0, MANY_MIDDLE)
        small.name = "many"  # the same tree for both
        return small
    if name == "move":
        return Move(name, sources, scale, folder_files=1_000 if scale == 1.0 else 100)
    kinds = {"edit100": Small, "first": First, "sqlite": Database, "append": Log, "insert": Insert, "rename": Rename, "office": Office,
             "mailbox": Mailbox, "csv": Csv}
    return kinds[name](name, sources, scale)


def main() -> int:
    parser = argparse.ArgumentParser(prog="sync_workloads.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=["make", "change"])
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("number", type=int, nargs="?", default=1, help="of the change")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--size", type=int, default=0, help="files of none and one")
    chosen = parser.parse_args()
    made = workload(chosen.name, Sources(SEED), 0.1 if chosen.quick else 1.0, chosen.size)
    if chosen.act == "make":
        chosen.folder.mkdir(parents=True, exist_ok=True)
        made.make(chosen.folder)
    else:
        made.change(chosen.folder, chosen.number)
    return 0


if __name__ == "__main__":
    sys.exit(main())
