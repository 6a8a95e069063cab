#!/usr/bin/python3
"""F3: a tier says how it is, how old what it knows is, and what it cannot reach."""
import json

from harness.case import TreeCase, main
from harness.waiting import until

FIELDS = {"tier", "as_of", "link", "leases", "apps", "isolation", "errors", "children"}


class SaysHowItIs(TreeCase):
    def child_of_parent(self):
        parent = self.tree.tiers[-2]
        return next(c for c in parent.status()["children"] if c["name"] == self.tree.bottom.name)

    def test_status_has_the_documented_fields_in_json_and_readable_lines_without(self):
        for tier in self.tree.tiers:
            status = tier.status()
            self.assertEqual(FIELDS - status.keys(), set())
            self.assertTrue(status["isolation"])
            self.assertIn(tier.name, tier.run("status"))
        self.assertEqual(set(self.tree.bottom.processes()), {"supervisor", "front", "keeper", "spawner"})
        link = self.tree.bottom.status()["link"]
        self.assertEqual(link["state"], "up")
        self.assertTrue(link["since"])
        self.assertGreaterEqual(link["rtt_ms"], 0)

    def test_a_parent_shows_what_its_child_said_and_when_it_said_it(self):
        until(lambda: self.child_of_parent().get("status"), "the child has reported")
        child = self.child_of_parent()
        self.assertEqual(child["state"], "up")
        self.assertTrue(child["status"]["as_of"])
        self.assertTrue(child["last_seen"])

    def test_a_child_that_cannot_be_reached_is_shown_with_the_age_of_its_last_word(self):
        until(lambda: self.child_of_parent().get("status"), "the child has reported")
        self.tree.bottom.gate.cut()
        until(lambda: self.child_of_parent()["state"] != "up", "the parent has noticed")
        child = self.child_of_parent()
        self.assertTrue(child["last_seen"])
        self.assertTrue(child["status"]["as_of"], "what it said last is kept")
        self.tree.bottom.gate.restore()
        self.tree.bottom.wait_link()

    def test_status_of_a_tier_that_does_not_run_says_so(self):
        tier = self.tree.bottom
        tier.stop()
        done = tier.run("status", "--json", check=False)
        status = json.loads(done.stdout)
        self.assertFalse(status["running"])
        self.assertEqual(status["link"]["state"], "unknown")
        tier.start()
        tier.wait_link()


if __name__ == "__main__":
    main()
