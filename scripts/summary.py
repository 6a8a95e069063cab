#!/usr/bin/python3
"""Prints how many tests of a JUnit file passed and failed, the failed ones by name, why others were skipped, and the slowest five.

A test that says why it cannot run here is skipped; one that did not run and gives no reason has failed. AGAIN.xml has those that failed
and were run once more, alone: one that passes there is UNSTABLE, and named; it counts as passed.
With --failed: nothing but the failed and unstable ones, each with the end of what it said.
"""
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def reason_of(case) -> str:
    """What GoogleTest prints for GTEST_SKIP() << REASON."""
    said = re.search(r": Skipped\n(.+)", case.findtext("system-out") or "")
    return said.group(1).strip() if said else ""


def has_failed(case) -> bool:
    if case.get("status") in ("notrun", "disabled"):
        return not reason_of(case)
    return case.get("status") == "fail" or case.find("failure") is not None


def say_why(word: str, case, lines: int = 25):
    said = (case.findtext("system-out") or "").rstrip().splitlines()
    print(f"{word} {case.get('name')}")
    print("\n".join("    " + line[:300] for line in said[-lines:]))


def main() -> int:
    only_failed = sys.argv[1:2] == ["--failed"]
    files = sys.argv[2 if only_failed else 1:]
    if len(files) not in (1, 2):
        print("usage: summary.py [--failed] RESULTS.xml [AGAIN.xml]", file=sys.stderr)
        return 2
    try:
        cases = ET.parse(files[0]).getroot().findall("testcase")
        again = ET.parse(files[1]).getroot().findall("testcase") if len(files) == 2 and Path(files[1]).exists() else []
    except (OSError, ET.ParseError) as error:
        print(f"no test results in {' '.join(files)}: {error}", file=sys.stderr)
        return 1
    passed_alone = {case.get("name") for case in again if not has_failed(case)}
    failed = [c for c in cases if has_failed(c) and c.get("name") not in passed_alone]
    unstable = [c for c in cases if has_failed(c) and c.get("name") in passed_alone]
    skipped = [c for c in cases if not has_failed(c) and reason_of(c) and c.get("status") in ("notrun", "disabled")]
    if only_failed:
        for word, some in (("UNSTABLE", unstable), ("FAILED", failed)):
            for case in some:
                say_why(word, case)
        return 1 if failed else 0
    for case in failed:
        print(f"FAILED {case.get('name')}")
    for case in unstable:
        print(f"UNSTABLE {case.get('name')}: failed beside other tests, passed alone")
    for case in skipped:
        print(f"SKIPPED {case.get('name')}: {reason_of(case)}")
    for case in cases:  # what a test counted, for whoever reads the log
        for line in re.findall(r"^(?:crash points|seeds): .*$", case.findtext("system-out") or "", re.MULTILINE):
            print(line)
    slowest = sorted(cases, key=lambda c: -float(c.get("time") or 0))[:5]
    print("slowest: " + ", ".join(f"{c.get('name')} {float(c.get('time') or 0):.1f} s" for c in slowest))
    passed = len(cases) - len(failed) - len(skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped" + (f", {len(unstable)} unstable" if unstable else ""))
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
