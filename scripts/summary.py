#!/usr/bin/python3
"""Prints how many tests of a JUnit file passed and failed, the failed ones by name, why others were skipped, and the slowest five.

A test that says why it cannot run here is skipped; one that did not run and gives no reason has failed.
"""
import re
import sys
import xml.etree.ElementTree as ET


def reason_of(case) -> str:
    """What GoogleTest prints for GTEST_SKIP() << REASON."""
    said = re.search(r": Skipped\n(.+)", case.findtext("system-out") or "")
    return said.group(1).strip() if said else ""


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: summary.py RESULTS.xml", file=sys.stderr)
        return 2
    try:
        cases = ET.parse(sys.argv[1]).getroot().findall("testcase")
    except (OSError, ET.ParseError) as error:
        print(f"no test results in {sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    failed = [c for c in cases if c.get("status") == "fail" or c.find("failure") is not None]
    not_run = [c for c in cases if c not in failed and c.get("status") in ("notrun", "disabled")]
    skipped = [c for c in not_run if reason_of(c)]
    failed += [c for c in not_run if not reason_of(c)]
    slowest = sorted(cases, key=lambda c: -float(c.get("time") or 0))[:5]
    for case in failed:
        print(f"FAILED {case.get('name')}")
    for case in skipped:
        print(f"SKIPPED {case.get('name')}: {reason_of(case)}")
    for case in cases:  # what a test counted, for whoever reads the log
        for line in re.findall(r"^(?:crash points|seeds): .*$", case.findtext("system-out") or "", re.MULTILINE):
            print(line)
    print("slowest: " + ", ".join(f"{c.get('name')} {float(c.get('time') or 0):.1f} s" for c in slowest))
    passed = len(cases) - len(failed) - len(skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
