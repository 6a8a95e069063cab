#!/usr/bin/python3
"""The project's habits as a test: tidy.py [--binary HASP]. Prints each breach as FILE:LINE: what, and exits 1 if there is one.

With --binary it also holds the man pages and completions against what the binary says of itself.
"""
import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES_MEDIAN_MAX, LINES_P90_MAX, LINES_MAX = 150, 450, 1000
CODE = {".cpp", ".h", ".py", ".js", ".sh", ".cmake"}
OURS = ("lib/", "cmd/", "tests/", "bench/", "scripts/", ".ci/", "apps/")

# What must not be called, and what to call instead. Words in comments and strings do not count.
BANNED_CPP = {
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\(": "no bound: use std::string or snprintf",
    r"(?<![\w.:>])(?:std::|::)?system\s*\(": "no shell: use the spawner's exec",
    r"(?<![\w.:>])(?:std::|::)?s?rand\s*\(": "use base/random.h",
    r"\bpopen\s*\(": "no shell: use posix_spawn",
    r"\b(atoi|atol|atoll)\s*\(": "use base/text.h, which refuses what is no number",
    r"\bstd::(cout|cerr)\b": "libraries log (base/log.h); commands print through their output",
    r"\bstd::this_thread::sleep_(for|until)\b|(?<![\w.:>])(?:::)?(?:u|nano)?sleep\s*\(": "wait for an event, not for a time",
    r"\busing namespace std\b": "name what is used",
}
BANNED_PY = {r"\btime\.sleep\s*\(": "wait for an event (harness/waiting.py)", r"\bos\.system\s*\(": "use subprocess",
             r"\bshell\s*=\s*True": "pass a list of arguments", r"\bpkill\b|\bkillall\b": "end processes by their id"}
BANNED_SH = {r"(^|[\s;|&])sleep\s+[0-9$]": "wait for an event, not for a time", r"\b(pkill|killall)\b": "end processes by their id"}
# Where a call is the point: the benchmarks' tools are no part of hasp; main prints.
EXEMPT = {"bench/tools/": BANNED_CPP.keys(), "cmd/": [r"\bstd::(cout|cerr)\b"], "tests/fuzz/": [r"\bstd::(cout|cerr)\b"]}

THIRD_PARTY = re.compile(r'#include\s*[<"](openssl|sqlite3|nlohmann|toml\+\+|git2|librsync|curl|zstd|argon2|seccomp|CLI)\b')
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]) + r")\b|(?i:\bfor " + r"now\b|\bnot " +
                        r"implemented yet\b)")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|root|home/[a-z]+)/")
SHARED_NOT_OURS = ("LICENSE", "package-lock.json", "doc/reference/")


class Tidy:
    def __init__(self):
        self.breaches = []
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                capture_output=True, check=True).stdout
        names = [name for name in listed.decode().split("\0") if name]
        self.files = {name: ROOT / name for name in names if (ROOT / name).is_file() and "/corpus_" not in name}
        self.texts = {}
        for name, path in self.files.items():
            try:
                self.texts[name] = path.read_text()
            except UnicodeDecodeError:
                pass  # pictures and the like

    def breach(self, name, line, text):
        self.breaches.append(f"{name}:{line}: {text}")

    def code(self):
        for name, text in self.texts.items():
            head = text[:40]
            script = head.startswith("#!") and ("bash" in head or "/sh" in head)
            python = Path(name).suffix == ".py" or (head.startswith("#!") and "python" in head)
            if name.startswith(OURS) and (Path(name).suffix in CODE or script or python):
                kind = "py" if python else "sh" if script or name.endswith(".sh") else "cpp" if Path(name).suffix in (".cpp", ".h") else "other"
                yield name, text, kind

    def lengths(self):
        counts = {name: text.count("\n") for name, text, kind in self.code() if kind == "cpp"}
        for name, text, _ in self.code():
            if text.count("\n") > LINES_MAX:
                self.breach(name, text.count("\n"), f"longer than {LINES_MAX} lines")
        if len(counts) < 10:
            return
        ordered = sorted(counts.values())
        median, p90 = statistics.median(ordered), ordered[int(len(ordered) * 0.9)]
        longest = sorted(counts, key=counts.get)[-3:]
        if median > LINES_MEDIAN_MAX:
            self.breach("lib", 0, f"median of {median:.0f} lines a file, more than {LINES_MEDIAN_MAX}")
        if p90 > LINES_P90_MAX:
            self.breach("lib", 0, f"p90 of {p90} lines a file, more than {LINES_P90_MAX}; longest: {', '.join(longest)}")
        print(f"{len(ordered)} C++ files: median {median:.0f} lines, p90 {p90}, longest {ordered[-1]} ({longest[-1]})")

    def banned_calls(self):
        tables = {"cpp": BANNED_CPP, "py": BANNED_PY, "sh": BANNED_SH, "other": {}}
        for name, text, kind in self.code():
            exempt = [p for prefix, patterns in EXEMPT.items() if name.startswith(prefix) for p in patterns]
            plain = without_comments_and_strings(text) if kind == "cpp" else text
            if name == "tests/tidy/tidy.py":
                continue
            for pattern, why in tables[kind].items():
                if pattern in exempt:
                    continue
                for found in re.finditer(pattern, plain, re.MULTILINE):
                    self.breach(name, plain.count("\n", 0, found.start()) + 1, f"{found.group(0).strip()}: {why}")

    def public_headers(self):
        for name, text in self.texts.items():
            if not re.match(r"lib/\w+/include/.*\.h$", name):
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if THIRD_PARTY.search(line):
                    self.breach(name, number, "a third-party header in a public one")
            if "#pragma once" not in text:
                self.breach(name, 1, "no #pragma once")

    def layers(self):
        table = self.texts["cmake/layers.cmake"]
        listed = re.search(r"set\(HASP_LIBS ([^)]*)\)", table).group(1).split()
        layer = {lib: int(number) for lib, number in re.findall(r"set\(HASP_LAYER_(\w+) (\d+)\)", table)}
        folders = {name.split("/")[1] for name in self.files if name.startswith("lib/")}
        for lib in sorted(folders ^ set(listed)):
            self.breach("cmake/layers.cmake", 1, f"lib/{lib} is in the table or on disk, but not in both")
        picture = self.texts["ARCHITECTURE.md"]
        for lib in listed:
            if not re.search(rf"^ {layer[lib] } +.*\b{lib}\b", picture, re.MULTILINE):
                self.breach("ARCHITECTURE.md", 1, f"the layer picture does not show {lib} at layer {layer[lib]}")
        for name, text in self.texts.items():
            owner = re.match(r"lib/(\w+)/.*\.(?:h|cpp)$", name)
            if not owner:
                continue
            for number, line in enumerate(text.splitlines(), 1):
                used = re.match(r'#include "(\w+)/', line)
                if used and used.group(1) in layer and used.group(1) != owner.group(1):
                    if layer[used.group(1)] >= layer[owner.group(1)]:
                        self.breach(name, number, f"lib/{owner.group(1)} (layer {layer[owner.group(1)]}) uses lib/{used.group(1)} "
                                                  f"(layer {layer[used.group(1)]})")

    def words(self):
        for name, text in self.texts.items():
            if name.endswith(SHARED_NOT_OURS) or name == "tests/tidy/tidy.py":
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if UNFINISHED.search(line):
                    self.breach(name, number, f"unfinished: {line.strip()[:80]}")
                if MACHINE_PATHS.search(line):
                    self.breach(name, number, f"a path of some machine: {line.strip()[:80]}")

    def lock_files(self):
        for name, text in self.texts.items():
            if name.endswith("package-lock.json") and '"resolved"' in text:
                self.breach(name, 1, "names a registry: set omit-lockfile-registry-resolved=true in .npmrc and make it anew")
            if name.endswith("package.json") and name.replace("package.json", "package-lock.json") not in self.files:
                self.breach(name, 1, "no lock file beside it")

    def scripts(self):
        for name, text in self.texts.items():
            if text.startswith("#!") and not name.startswith("completions/") and not (ROOT / name).stat().st_mode & 0o111 \
                    and not name.startswith(("apps/", "tests/e2e/")) and name != "scripts/lib.sh":
                self.breach(name, 1, "begins with #! but is not executable")
            if text.startswith("#!") and "python" in text[:40] and not text.startswith("#!/usr/bin/python3\n"):
                self.breach(name, 1, "scripts use Debian's own /usr/bin/python3")

    def manual(self, binary):
        """Manual pages and completions are what the binary writes from its tables, and the help names nothing else."""
        def run(*arguments):
            return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=30, check=False)

        with tempfile.TemporaryDirectory(prefix="hasp-tidy.") as folder:
            made = run("help-dump", "all", folder)
            if made.returncode != 0:
                self.breach("cmd/hasp", 1, f"hasp help-dump all: exit {made.returncode} {made.stderr.strip()}")
                return
            written = {str(p.relative_to(folder)): p.read_text() for p in Path(folder).rglob("*") if p.is_file()}
        committed = {name: text for name, text in self.texts.items() if re.match(r"(man/hasp[\w.-]*\.[0-9]|completions/.+)$", name)}
        for name in sorted(written.keys() | committed.keys()):
            if written.get(name) != committed.get(name):
                self.breach(name, 1, "is not what the binary says: run  hasp help-dump all .  in the project's folder")
        self.help_is_in_the_manual(run, written)

    def help_is_in_the_manual(self, run, written):
        shown = run("--help").stdout
        commands = re.findall(r"^  ([a-z][a-z-]*)(?: {2,}|$)", shown, re.MULTILINE)
        if len(commands) < 6:
            self.breach("cmd/hasp", 1, f"hasp --help lists only {commands}")
        pages = {name: text.replace("\\-", "-") for name, text in written.items() if name.endswith(".1")}
        for command in commands:
            of_command = "".join(text for name, text in pages.items() if re.match(rf"man/hasp-{command}(-\w+)*\.1$", name))
            if not of_command:
                self.breach("man", 1, f"no page for hasp {command}")
            verbs = re.findall(rf"^  (?:hasp )?(?:{command} )?([a-z][a-z-]*)(?: {{2,}}|$)", run(command, "--help").stdout, re.MULTILINE)
            for words in [[command], *([command, verb] for verb in verbs)]:
                for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run(*words, "--help").stdout))):
                    if option not in of_command + pages.get("man/hasp.1", ""):
                        self.breach("man", 1, f"{option} of `hasp {' '.join(words)} --help` is in no page of it")
            for name in ("completions/hasp.bash", "completions/_hasp", "completions/hasp.fish"):
                if not re.search(rf"\b{command}\b", written.get(name, "")):
                    self.breach(name, 1, f"does not know hasp {command}")


def without_comments_and_strings(text: str) -> str:
    """The same lines with comments and the insides of strings blanked."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found.group(0))

    return re.sub(r'R"(\w*)\((?:.|\n)*?\)\1"|//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"', blank, text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", help="the hasp to hold the manual against; default: the last build's")
    chosen = parser.parse_args()
    tidy = Tidy()
    for check in (tidy.lengths, tidy.banned_calls, tidy.public_headers, tidy.layers, tidy.words, tidy.lock_files, tidy.scripts):
        check()
    binary = chosen.binary or next((str(p) for p in (ROOT / f"build/{d}/cmd/hasp/hasp" for d in ("dev", "release", "asan")) if p.exists()), "")
    if binary:
        tidy.manual(binary)
    else:
        tidy.breach("build", 0, "there is no binary to hold the manual against: build first, or give --binary")
    for line in tidy.breaches:
        print(line)
    print(f"tidy: {len(tidy.files)} files, {len(tidy.breaches)} breaches")
    return 1 if tidy.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
