#!/usr/bin/python3
"""The demo's tree: a small chain of clinics. Starts it and leaves it running; --stop ends it."""
import json
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness.memory import alive, command_of  # noqa: E402
from harness.tree import Tree, app_folder, free_port  # noqa: E402
from harness.waiting import until  # noqa: E402

RECORD = ROOT / "build/demo.json"
PORTS = {"tokyo": 8480, "osaka": 8481, "center": 8482, "head": 8483}
PEOPLE = {
    "reception": ("sakura-2001", "Reception Tokyo", ["desk"], ["wiki", "leaflets", "calendar", "tickets", "flows", "archive"]),
    "intern": ("momiji-1990", "Intern Mori", ["ward"], ["wiki", "leaflets"]),
    "nurse": ("kiku-1912", "Nurse Tanaka", ["ward"], ["wiki", "leaflets"]),
}
# Who may log in at tokyo while its link is down. The intern may not.
WITHOUT_THE_LINK = ("reception", "nurse")
TARIFF = ROOT / "examples/tariff/clinics.toml"
# Where each app is added, and which tiers are to hold it: what a local holds, its center gives it.
HELD = [("head", "tickets", ["head"]), ("head", "archive", ["head"]), ("center", "calendar", ["center"]),
        ("center", "flows", ["center"]), ("center", "wiki", ["center", "tokyo"]), ("center", "leaflets", ["tokyo"])]
TITLES = {"wiki": "Notes of this desk", "leaflets": "Patient leaflets", "calendar": "Appointments",
          "tickets": "Tickets and house rules", "flows": "Instruments", "archive": "X-ray archive"}


def furnish(tree: Tree, ports=None) -> None:
    """head > center > tokyo, osaka; the apps, and the people, whose home is the head office."""
    ports = ports or {}
    head = tree.add_center("head", web_port=ports.get("head", 0))
    center = tree.add_local("center", head, web_port=ports.get("center", 0))
    tree.add_local("tokyo", center, web_port=ports.get("tokyo", 0))
    tree.add_local("osaka", center, web_port=ports.get("osaka", 0))
    for where, app, to in HELD:
        tree[where].app_add(app_folder(app), *to)
    for _, app, to in HELD:
        for name in to:
            tree[name].wait_holds(app)
    for user, (password, full_name, groups, apps) in PEOPLE.items():
        head.user_add(user, password, full_name, groups, apps)
    head.run("local", "allow", "center", *WITHOUT_THE_LINK)
    center.run("local", "allow", "tokyo", *WITHOUT_THE_LINK)
    head.run("bill", "tariff", "set", TARIFF)
    for tier in tree.tiers:
        browser = tier.browser()
        browser.log_in("reception", PEOPLE["reception"][0])
        until(lambda: all(t in browser.get("/").text for t in TITLES.values()), f"{tier.name} knows every app", 30)  # noqa: B023


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def recorded() -> dict:
    try:
        return json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}


def running(record: dict) -> list:
    """Process ids of the demo that are still its own: a number alone may belong to someone else by now."""
    return [pid for pid in record.get("pids", []) if alive(pid) and record["folder"] in command_of(pid)]


def stop() -> int:
    record = recorded()
    pids = running(record)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGTERM)
    if pids:
        until(lambda: not running(record), "the tiers have ended", 30)
    if record:
        shutil.rmtree(record["folder"], ignore_errors=True)
        RECORD.unlink()
    print("the demo is stopped" if pids else "no demo was running")
    return 0


def show(tree: Tree) -> None:
    ports = {tier.name: tier.web_port for tier in tree.tiers}
    print(f"""
The clinics are open. Log in at one address and use everything:

  tokyo     http://localhost:{ports['tokyo']}/      a local: holds the wiki and the leaflets
  osaka     http://localhost:{ports['osaka']}/      a local that holds nothing
  center    http://localhost:{ports['center']}/      holds the calendar, the instruments and the wiki
  head      http://localhost:{ports['head']}/      the upper center: holds the tickets and the X-ray archive
""")
    for user, (password, full_name, _, apps) in PEOPLE.items():
        print(f"  user {user:10} password {password:12} {full_name}: {', '.join(apps)}")
    token = tree.top.token("reception", "calendar")
    print(f"""
  calendar programs (CalDAV): http://localhost:{ports['tokyo']}/apps/calendar/reception/
                              user reception, password {token}

In a shell:
  curl -c jar -H 'Origin: http://localhost:{ports['tokyo']}' -d user=reception -d password=sakura-2001 http://localhost:{ports['tokyo']}/hasp/login
  curl -b jar http://localhost:{ports['tokyo']}/apps/wiki/status
  build/dev/cmd/hasp/hasp status --state {tree['tokyo'].state}

Logs and states are below {tree.folder}.  Stop it with  scripts/demo --stop
""")


def main() -> int:
    if sys.argv[1:] == ["--stop"]:
        return stop()
    if running(recorded()):
        print("the demo is running already; stop it with  scripts/demo --stop", file=sys.stderr)
        return 6
    tree = Tree(gates=False, outlives_us=True)
    try:
        furnish(tree, {name: port if port_is_free(port) else free_port() for name, port in PORTS.items()})
        show(tree)
    except BaseException:
        for tier in tree.tiers:
            print(f"--- {tier.name}\n{tier.log()}", file=sys.stderr)
        tree.close()
        raise
    RECORD.write_text(json.dumps({"folder": str(tree.folder), "pids": [tier.process.pid for tier in tree.tiers]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
