#!/usr/bin/python3
"""A link's budget of a month: what is over it waits and is told of; users go on, and a larger one counts at the reload."""
import os

from harness.case import TreeCase, main
from harness.tree import Tree
from harness.waiting import until

RELEASE_MIB, BUDGET_MIB = 3, 1


class Budget(TreeCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = Tree(["center", "tokyo"], config=f"[link]\nbudget_releases_mib = {BUDGET_MIB}\nbudget_users_mib = 50\n")

    def app(self, name: str, mib: float):
        folder = self.tree.folder / name
        folder.mkdir()
        (folder / "hasp-app.toml").write_text(f'[app]\nname = "{name}"\ntitle = "{name}"\nkind = "static"\naccess = "public"\n')
        (folder / "index.html").write_text(f"<h1>{name}</h1>\n")
        (folder / "noise").write_bytes(os.urandom(int(mib * (1 << 20))))
        return folder

    def budget(self, tier, purpose: str = "packs") -> dict:
        return next((one for one in tier.status().get("budgets", ()) if one["purpose"] == purpose), {})

    def test_a_release_over_the_budget_waits_and_comes_when_it_is_raised_while_users_go_on(self):
        center, tokyo = self.tree["center"], self.tree["tokyo"]
        center.app_add(self.app("leaflets", 0.01))  # at the center: users of tokyo are passed on
        tokyo.wait_reaches("/apps/leaflets/")
        center.app_add(self.app("atlas", RELEASE_MIB), "tokyo")
        # It waits from the moment of the refusal; how much, the next look at what is missing says.
        waits = until(lambda: next((w for w in [self.budget(tokyo).get("waits")] if w and w["bytes"]), None), "it waits")
        self.assertAlmostEqual(waits["bytes"] / (1 << 20), RELEASE_MIB - BUDGET_MIB, delta=0.2)
        self.assertIn("budget_releases_mib", waits["next"])
        self.assertIn("KiB wait since", tokyo.run("status"))
        self.assertIn("is used up", tokyo.run("offline-report"))
        self.assertIn("is used up", tokyo.run("doctor", check=False).stdout)
        self.assertIn("link.budget", tokyo.log())
        until(lambda: any(one["app"] == "atlas" and "is used up" in one.get("why", "") for one in center.status()["rollouts"]),
              "the tier above is told why")
        self.assertEqual(tokyo.browser().get("/apps/leaflets/").status, 200)
        until(lambda: self.budget(tokyo, "requests").get("month_bytes", 0) > 0, "users are counted")

        config = tokyo.state / "hasp.toml"
        config.write_text(config.read_text().replace(f"budget_releases_mib = {BUDGET_MIB}", "budget_releases_mib = 20"))
        tokyo.run("reload")
        tokyo.wait_holds("atlas")
        self.assertEqual(tokyo.browser().get("/apps/atlas/").status, 200)
        moved = self.budget(tokyo)["month_bytes"]
        self.assertGreater(moved, RELEASE_MIB << 20, "what came before the reload still counts")
        self.assertLess(moved, (RELEASE_MIB << 20) * 1.2, "and did not come twice")
        self.assertNotIn("waits", self.budget(tokyo))


if __name__ == "__main__":
    main()
