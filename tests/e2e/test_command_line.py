#!/usr/bin/python3
"""The command line: --json on every command, exit statuses by one table, hints, silence, HASP_STATE, and what README shows."""
import fcntl
import functools
import json
import os
import re
import shlex
import shutil
import subprocess

from harness.case import TreeCase, main
from harness.tree import ROOT, Tier, binary, free_port

DONE, FAILED, USAGE, REFUSED, NOT_FOUND, CONFLICT, UNREACHABLE, TRY_LATER = 0, 1, 2, 4, 5, 6, 7, 75
CODES = {"failed": FAILED, "usage": USAGE, "refused": REFUSED, "not_found": NOT_FOUND, "conflict": CONFLICT,
         "unreachable": UNREACHABLE, "try_later": TRY_LATER}
FOREGROUND = {("serve",), ("relay",)}


def hasp(*arguments, stdin="", **environment):
    """A command without --state of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HASP_")}
    return subprocess.run([binary(), *map(str, arguments)], input=stdin, text=True, capture_output=True, timeout=60,
                          env=kept | environment, check=False)


@functools.cache
def help_of(path):
    return hasp(*path, "--help")


@functools.cache
def commands_of_the_help():
    """Every command that the help lists, as a tuple of words."""
    found = []
    listed = re.compile(r"^  ([a-z][a-z -]*?)(?:  .*)?$", re.MULTILINE)

    def below(path):
        section = help_of(path).stdout.partition("\nCommands:\n")[2].partition("\n\n")[0]
        verbs = [tuple(name.split()) for name in listed.findall(section)]
        for verb in verbs:
            below(verb)
        if not verbs:
            found.append(path)

    below(())
    return frozenset(found)


class CommandLine(TreeCase):
    @classmethod
    def furnish(cls):
        cls.center = cls.tree.top
        cls.number = 0

    def fresh(self, init=True):
        """A tier with its own state that does not run."""
        type(self).number += 1
        tier = Tier(self.tree, f"box{self.number}", None)
        if init:
            tier.run("init", "--realm", "sakura", "--name", "box")
        return tier

    def refused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "", "errors are on stderr")
        for word in words:
            self.assertIn(word, done.stderr)

    def test_every_command_gives_one_json_value_with_json(self):
        leaflets = self.tree.folder / "leaflets"
        leaflets.mkdir()
        (leaflets / "hasp-app.toml").write_text('[app]\nname = "leaflets"\nkind = "static"\n')
        (leaflets / "index.html").write_text("<p>Opening hours")
        box, top = self.fresh(init=False), self.center.name
        local = self.tree.add_local("nara", self.center)
        seen = set()

        def json_of(words, *rest, at=self.center, stdin=""):
            done = at.run(*words.split(), *rest, "--json", stdin=stdin, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            seen.add(tuple(words.split()))
            return json.loads(done.stdout)

        json_of("init", "--realm", "momiji", at=box)
        with open(box.state / "hasp.toml", "a", encoding="utf-8") as file:
            file.write('\n[web_ca]\nnames = ["clinic.lan"]\n')
        json_of("config check", box.state / "hasp.toml")
        self.assertEqual(json_of("ca show", at=box)["permits"], ["clinic.lan"])
        self.assertIn("BEGIN CERTIFICATE", json_of("ca export", at=box)["certificate"])
        self.assertTrue(json_of("ca renew", at=box)["next"])
        card = json_of("peer export", "--address", "127.0.0.1:1", at=box)["line"]
        self.assertEqual(json_of("peer add", "west", "--from", "-", "--offer", "leaflets", stdin=card + "\n")["name"], "west")
        self.assertEqual([p["name"] for p in json_of("peer list")["peers"]], ["west"])
        json_of("peer remove", "west")
        self.assertEqual(json_of("status")["tier"], f"hasp://sakura/{top}")
        self.assertEqual(json_of("reload")["changed"], [])
        self.assertEqual(json_of("restart")["at_start"], [])
        json_of("user add", "nurse", "--password-file", "-", stdin="night-shift-7\n")
        self.assertIn("nurse", [u["name"] for u in json_of("user list")["users"]])
        json_of("user password", "nurse", "--password-file", "-", stdin="night-shift-8\n")
        json_of("user groups", "nurse", "--join", "night")
        self.assertEqual(json_of("user show", "nurse")["groups"], ["night"])
        self.assertEqual(json_of("app add", leaflets, "--to", top)["app"], "leaflets")
        self.assertEqual([a["name"] for a in json_of("app list")["apps"]], ["leaflets"])
        (leaflets / "index.html").write_text("<p>Opening hours of the summer")
        self.assertEqual(json_of("push-app", leaflets, "--wait")["tiers"][0]["state"], "serving")
        self.assertEqual([r["number"] for r in json_of("app releases", "leaflets")["releases"]], [2, 1])
        self.assertEqual(json_of("app rollback", "leaflets")["number"], 3)
        public = self.tree.folder / "publisher.pub"
        public.write_text(json_of("app key", self.tree.folder / "publisher.pem")["public"])
        self.assertEqual(len(json_of("app allow", "leaflets", "--key", public)["keys"]), 1)
        json_of("user entitle", "nurse", "leaflets")
        json_of("user withdraw", "nurse", "leaflets")
        self.assertTrue(json_of("token create", "nurse", "--label", "phone")["token"].startswith("hasp_"))
        json_of("token revoke", json_of("token list")["tokens"][0]["id"])
        self.assertTrue(json_of("why", "leaflets", "--at", top)["served"])
        self.assertEqual(json_of("sync", "--list")["folders"], [])  # a round gives a line a folder
        for verb in ("versions", "restore"):
            none = self.center.run("sync", verb, "nurse", "leaflets", "--json", check=False)
            self.assertEqual((none.returncode, json.loads(none.stdout or none.stderr)["error"]["code"]), (NOT_FOUND, "not_found"))
            seen.add(("sync", verb))
        self.assertEqual(json_of("sync quarantine")["files"], [])
        found = self.center.run("doctor", "--json", check=False)  # what it finds is the machine's
        self.assertEqual(found.returncode, int(json.loads(found.stdout)["bad"] > 0))
        seen.add(("doctor",))
        tariff = self.tree.folder / "tariff.toml"
        tariff.write_text('[tariff]\nversion = "1"\ncurrency = "EUR"\neffective_from = "2020-01-01"\n'
                          '[[price]]\nline = "answers"\nper = "request"\nrate = "0.01"\n')
        json_of("bill tariff check", tariff)
        json_of("bill tariff set", tariff)
        self.assertEqual(json_of("bill tariff show")["tariffs"][0]["version"], "1")
        json_of("bill close", "2020-02")
        json_of("bill show")
        json_of("bill verify")
        json_of("user disable", "nurse")
        json_of("user enable", "nurse")
        self.assertEqual(json_of("names")["names"][0]["app"], "leaflets")
        backups, keys = self.tree.folder / "backups", self.tree.folder / "box.keys"
        json_of("backup keys", keys, "--passphrase-file", "-", stdin="a passphrase of the test\n")
        self.assertTrue(json_of("backup", backups)["keys_saved"])
        self.assertEqual(len(json_of("backup list", backups)["backups"]), 1)
        self.assertEqual(json_of("backup check", backups)["damaged"], 0)
        self.assertEqual(json_of("backup prune", backups, "--keep", "1")["removed"], [])
        back = self.fresh(init=False)
        (back.state / "hasp.toml").unlink()
        self.assertEqual(json_of("restore", backups, "--keys", keys, "--passphrase-file", "-", at=back,
                                 stdin="a passphrase of the test\n")["tier"], f"hasp://sakura/{top}")
        json_of("user remove", "nurse")
        json_of("app remove", "leaflets")
        self.assertTrue(json_of("local invite", "kyoto", "--address", "127.0.0.1:1")["invitation"])
        self.assertIn("nara", [c["name"] for c in json_of("local list")["locals"]])
        self.assertEqual(json_of("local show", "nara")["name"], "nara")
        json_of("local allow", "nara", "--group", "night")
        json_of("lease sign", "nara")
        json_of("lease show", at=local)
        json_of("lease extend", "nara", "--days", "40")
        json_of("offline-report", "nara")
        json_of("local revoke", "nara")
        # `sync` and `backup` are commands and have some.
        self.assertEqual(seen - {("sync",), ("backup",)}, commands_of_the_help() - FOREGROUND)

    def test_exit_statuses_come_from_one_table_in_text_and_in_json(self):
        box = self.fresh()
        occupied = self.fresh()
        text = (occupied.state / "hasp.toml").read_text()
        (occupied.state / "hasp.toml").write_text(text.replace(str(occupied.web_port), str(self.center.web_port)))
        nobody_there = self.center.invite("kobe", f"127.0.0.1:{free_port()}")
        broken = self.fresh()
        (broken.state / "hasp.toml").write_text("[web]\nlisen = []\n")
        damaged = self.fresh()
        (damaged.state / "keys/tier.json").write_text("{")
        held = self.fresh()
        cases = [
            (USAGE, box, ["statsu"], "", "hasp status"),
            (USAGE, box, ["status", "--jsn"], "", "--json"),
            (USAGE, box, ["user"], "", "entitle"),
            (USAGE, box, ["user", "show"], "", "NAME is missing"),
            (USAGE, box, ["user", "add", "no spaces"], "", "no spaces"),
            (USAGE, box, ["user", "add", "nurse", "--password-file", "-"], "", "standard input is empty"),
            (USAGE, box, ["user", "add", "nurse", "--password-file", "-"], "short", "8 characters"),
            (USAGE, box, ["token", "create", "nurse", "--expires", "soon"], "", "--expires"),
            (USAGE, box, ["local", "invite", "kobe"], "", "--address"),
            (USAGE, broken, ["serve"], "", "hasp.toml:2"),
            (USAGE, broken, ["status"], "", "listen"),
            (NOT_FOUND, box, ["user", "show", "nobody"], "", "hasp user list"),
            (NOT_FOUND, box, ["token", "revoke", "00"], "", "hasp token list"),
            (NOT_FOUND, box, ["local", "revoke", "nowhere"], "", "hasp local list"),
            (NOT_FOUND, box, ["lease", "sign", "nowhere"], "", "hasp local list"),
            (NOT_FOUND, box, ["app", "remove", "nothing"], "", "hasp app list"),
            (NOT_FOUND, box, ["app", "add", "/nowhere", "--to", "box"], "", "hasp-app.toml"),
            (NOT_FOUND, box, ["user", "add", "nurse", "--password-file", "/nowhere/secret"], "", "/nowhere/secret"),
            (NOT_FOUND, box, ["serve", "--config", "/nowhere/hasp.toml"], "", "/nowhere/hasp.toml"),
            (NOT_FOUND, self.fresh(init=False), ["status"], "", "hasp init"),
            (NOT_FOUND, self.fresh(init=False), ["serve"], "", "hasp init"),
            (REFUSED, box, ["relay"], "", "hasp serve"),
            (CONFLICT, box, ["init", "--realm", "again"], "", str(box.state)),
            (CONFLICT, self.center, ["serve"], "", str(self.center.state)),
            (CONFLICT, occupied, ["serve"], "", str(self.center.web_port)),
            (UNREACHABLE, self.fresh(init=False), ["relay", "--join", "-"], nobody_there, "cannot be reached"),
            (TRY_LATER, held, ["user", "list"], "", "try again"),
        ]
        with open(held.state / "lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for code, tier, words, stdin, says in cases:
                with self.subTest(" ".join(words)):
                    self.refused(tier.run(*words, stdin=stdin, check=False), code, says)
                    if words == ["user"]:
                        continue  # a noun alone shows its help, which is no error object
                    done = tier.run(*words, "--json", stdin=stdin, check=False)
                    self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
                    error = json.loads(done.stderr.splitlines()[-1])["error"]
                    self.assertEqual(CODES[error["code"]], code)
                    self.assertIn(says, error["message"] + error["hint"])
        self.assertNotEqual(damaged.run("serve", check=False).returncode, DONE)
        self.assertIn(str(damaged.state), damaged.run("status", check=False).stderr)

    def test_a_state_that_front_cannot_pass_through_is_named_before_anything_starts(self):
        if os.geteuid() != 0:
            self.skipTest("front changes its user only when hasp was started as root")
        closed = self.tree.folder / "closed"
        closed.mkdir(mode=0o700)
        self.assertEqual(hasp("init", "--state", closed / "box", "--realm", "x").returncode, DONE)
        self.refused(hasp("serve", "--state", closed / "box"), REFUSED, str(closed), "chmod o+x")

    def test_a_command_that_was_refused_leaves_nothing_behind(self):
        box = self.fresh()
        box.run("user", "add", "nurse", "--password-file", "-", stdin="", check=False)
        self.assertEqual(json.loads(box.run("user", "list", "--json"))["users"], [])
        static = self.tree.folder / "no-data"
        static.mkdir()
        (static / "hasp-app.toml").write_text('[app]\nname = "leaf"\nkind = "static"\n')
        self.refused(box.run("app", "add", static, "--to", "box", "--home", "box", check=False), USAGE, "--home")
        self.assertEqual(json.loads(box.run("app", "list", "--json"))["apps"], [])
        folder = self.tree.folder / "never"
        for bad in (["--realm", "Not A Name"], ["--realm", "x", "--listen", "nowhere"], ["--realm", "x", "--operator", "ada"]):
            self.refused(hasp("init", "--state", folder, *bad), USAGE)
            self.assertFalse(folder.exists(), bad)

    def test_init_names_an_address_for_invitations_only_when_others_can_dial_it(self):
        for listen, invites in (("0.0.0.0:8490", False), ("127.0.0.1:0", False), ("127.0.0.1:8490", True)):
            folder = self.tree.folder / "dialled"
            done = hasp("init", "--state", folder, "--realm", "x", "--link-listen", listen)
            self.assertEqual(done.returncode, DONE, done.stderr)
            self.assertEqual(hasp("local", "invite", "tokyo", "--state", folder).returncode == DONE, invites, listen)
            shutil.rmtree(folder)

    def test_a_wrong_word_is_answered_with_the_nearest_right_one(self):
        box = self.fresh()
        self.refused(hasp("sttaus"), USAGE, "did you mean `hasp status`?", "hasp --help")
        self.refused(hasp("local", "invit", "x"), USAGE, "did you mean `hasp local invite`?", "hasp local --help")
        self.refused(hasp("user", "add", "nurse", "--grup", "x"), USAGE, "did you mean `--group`?")
        self.refused(hasp("help", "ap"), USAGE, "did you mean `app`?")
        config = self.tree.folder / "words.toml"
        for text, near in (("[wep]\n", "web"), ("[web]\nkeepalive = 1\n", "keepalive_s"), ("[log]\nlevle = 1\n", "level")):
            config.write_text(text)
            self.refused(hasp("config", "check", config), USAGE, f"did you mean `{near}`?", f"{config}:")
        manifest = self.tree.folder / "words"
        manifest.mkdir()
        (manifest / "hasp-app.toml").write_text('[app]\nname = "a"\nkind = "static"\ntitel = "A"\n')
        self.refused(box.run("app", "add", manifest, "--to", "box", check=False), USAGE, "hasp-app.toml:4", "title")

    def test_config_check_says_what_serve_would_say_and_changes_nothing(self):
        box = self.fresh()
        config = box.state / "hasp.toml"
        self.assertIn("is valid", hasp("config", "check", config).stdout)
        self.assertEqual(hasp("config", "check", config, "--quiet").stdout, "")
        before = config.read_text()
        for text in ("[web]\nlisten = \"127.0.0.1:1\"\n", "[web]\nlisten = [\"localhost:1\"]\n", "[web]\ntls_listen = [\"127.0.0.1:1\"]\n",
                     "[lease]\ndays = 0\n", "web = 1\n", "[web]\n[web]\n", "\0", "[session]\nhours = 720\nabsolute_days = 1\n"):
            config.write_text(text)
            checked, served = hasp("config", "check", config), box.run("serve", check=False)
            self.refused(checked, USAGE, str(config))
            self.assertEqual((checked.returncode, checked.stderr), (served.returncode, served.stderr), text)
            self.assertEqual(config.read_text(), text)
        config.write_text(before)

    def test_the_state_is_named_by_the_option_or_by_hasp_state_and_the_option_wins(self):
        one, other = self.fresh(), self.fresh()
        one.run("user", "add", "only-here")

        def users(*rest, **environment):
            return [u["name"] for u in json.loads(hasp("user", "list", "--json", *rest, **environment).stdout)["users"]]

        self.assertEqual(users(HASP_STATE=str(one.state)), ["only-here"])
        self.assertEqual(users("--state", other.state, HASP_STATE=str(one.state)), [])
        self.assertEqual(users(f"--state={one.state}"), ["only-here"])
        self.refused(hasp("user", "list", "--state", ""), USAGE, "--state")

    def test_nothing_is_written_when_there_is_nothing_to_say(self):
        box = self.fresh()
        secret = self.tree.folder / "secret"
        secret.write_text("night-shift-7\n")
        added = box.run("user", "add", "visitor", check=False)
        self.assertEqual((added.returncode, added.stdout), (0, ""))
        self.assertIn("hasp user password visitor --password-file -", added.stderr, "nobody can log in without one")
        self.assertEqual(box.run("user", "remove", "visitor"), "")
        for words in (["user", "add", "nurse", "--password-file", secret], ["user", "groups", "nurse", "--join", "night"], ["user", "disable", "nurse"],
                      ["user", "enable", "nurse"], ["user", "remove", "nurse"]):
            done = box.run(*words, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""), words)
        for words in (["user", "list"], ["app", "list"], ["token", "list"], ["local", "list"]):
            self.assertEqual(box.run(*words, "-q"), "", words)
            self.assertEqual(len(box.run(*words).splitlines()), 1, f"{words}: the heading")

    def test_no_colour_and_no_control_character_is_written_off_a_terminal(self):
        for words in (["status"], ["--help"], ["help", "user", "add"], ["nonsense"], ["user", "list"], ["local", "list"]):
            done = self.center.run(*words, check=False) if words[0] != "--help" else hasp(*words)
            self.assertNotRegex(done.stdout + done.stderr, r"[\x00-\x09\x0b-\x1f\x7f]", words)

    def test_help_is_an_answer_and_no_error(self):
        for path in sorted(commands_of_the_help()):
            shown = help_of(path)
            self.assertEqual((shown.returncode, shown.stderr), (0, ""), path)
            self.assertIn(f"Usage: hasp {' '.join(path)}", shown.stdout)
            self.assertEqual(hasp("help", *path).stdout, shown.stdout)
            self.assertLessEqual(max(map(len, shown.stdout.splitlines())), 90, path)
        self.assertRegex(hasp("--version").stdout, r"^hasp \d+\.\d+\.\d+\n$")
        alone = hasp()
        self.assertEqual((alone.returncode, alone.stdout), (USAGE, ""))
        self.assertIn("Commands:", alone.stderr)

    def test_commands_work_on_the_state_of_a_tier_that_does_not_run(self):
        box = self.fresh()
        box.run("user", "add", "reception", "--password-file", "-", stdin="sakura-2001\n")
        box.run("user", "entitle", "reception", "wiki")
        self.assertIn("not running", box.run("status"))
        box.start()
        self.tree.tiers.append(box)
        self.assertEqual(box.browser().log_in("reception", "sakura-2001").status, 200)

    def test_every_command_in_the_readme_is_one_of_the_help_with_those_options(self):
        text = (ROOT / "README.md").read_text()
        blocks = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
        known, shown = commands_of_the_help(), 0
        for line in blocks.splitlines():
            if not line.startswith("hasp "):
                continue
            words = shlex.split(line, comments=True)[1:]
            path = next((tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in known), None)
            self.assertTrue(path, line)
            helped = help_of(path).stdout
            for option in (w for w in words if w.startswith("--")):
                self.assertIn(option, helped, line)
            shown += 1
        self.assertGreaterEqual(shown, 7)

    def test_bash_completes_commands_options_and_files(self):
        def completed(*words):
            script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hasp; printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(["bash", "-u", "-c", script, "bash", ROOT / "completions/hasp.bash", "hasp", *words], text=True,
                                  capture_output=True, timeout=20, check=False, cwd=ROOT)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            return done.stdout.split()

        self.assertEqual(completed("stat"), ["status"])
        self.assertEqual(completed("local", "in"), ["invite"])
        self.assertEqual(completed("user", "add", "nurse", "--pass"), ["--password-file"])
        self.assertEqual(completed("config", "check", "README"), ["README.md"])
        self.assertEqual(completed("status", "--state", "doc/dec"), ["doc/decisions"])
        self.assertLessEqual({c[0] for c in commands_of_the_help()}, set(completed("")))


if __name__ == "__main__":
    main()
