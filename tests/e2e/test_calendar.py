#!/usr/bin/python3
"""A1, A7, D1: one dataset has one home tier; a calendar program with a token writes to it through any tier."""
from harness.apps import calendar_query, make_calendar, put_event
from harness.browser import basic
from harness.case import TreeCase, main
from harness.tree import app_folder


def signed_on(tier):
    browser = tier.browser()
    browser.log_in("reception", "sakura-2001")
    return browser


class Calendar(TreeCase):
    @classmethod
    def furnish(cls):
        cls.home = cls.tree.tiers[-2] if len(cls.tree.tiers) > 1 else cls.tree.top
        cls.home.app_add(app_folder("calendar"))
        cls.tree.top.user_add("reception", "sakura-2001", apps=["calendar"])
        cls.osaka = cls.tree.add_local("osaka", cls.home)
        for tier in (cls.tree.bottom, cls.osaka):
            tier.wait_reaches("/apps/calendar/.web/", signed_on(tier))
        cls.header = basic("reception", cls.tree.top.token("reception", "calendar"))

    def test_an_entry_written_through_one_local_is_there_through_another_and_at_its_home(self):
        tokyo = self.tree["tokyo"].browser()
        self.assertEqual(make_calendar(tokyo, "reception", "room1", self.header).status, 201)
        self.assertEqual(put_event(tokyo, "reception", "room1", "a1", "Vaccination of Ms Sato", self.header).status, 201)
        for tier in (self.tree["tokyo"], self.osaka, self.home):
            found = calendar_query(tier.browser(), "reception", "room1", self.header)
            self.assertEqual(found.status, 207, f"{tier.name}: {found.text}")
            self.assertIn("Vaccination of Ms Sato", found.text)
            self.assertIn("/apps/calendar/reception/room1/", found.text)

    def test_a_calendar_program_is_asked_for_its_token(self):
        answer = self.tree.bottom.browser().request("PROPFIND", "/apps/calendar/reception/")
        self.assertEqual(answer.status, 401)
        self.assertIn("basic", answer.headers["www-authenticate"].lower())


if __name__ == "__main__":
    main()
