#!/usr/bin/python3
"""B7: an app is pushed from a commit, signed, and every tier takes it as a delta, resumed, verified."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from harness.browser import Browser
from harness.case import TreeCase, depth_adds_nothing, main
from harness.gate import Gate
from harness.handover_app import release
from harness.tree import ROOT, Tree, binary, free_port
from harness.waiting import slack, until

MIB = 1 << 20


class Repository:
    """A real git repository with an app in it."""

    def __init__(self, folder: Path, app: str):
        self.path, self.app = folder, app
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments, stdin: str = "") -> str:
        identity = ["-c", "user.name=Otto", "-c", "user.email=otto@example", "-c", "core.hooksPath=/dev/null",
                    "-c", "protocol.file.allow=always", "-c", "maintenance.auto=false", "-c", "gc.auto=0"]
        return subprocess.run(["git", *identity, "-C", str(self.path), *map(str, arguments)], input=stdin, check=True,
                              capture_output=True, text=True, timeout=120).stdout.strip()

    def write(self, name: str, content) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def manifest(self, extra: str = "", kind: str = "static", below: str = "") -> None:
        self.write(below + "hasp-app.toml",
                   f'[app]\nname = "{self.app}"\ntitle = "The {self.app}"\nkind = "{kind}"\naccess = "public"\n{extra}'
                   + ('[static]\nroot = "."\nindex = "index.html"\n' if kind == "static" else ""))

    def commit(self, message: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")


class Pushing:
    """What the cases share: repositories and pushes."""

    def repository(self, app: str, page: str = "one\n") -> Repository:
        repo = Repository(self.tree.folder / f"repo-{app}", app)
        repo.manifest()
        repo.write("index.html", page)
        repo.commit("first")
        return repo

    def push(self, where, *arguments, code: int = 0, check_json: bool = True):
        """At the state of the top tier; the object of --json, or, for another exit code, what stood on standard error."""
        done = self.tree.top.run("push-app", where, *arguments, *(["--json"] if check_json else []), check=False, timeout=120)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout) if code == 0 and check_json else done.stderr

    def page(self, tier, app: str, path: str = "index.html") -> str:
        return tier.browser().get(f"/apps/{app}/{path}").text


class Pushed(Pushing, TreeCase):
    @classmethod
    def furnish(cls):
        top = cls.tree.top
        for tier in cls.tree.tiers:
            until(lambda: top.knows(tier.name), f"{top.name} knows {tier.name}", 20)  # noqa: B023

    def test_a_commit_reaches_every_tier_and_the_next_one_travels_as_a_delta(self):
        repo = self.repository("atlas")
        repo.write("map.bin", os.urandom(2 * MIB))
        repo.write("places.txt", "".join(f"place {i}\n" for i in range(20_000)))
        commit = repo.commit("maps")
        done = self.push(repo.path, "--all", "--wait")
        self.assertEqual((done["commit"], done["delta"], done["files"]), (commit, False, 4))
        self.assertEqual({t["tier"].rsplit("/")[-1] for t in done["tiers"]}, {t.name for t in self.tree.tiers})
        self.assertEqual({t["state"] for t in done["tiers"]}, {"serving"})
        for tier in self.tree.tiers:
            self.assertEqual(self.page(tier, "atlas"), "one\n", tier.name)
        places = (repo.path / "places.txt").read_text().replace("place 777\n", "place seven hundred\n")
        repo.write("places.txt", places)
        repo.commit("one line")
        before = self.tree.bottom.gate.bytes_passed
        again = self.push(repo.path, "--wait")
        passed = self.tree.bottom.gate.bytes_passed - before
        print(f"first push {done['pack_bytes']} bytes, one changed line {again['pack_bytes']} bytes; "
              f"{passed} bytes passed the last link in all")
        self.assertTrue(again["delta"])
        self.assertLess(again["pack_bytes"], 4_000)
        self.assertLess(passed, 200_000)
        self.assertEqual(self.page(self.tree.bottom, "atlas", "places.txt"), places)

    @contextlib.contextmanager
    def small_disk(self, tier, room: int):
        """The tier's state on a file system of its own, with so many bytes more than it has."""
        kept = tier.state.with_name(tier.state.name + ".kept")
        tier.stop()
        used = sum(p.lstat().st_blocks * 512 + 4096 for p in tier.state.rglob("*"))
        shutil.move(tier.state, kept)
        tier.state.mkdir(mode=0o755)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + room},mode=755", "tmpfs", str(tier.state)], check=False,
                                 capture_output=True)
        try:
            if mounted.returncode != 0:
                self.skipTest("a small disk needs the right to mount one")
            subprocess.run(["cp", "-a", f"{kept}/.", str(tier.state)], check=True)
            tier.start()
            yield tier.state
        finally:
            tier.stop()
            if mounted.returncode == 0:
                subprocess.run(["cp", "-a", f"{tier.state}/.", str(kept)], check=True)
                subprocess.run(["umount", str(tier.state)], check=True)
            tier.state.rmdir()
            shutil.move(kept, tier.state)
            tier.start()
            tier.wait_link()

    def test_a_tier_whose_disk_is_full_serves_the_old_release_and_takes_the_new_one_when_there_is_room(self):
        bottom, repo = self.tree.bottom, self.repository("brim")
        self.push(repo.path, "--to", bottom.name, "--wait")
        repo.write("noise.bin", os.urandom(6 * MIB))
        repo.write("index.html", "two\n")
        repo.commit("more than there is room for")
        with self.small_disk(bottom, 32 * MIB) as disk:
            bottom.wait_link()
            until((disk / "run" / "dialer").exists, "what the tier writes at its start is there")
            filler = disk / "filler"
            room = os.statvfs(disk)
            with open(filler, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - 3 * MIB)
            self.push(repo.path, "--to", bottom.name)
            for tier, errors in ((bottom, "errors"), (self.tree.top, "errors_below")):
                until(lambda: [e for e in tier.status()[errors] if "brim" in e["text"] and "No space left" in e["text"]],  # noqa: B023
                      f"{tier.name} says that the disk of {bottom.name} is full", 60)
            self.assertEqual(self.page(bottom, "brim"), "one\n")
            old = bottom.processes()["spawner"]
            os.kill(old, signal.SIGKILL)
            until(lambda: bottom.processes()["spawner"] not in (old, -1), "another spawner is there", 10)
            waiting = [r for r in self.tree.top.status()["rollouts"] if r["app"] == "brim" and r["tier"].endswith("/" + bottom.name)]
            self.assertEqual([(r["state"], r["serves"] != r["release"]) for r in waiting], [("waiting", True)])
            self.assertIn("No space left", waiting[0]["why"])
            filler.unlink()
            until(lambda: self.page(bottom, "brim") == "two\n", "the release is there when there is room", 120)
            until(lambda: not list((disk / "spool").glob("brim-*")), "nothing is left of the download")
            self.assertNotIn("cannot copy this program", bottom.log())
        self.assertEqual(self.page(bottom, "brim"), "two\n")

    def test_the_same_content_again_is_nothing_to_do(self):
        repo = self.repository("leaflet")
        first = self.push(repo.path, "--to", self.tree.bottom.name)
        repo.git("commit", "-q", "--allow-empty", "-m", "nothing")
        again = self.push(repo.path, "--to", self.tree.bottom.name, "--wait")
        self.assertTrue(again["current"])
        self.assertEqual((again["release"], again["sequence"], again["pack_bytes"]), (first["release"], first["sequence"], 0))

    @depth_adds_nothing
    def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(self):
        repo = self.repository("draft")
        said = self.push(repo.path, "--to", self.tree.bottom.name, "--dry-run", check_json=False)
        self.assertEqual(said, "")
        self.assertIn("no release", self.tree.top.run("app", "releases", "draft", check=False).stderr)

    @depth_adds_nothing
    def test_what_is_not_committed_is_left_out_with_a_warning(self):
        repo = self.repository("notes")
        repo.write("index.html", "not committed\n")
        done = self.tree.top.run("push-app", repo.path, "--to", self.tree.top.name, "--wait", check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not committed", done.stderr)
        self.assertEqual(self.page(self.tree.top, "notes"), "one\n")
        self.assertEqual(repo.git("status", "--porcelain"), "M index.html")

    @depth_adds_nothing
    def test_a_bare_repository_a_tag_and_a_folder_inside_a_repository_are_pushed(self):
        repo = Repository(self.tree.folder / "repo-many", "inner")
        repo.manifest(below="apps/inner/")
        repo.write("apps/inner/index.html", "tagged\n")
        repo.write("README", "of all\n")
        repo.commit("first")
        repo.git("tag", "v1")
        repo.write("apps/inner/index.html", "later\n")
        repo.commit("second")
        done = self.push(repo.path / "apps/inner", "--rev", "v1", "--to", self.tree.top.name, "--wait")
        self.assertEqual(done["files"], 2)
        self.assertEqual(self.page(self.tree.top, "inner"), "tagged\n")
        # Another commit elsewhere in the repository is no other release of this app.
        repo.write("README", "changed\n")
        repo.git("add", "-A")
        plain = self.repository("plain")
        bare = self.tree.folder / "plain.git"
        plain.git("clone", "-q", "--bare", plain.path, bare)
        self.push(bare, "--to", self.tree.top.name, "--wait")
        self.assertEqual(self.page(self.tree.top, "plain"), "one\n")

    @depth_adds_nothing
    def test_a_key_is_pinned_by_the_first_push_and_another_one_must_be_allowed(self):
        repo = self.repository("signed")
        keys = {}
        for name in ("otto", "mallory"):
            keys[name] = self.tree.folder / f"{name}.pem"
            (self.tree.folder / f"{name}.pub").write_text(self.tree.top.run("app", "key", keys[name]))
            self.assertEqual(keys[name].stat().st_mode & 0o777, 0o600)
        self.push(repo.path, "--all", "--key", keys["otto"], "--wait")
        repo.write("index.html", "two\n")
        repo.commit()
        self.assertIn("hasp app allow signed", self.push(repo.path, "--key", keys["mallory"], code=4))
        self.assertEqual(self.page(self.tree.bottom, "signed"), "one\n")
        self.tree.top.run("app", "allow", "signed", "--key", self.tree.folder / "mallory.pub")
        self.push(repo.path, "--key", keys["mallory"], "--wait")
        self.assertEqual(self.page(self.tree.bottom, "signed"), "two\n")
        self.tree.top.run("app", "allow", "signed", "--key", self.tree.folder / "mallory.pub", "--remove")
        repo.write("index.html", "three\n")
        repo.commit()
        self.assertIn("not with", self.push(repo.path, "--key", keys["mallory"], code=4))
        keys["otto"].chmod(0o644)
        self.assertIn("otto.pem", self.push(repo.path, "--key", keys["otto"], code=4))

    def test_a_pack_that_was_cut_goes_on_where_it_was(self):
        repo = self.repository("heavy")
        repo.write("noise.bin", os.urandom(4 * MIB))
        repo.commit()
        bottom, gate = self.tree.bottom, self.tree.bottom.gate
        spool = bottom.state / "spool"
        gate.slow(bytes_per_s=4 * MIB)
        self.push(repo.path, "--to", bottom.name)

        def spooled():
            return sum(p.stat().st_size for p in spool.glob("heavy-*.pack")) if spool.exists() else 0

        until(lambda: spooled() > MIB, "a part of the pack has arrived", 60)
        gate.cut()
        bottom.wait_link("down")
        had, before = spooled(), gate.bytes_passed
        self.assertLess(had, 4 * MIB)
        gate.restore()
        self.push(repo.path, "--to", bottom.name, "--wait")
        passed = gate.bytes_passed - before
        print(f"{had} bytes were there when the link was cut, {passed} passed after")
        self.assertLess(passed, 4 * MIB - had + 600_000)

    def test_a_tier_that_was_dark_gets_the_newest_release_only(self):
        repo = self.repository("news")
        bottom = self.tree.bottom
        self.push(repo.path, "--to", bottom.name, "--wait")
        bottom.gate.cut()
        for text in ("two\n", "three\n", "four\n"):
            repo.write("index.html", text)
            repo.commit()
            last = self.push(repo.path, "--to", bottom.name)
        self.assertIn(bottom.name, self.push(repo.path, "--to", bottom.name, "--wait", "--timeout", "1", code=8))
        bottom.gate.restore()
        self.push(repo.path, "--to", bottom.name, "--wait")
        self.assertEqual(self.page(bottom, "news"), "four\n")
        held = json.loads(bottom.run("app", "releases", "news", "--json"))["releases"]
        self.assertEqual([r["number"] for r in held], [4, 1])
        self.assertEqual(held[0]["release"], last["release"])

    def test_an_older_release_comes_back_and_a_removed_app_goes(self):
        repo = self.repository("diary")
        top, bottom = self.tree.top, self.tree.bottom
        self.push(repo.path, "--all", "--wait")
        repo.write("index.html", "two\n")
        repo.commit()
        self.push(repo.path, "--wait")
        self.assertEqual(self.page(bottom, "diary"), "two\n")
        back = json.loads(top.run("app", "rollback", "diary", "--wait", "--json", timeout=120))
        self.assertEqual(back["number"], 3)
        for tier in (top, bottom):
            self.assertEqual(self.page(tier, "diary"), "one\n", tier.name)
        releases = json.loads(top.run("app", "releases", "diary", "--json"))["releases"]
        self.assertEqual([r["number"] for r in releases], [3, 2])
        self.assertEqual(len(releases[0]["serves"]), len(self.tree.tiers))
        self.assertEqual(releases[1]["serves"], [])
        self.assertIn("no release", top.run("app", "rollback", "diary", "--release", "ffff", check=False).stderr)
        top.run("app", "remove", "diary")
        for tier in (bottom, top):
            until(lambda: tier.browser().get("/apps/diary/index.html").status != 200, "the app is gone", 20)  # noqa: B023
            until(lambda: not list((tier.state / "releases").glob("diary/*.release")), "its releases are gone", 20 * slack())  # noqa: B023

    def test_a_broken_release_is_rolled_back_and_the_push_says_why(self):
        repo = Repository(release(self.tree.folder, "beds", "1"), "beds")
        repo.commit()
        bottom = self.tree.bottom
        self.push(repo.path, "--to", bottom.name, "--wait")
        self.assertEqual(self.page(bottom, "beds", ""), "1")
        release(self.tree.folder, "beds", "2", way="exits")
        repo.commit()
        said = self.push(repo.path, "--to", bottom.name, "--wait", code=1)
        self.assertIn("rolled_back", said)
        self.assertIn("the table of beds is missing", said)
        self.assertEqual(self.page(bottom, "beds", ""), "1")
        release(self.tree.folder, "beds", "3")
        repo.commit()
        self.push(repo.path, "--wait")
        self.assertEqual(self.page(bottom, "beds", ""), "3")
        serves = {r["number"]: [t.rsplit("/")[-1] for t in r["serves"]]
                  for r in json.loads(self.tree.top.run("app", "releases", "beds", "--json"))["releases"]}
        self.assertEqual(serves, {3: [bottom.name], 2: [], 1: []})

    @depth_adds_nothing
    def test_bad_input_is_refused_and_the_old_release_goes_on(self):
        repo = self.repository("sound")
        to = ("--to", self.tree.bottom.name)
        self.push(repo.path, *to, "--wait")
        good = repo.git("rev-parse", "HEAD")

        def attempt(change, code, *words):
            change()
            said = self.push(repo.path, *to, code=code)
            for word in words:
                self.assertIn(word, said)
            repo.git("reset", "-q", "--hard", good)
            repo.git("clean", "-qfd")

        def commit(**files):
            for name, content in files.items():
                repo.write(name.replace("__", "."), content)
            repo.commit()

        self.assertIn("did you mean 'main'", self.push(repo.path, *to, "--rev", "mian", code=5))
        self.assertIn("no tier 'nowhere'", self.push(repo.path, "--to", "nowhere", code=5))
        self.assertIn("is no folder", self.push(self.tree.folder / "nothing", *to, code=5))
        attempt(lambda: (repo.manifest(extra="colour = 1\n"), repo.commit()), 2, "hasp-app.toml:", "colour")
        attempt(lambda: (repo.git("rm", "-q", "hasp-app.toml"), repo.commit()), 5, "no hasp-app.toml in the commit")
        attempt(lambda: ((repo.path / "out").symlink_to("../../etc/passwd"), repo.commit()), 4, "`out`", "leads out")
        attempt(lambda: ((repo.path / "abs").symlink_to("/etc/passwd"), repo.commit()), 4, "`abs`", "absolute")

        def submodule():
            repo.git("update-index", "--add", "--cacheinfo", f"160000,{good},library")
            repo.git("commit", "-q", "-m", "submodule")
        attempt(submodule, 4, "`library` is a submodule")

        def dot_git():
            blob = repo.git("hash-object", "-w", "--stdin", stdin="[core]\n")
            inner = repo.git("mktree", stdin=f"100644 blob {blob}\tconfig\n")
            top = repo.git("ls-tree", "HEAD") + f"\n040000 tree {inner}\t.GIT\n"
            tree = repo.git("mktree", stdin=top)
            repo.git("update-ref", "HEAD", repo.git("commit-tree", tree, "-p", "HEAD", "-m", "hostile"))
        attempt(dot_git, 4, ".git")

        def bomb():  # 10^6 files from seven small objects
            blob = repo.git("hash-object", "-w", "--stdin", stdin="x")
            tree = repo.git("mktree", stdin="".join(f"100644 blob {blob}\t{i}\n" for i in range(10)))
            for _ in range(5):
                tree = repo.git("mktree", stdin="".join(f"040000 tree {tree}\t{i}\n" for i in range(10)))
            tree = repo.git("mktree", stdin=repo.git("ls-tree", "HEAD") + f"\n040000 tree {tree}\tbomb\n")
            repo.git("update-ref", "HEAD", repo.git("commit-tree", tree, "-p", "HEAD", "-m", "bomb"))
        attempt(bomb, 4, "limit")
        empty = Repository(self.tree.folder / "repo-empty", "empty")
        self.assertIn("no commit 'HEAD'", self.push(empty.path, *to, code=5))
        self.assertEqual(self.page(self.tree.bottom, "sound"), "one\n")
        self.assertEqual(len(json.loads(self.tree.top.run("app", "releases", "sound", "--json"))["releases"]), 1)


class FromAPipeline(Pushing, unittest.TestCase):
    """A center whose portal has TLS, and another machine that has nothing of it but a token and a key."""

    @classmethod
    def setUpClass(cls):
        cls.tls_port = free_port()
        cls.tree = Tree(["center"], tls=True, port=cls.tls_port)
        cls.key = cls.tree.folder / "publisher.pem"
        cls.tree.top.run("app", "key", cls.key)
        cls.token = cls.make_token("--push", "site", "--push", "big", "--push", "full", "--push", "ci")

    @classmethod
    def tearDownClass(cls):
        trouble = cls.tree.close()
        assert not trouble, "\n".join(trouble)

    @classmethod
    def make_token(cls, *scope):
        return cls.tree.top.run("token", "create", cls.tree.operator, *scope).strip()

    def environment(self, **more) -> dict:
        return {**self.tree.environment, "HASP_CENTER": f"https://localhost:{self.tls_port}", "HASP_TOKEN": self.token,
                "HASP_KEY": str(self.key), "HASP_CA": str(self.tree.tls_ca), "HASP_STATE": "/nowhere", **more}

    def pipeline(self, where, *arguments, code: int = 0, **more):
        done = subprocess.run([binary(), "push-app", str(where), *arguments], env=self.environment(**more), text=True,
                              capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout if code == 0 else done.stderr

    def test_a_pipeline_pushes_over_tls_and_over_http(self):
        repo = self.repository("site")
        self.assertIn("is assigned to", self.pipeline(repo.path, "--to", "center", "--wait"))
        self.assertEqual(self.page(self.tree.top, "site"), "one\n")
        repo.write("index.html", "two\n")
        repo.commit()
        plain = f"http://127.0.0.1:{self.tree.top.web_port}"
        self.assertIn("as a delta", self.pipeline(repo.path, "--wait", HASP_CENTER=plain))
        self.assertEqual(self.page(self.tree.top, "site"), "two\n")

    @depth_adds_nothing
    def test_a_token_may_do_nothing_but_push_its_apps(self):
        other = self.repository("other")
        self.assertIn("may not push 'other'", self.pipeline(other.path, "--to", "center", code=4))
        users = self.tree.top.run("token", "create", self.tree.operator).strip()
        self.assertIn("may not push", self.pipeline(other.path, "--to", "center", code=4, HASP_TOKEN=users))
        wrong = self.token[:-9] + ("0" if self.token[-9] != "0" else "1") + self.token[-8:]
        for token in (wrong, "nonsense"):
            self.assertIn("the token is not valid", self.pipeline(other.path, "--to", "center", code=4, HASP_TOKEN=token))
        self.assertIn("HASP_TOKEN", self.pipeline(other.path, "--to", "center", code=2, HASP_TOKEN=""))
        self.assertIn("must be signed", self.pipeline(other.path, "--to", "center", code=2, HASP_KEY=""))
        self.assertIn("HASP_CA", self.pipeline(other.path, "--to", "center", code=4, HASP_CA=""))
        self.assertIn("cannot be reached", self.pipeline(other.path, "--to", "center", code=7,
                                                         HASP_CENTER=f"https://127.0.0.1:{free_port()}"))
        self.assertIn("not the address", self.pipeline(other.path, code=2, HASP_CENTER="center.example"))
        browser = Browser(self.tree.top.web_port)
        operator = self.make_token("--operator")
        for token, command in ((self.token, "status"), (operator, "status"), (operator, "app.allow"), (operator, "user.add")):
            answer = browser.request("POST", "/hasp/push", body=json.dumps({"cmd": command, "args": {"app": "site"}}) + "\n",
                                  headers={"Authorization": f"Bearer {token}"})
            self.assertEqual((answer.status, json.loads(answer.body)["error"]["code"]), (403, "refused"), command)
        unsigned = json.dumps({"cmd": "push.commit", "args": {"app": "site", "release": "0" * 32}}) + "\n"
        answer = browser.request("POST", "/hasp/push", body=unsigned, headers={"Authorization": f"Bearer {self.token}"})
        self.assertIn("must be signed", json.loads(answer.body)["error"]["message"])
        self.assertEqual(browser.request("POST", "/hasp/push", body="{}\n").status, 401)

    @depth_adds_nothing
    def test_an_upload_that_was_cut_goes_on_where_it_was(self):
        repo = self.repository("big")
        repo.write("noise.bin", os.urandom(6 * MIB))
        repo.commit()
        gate = Gate(self.tree.top.web_port)
        self.addCleanup(gate.close)
        gate.slow(bytes_per_s=6 * MIB)
        with subprocess.Popen([binary(), "push-app", str(repo.path), "--to", "center", "--wait", "--json"], text=True,
                              env=self.environment(HASP_CENTER=f"http://127.0.0.1:{gate.port}"),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as push:
            until(lambda: any(p.stat().st_size > MIB for p in (self.tree.top.state / "pushes").glob("big-*")),
                  "a part of the upload has arrived", 60)
            gate.cut()
            gate.restore()
            out, err = push.communicate(timeout=60)
        self.assertEqual(push.returncode, 0, err)
        print(f"{gate.bytes_passed} bytes passed for an upload of {json.loads(out)['pack_bytes']}")
        self.assertLess(gate.bytes_passed, json.loads(out)["pack_bytes"] + 2 * MIB)

    @depth_adds_nothing
    def test_a_full_disk_loses_nothing(self):
        repo = self.repository("full")
        self.pipeline(repo.path, "--to", "center", "--wait")
        repo.write("noise.bin", os.urandom(3 * MIB))
        repo.commit()
        pushes = self.tree.top.state / "pushes"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(pushes)], check=False,
                                 capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("a small disk needs the right to mount one")
        try:
            self.assertIn("No space left", self.pipeline(repo.path, "--to", "center", code=1))
        finally:
            subprocess.run(["umount", str(pushes)], check=True)
        self.assertEqual(self.page(self.tree.top, "full"), "one\n")
        self.pipeline(repo.path, "--to", "center", "--wait")

    @depth_adds_nothing
    def test_the_example_of_a_pipeline_runs_as_it_stands(self):
        repo = self.repository("ci")
        repo.write("test.sh", "#!/bin/sh\ntest -f index.html\n")
        (repo.path / "test.sh").chmod(0o755)
        repo.commit()
        done = subprocess.run([ROOT / "examples/ci-pipeline/pipeline.sh"], cwd=repo.path, text=True, capture_output=True,
                              env=self.environment(HASP=binary(), HASP_TO="center", HASP_TIMEOUT="60"), timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.page(self.tree.top, "ci"), "one\n")
        # A failing test publishes nothing.
        repo.write("index.html", "two\n")
        repo.write("test.sh", "#!/bin/sh\nexit 3\n")
        repo.commit()
        done = subprocess.run([ROOT / "examples/ci-pipeline/pipeline.sh"], cwd=repo.path, env=self.environment(HASP=binary()),
                              capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertEqual(self.page(self.tree.top, "ci"), "one\n")


if __name__ == "__main__":
    main()
