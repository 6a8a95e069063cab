#!/usr/bin/python3
"""Prints how many tests of a JUnit file passed and failed, the failed ones by name and the slowest five."""
import sys
import xml.etree.ElementTree as ET


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
    skipped = [c for c in cases if c not in failed and c.get("status") in ("notrun", "disabled")]
    slowest = sorted(cases, key=lambda c: -float(c.get("time") or 0))[:5]
    for case in failed:
        print(f"FAILED {case.get('name')}")
    for case in skipped:
        print(f"NOT RUN {case.get('name')}")
    print("slowest: " + ", ".join(f"{c.get('name')} {float(c.get('time') or 0):.1f} s" for c in slowest))
    passed = len(cases) - len(failed) - len(skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or skipped or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
