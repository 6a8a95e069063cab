#!/usr/bin/python3
"""C4: a local that knows several addresses of its parent uses the first that answers, and another when that one dies."""
import socket
import unittest

from harness.backend import Backend
from harness.case import main
from harness.gate import Gate
from harness.tree import Tier, Tree, free_port
from harness.waiting import holds_for, until

CONFIG = "[web]\nconnect_ms = 500\n"  # how long a black hole is waited for


class BlackHole:
    """An address where nobody answers, not even with a refusal: its queue of connections is full."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.fill = []
        while True:
            one = socket.socket()
            one.settimeout(0.3)
            self.fill.append(one)
            try:
                one.connect(self.listener.getsockname())
            except OSError:
                return

    def close(self):
        for one in (self.listener, *self.fill):
            one.close()


class SeveralAddresses(unittest.TestCase):
    def setUp(self):
        self.backend = Backend()
        self.addCleanup(self.backend.close)
        self.tree = Tree(["center"], config=CONFIG)
        self.addCleanup(self.end)
        self.tree.top.upstream_app("far", self.backend.url, access="public")

    def end(self):
        trouble = self.tree.close()
        self.assertEqual(trouble, [])

    def gate(self) -> Gate:
        gate = Gate(self.tree.top.link_port)
        self.addCleanup(gate.close)
        return gate

    @staticmethod
    def address_of(gate) -> str:
        return f"127.0.0.1:{gate.port}"

    def local(self, *addresses) -> Tier:
        tier = Tier(self.tree, "tokyo", self.tree.top, config=CONFIG)
        self.tree.tiers.append(tier)
        tier.start(self.tree.top.invite("tokyo", *addresses))
        return tier

    def wait_used(self, tier, address):
        until(lambda: tier.status()["link"]["state"] == "up" and tier.status()["link"]["address"] == address,
              f"the link runs over {address}: {tier.status()['link']}", 20)

    def reaches(self, tier) -> bool:
        return tier.browser().get("/apps/far/x").status == 200

    def test_a_dead_first_address_and_a_black_hole_are_passed_over_at_enrolment_and_after(self):
        hole, second = BlackHole(), self.gate()
        self.addCleanup(hole.close)
        tokyo = self.local(f"127.0.0.1:{free_port()}", hole.address, self.address_of(second))
        self.wait_used(tokyo, self.address_of(second))
        tokyo.wait_reaches("/apps/far/x")
        tokyo.restart()
        self.wait_used(tokyo, self.address_of(second))
        tokyo.wait_reaches("/apps/far/x")

    def test_when_the_address_in_use_dies_another_takes_over_for_the_link_and_for_requests(self):
        first, second = self.gate(), self.gate()
        tokyo = self.local(self.address_of(first), self.address_of(second))
        self.wait_used(tokyo, self.address_of(first))
        tokyo.wait_reaches("/apps/far/x")
        self.assertEqual(second.connections, 0, "the second address is for when the first does not answer")
        first.cut()
        self.wait_used(tokyo, self.address_of(second))
        tokyo.wait_reaches("/apps/far/x")
        holds_for(lambda: self.reaches(tokyo), "requests go over the address that answers", 1.0)
        self.assertEqual(self.tree.top.status()["children"][0]["state"], "up")
        # And back, without a preference that would keep it on what died.
        first.restore()
        second.cut()
        self.wait_used(tokyo, self.address_of(first))
        tokyo.wait_reaches("/apps/far/x")

    def test_an_address_in_use_that_falls_silent_is_left(self):
        first, second = self.gate(), self.gate()
        tokyo = self.local(self.address_of(first), self.address_of(second))
        self.wait_used(tokyo, self.address_of(first))
        first.hold()
        self.wait_used(tokyo, self.address_of(second))
        tokyo.wait_reaches("/apps/far/x")
        first.cut()

    def test_while_none_answers_status_says_what_each_of_them_said(self):
        first, second = self.gate(), self.gate()
        tokyo = self.local(self.address_of(first), self.address_of(second))
        tokyo.wait_link()
        first.cut()
        second.cut()
        tokyo.wait_link("down")
        until(lambda: all(self.address_of(g) in tokyo.status()["link"].get("reason", "") for g in (first, second)),
              f"both addresses are named: {tokyo.status()['link']}", 10)
        second.restore()
        self.wait_used(tokyo, self.address_of(second))

    def tell(self, *addresses):
        """The center's config says that it is there, and a reload makes it so."""
        top = self.tree.top
        listed = ", ".join(f'"{one}"' for one in addresses)
        top.write_config(CONFIG + f"[link]\naddresses = [{listed}]\n")
        top.run("reload")

    def dialled(self, tier) -> list:
        return [(one["from"], one["address"]) for one in tier.status()["link"]["addresses"]]

    def wait_dialled(self, tier, *wanted):
        until(lambda: self.dialled(tier) == list(wanted), f"{list(wanted)} are dialled: {self.dialled(tier)}", 20)

    def test_the_parent_says_where_it_is_and_the_child_follows_it_and_keeps_that_after_a_restart(self):
        """A8, and by a name: nobody at the child is told."""
        first, second = self.gate(), self.gate()
        tokyo = self.local(f"localhost:{first.port}")
        self.wait_used(tokyo, self.address_of(first))
        self.assertEqual(self.dialled(tokyo), [("invitation", f"localhost:{first.port}")])
        # Nobody answers at the address of a mistake, and the one that works stays.
        nowhere = f"127.0.0.1:{free_port()}"
        self.tell(nowhere)
        self.wait_dialled(tokyo, ("parent", nowhere), ("invitation", f"localhost:{first.port}"))
        tokyo.restart()
        self.wait_used(tokyo, self.address_of(first))
        tokyo.wait_reaches("/apps/far/x")
        # The right one is tried while the link stands; the invitation's stays behind it.
        self.tell(f"localhost:{second.port}", "[::1]:1")
        self.wait_dialled(tokyo, ("parent", f"localhost:{second.port}"), ("parent", "[::1]:1"),
                          ("invitation", f"localhost:{first.port}"))
        first.cut()
        self.wait_used(tokyo, self.address_of(second))
        tokyo.wait_reaches("/apps/far/x")
        tokyo.restart()
        self.wait_used(tokyo, self.address_of(second))
        tokyo.wait_reaches("/apps/far/x")
        self.assertIn(f"dials      localhost:{second.port} (told by the parent), [::1]:1 (told by the parent)",
                      tokyo.run("status"))
        # What an operator says at the child wins.
        third = self.gate()
        tokyo.write_config(CONFIG + f'[link]\nparent = ["{self.address_of(third)}"]\n')
        tokyo.run("reload")
        self.wait_dialled(tokyo, ("config", self.address_of(third)))
        second.cut()
        self.wait_used(tokyo, self.address_of(third))


if __name__ == "__main__":
    main()
