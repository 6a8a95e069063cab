#!/usr/bin/python3
"""The tour of the demo, walked by itself: a line a step with what was seen. Exit 0 only if all held.

  demo_check.py [--record FILE]     keeps what is shown as an asciicast (version 2) too
"""
import argparse
import signal
import sys
import time
import traceback

from tour_base import Screen
from tour_day import TourOfADay
from tour_night import TourOfANight
from demo_tree import furnish
from harness.tree import Tree


class Tour(TourOfADay, TourOfANight):
    def steps(self) -> dict:
        return {1: self.one_log_in, 2: self.calendar, 3: self.streams, 4: self.entitlements, 5: self.wiki_in_trouble,
                6: self.link_cut, 7: self.revocation, 8: self.note_follows_its_writer, 9: self.new_release, 10: self.night_without_the_link,
                11: self.link_returns, 12: self.bill, 13: self.last_screen}


def walk(tour, screen) -> tuple:
    passed = failed = 0
    for number, step in tour.steps().items():
        at = time.monotonic()
        screen.put(f"{number:2}. {step.__doc__}")
        try:
            seen = step()
        except Exception:  # a step that fails must not hide the ones after it
            failed += 1
            screen.put(f"    FAILED\n{traceback.format_exc()}")
            tour.tokyo.gate.restore()
            continue
        passed += 1
        screen.put(f"    ok: {seen} ({time.monotonic() - at:.1f} s)")
    return passed, failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo --check", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", metavar="FILE", help="keep what is shown as an asciicast (version 2) too")
    chosen = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(130))
    begin = time.monotonic()
    screen = Screen(chosen.record)
    tree = Tree()
    screen.hide(tree.folder, "STATE")
    passed = failed = 0
    try:
        furnish(tree)
        screen.put(f"The clinics are open: head > center > tokyo, osaka ({time.monotonic() - begin:.1f} s)")
        passed, failed = walk(Tour(tree, screen), screen)
        if failed:
            for tier in tree.tiers:
                print(f"--- {tier.name}\n{tier.log()}", file=sys.stderr)
    finally:
        trouble = tree.close()
    for line in trouble:
        failed += 1
        screen.put(f"FAILED at the end: {line}")
    screen.put(f"{passed} passed, {failed} failed ({time.monotonic() - begin:.0f} s)")
    if passed and not failed:
        screen.save()
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
