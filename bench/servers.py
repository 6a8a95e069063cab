"""Everything that bench/run passon and static measure: tiers, nginx, the least proxy and the backends, begun when asked for first."""
import os
import ssl
import sys
from pathlib import Path

from compare import LOAD_CORE, SERVER_CORE, Place
from peers import Certificates, Nginx, Tool

from harness.browser import Browser  # found by measure.py's path
from harness.tree import Tree, free_port

BODY_BYTES = 1024
USER, PASSWORD = "reception", "sakura-2001"


class Servers:
    """Everything that is measured, begun when it is asked for first, ended together."""

    def __init__(self, folder: Path, config: str = ""):
        """`config`: further lines of every tier's hasp.toml."""
        self.folder, self.config = folder, config
        self.certificates = Certificates(folder / "tls")
        self.open = []
        self.made = {}
        self.backend = self._keep(Tool(LOAD_CORE, "backend", free_port(), BODY_BYTES))

    def _keep(self, one):
        self.open.append(one)
        return one

    def once(self, name: str, make):
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def secure_backend(self):
        tls = self.certificates
        return self.once("secure", lambda: self._keep(
            Tool(LOAD_CORE, "backend", free_port(), BODY_BYTES, tls.cert, tls.key, tls.ca)))

    def relay(self) -> Place:
        tool = self.once("relay", lambda: self._keep(Tool(SERVER_CORE, "relay", free_port(), self.backend.port)))
        return Place("relay", tool.port, [tool.pid], self.nginx_cookie)

    nginx_cookie = "session=0123456789abcdef0123456789abcdef0123456789a"

    def nginx(self, tls: bool = False, duties: bool = True) -> Place:
        def make():
            return self._keep(Nginx(self.folder / f"nginx-{duties}", free_port(), {
                "bench": (self.backend.port, False), "secure": (self.secure_backend().port, True)}, SERVER_CORE, duties,
                self.certificates, free_port()))
        one = self.once(f"nginx {duties}", make)
        name = ("nginx" if duties else "bare nginx") + (" tls" if tls else "")
        return Place(name, one.tls_port if tls else one.port, [one.pid], self.nginx_cookie, self.certificates.ca if tls else None)

    def two_nginx(self) -> Place:
        def make():
            above = self._keep(Nginx(self.folder / "nginx-above", free_port(), {"bench": (self.backend.port, False)}, SERVER_CORE,
                                     True, self.certificates, free_port(), mutual=True))
            below = self._keep(Nginx(self.folder / "nginx-below", free_port(), {"bench": (above.tls_port, True)}, SERVER_CORE,
                                     True, self.certificates, keep_path=True))
            return above, below
        above, below = self.once("two nginx", make)
        return Place("two nginx", below.port, [above.pid, below.pid], self.nginx_cookie)

    def _tree(self, chain, config: str, apps: dict, cores=(SERVER_CORE,)) -> Tree:
        os.sched_setaffinity(0, set(cores))  # inherited by the tiers that are started now
        # Bodies as they are, as the peer sends them; lines without a section are of [web].
        plain = "compress = []\n"
        tree = self._keep(Tree(chain, gates=False, tls=True, config=plain + self.config + config))
        os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
        for name, url in apps.items():
            tree.top.upstream_app(name, url)
        tree.top.user_add(USER, PASSWORD, "Reception", groups=["desk"], apps=list(apps))
        return tree

    def _place(self, tree: Tree, name: str, tls: bool, path: str = "/apps/bench/page?id=17") -> Place:
        bottom = tree.bottom
        port = bottom.tls_port if tls else bottom.web_port
        browser = Browser(port, tls=ssl.create_default_context(cafile=tree.tls_ca) if tls else None)
        browser.log_in(USER, PASSWORD)
        bottom.wait_reaches(path, browser)
        cookie = "; ".join(f"{k}={v}" for k, v in browser.cookies["localhost"].items())
        return Place(name, port, [tier.process.pid for tier in tree.tiers], cookie, tree.tls_ca if tls else None)

    def hasp(self, tls: bool = False) -> Place:
        def make():
            own = self.certificates
            config = f'[upstream]\nca = "{own.ca}"\ncert = "{own.cert}"\nkey = "{own.key}"\n'
            return self._tree(["center"], config, {"bench": f"http://127.0.0.1:{self.backend.port}",
                                                   "secure": f"https://localhost:{self.secure_backend().port}"})
        tree = self.once("hasp", make)
        return self.once(f"hasp {tls}", lambda: self._place(tree, "hasp tls" if tls else "hasp", tls))

    def looped_hasp(self, loops: int, metrics_port: int) -> Place:
        """On both cores: with one, only one of its loops would run at a time."""
        config = f'loops = {loops}\n[metrics]\nlisten = ["127.0.0.1:{metrics_port}"]\n'
        tree = self.once("looped hasp", lambda: self._tree(["center"], config, {"bench": f"http://127.0.0.1:{self.backend.port}"},
                                                           (SERVER_CORE, LOAD_CORE)))
        return self.once("looped place", lambda: self._place(tree, f"hasp, {loops} loops", False))

    def _static_files(self) -> Path:
        def make():
            folder = self.folder / "files"
            (folder / "public").mkdir(parents=True)
            (folder / "public/1k.html").write_bytes(b"x" * 1024)
            (folder / "public/100k.bin").write_bytes(os.urandom(102_400))
            (folder / "hasp-app.toml").write_text('[app]\nname = "files"\ntitle = "Files"\nkind = "static"\n[static]\nroot = "public"\n')
            for one in (folder, *folder.rglob("*")):
                one.chmod(0o755)
            return folder
        return self.once("static files", make)

    def static_nginx(self) -> Place:
        one = self.once("static nginx", lambda: self._keep(Nginx(self.folder / "nginx-static", free_port(), {}, SERVER_CORE,
                                                                 files=("files", self._static_files() / "public"))))
        return Place("nginx", one.port, [one.pid], self.nginx_cookie)

    def static_hasp(self) -> Place:
        def make():
            tree = self._tree(["center"], "", {})
            tree.top.app_add(self._static_files())
            tree.top.run("user", "entitle", USER, "files")
            return tree
        tree = self.once("static hasp", make)
        return self.once("static place", lambda: self._place(tree, "hasp", False, "/apps/files/1k.html"))

    def two_hasp(self) -> Place:
        tree = self.once("two hasp", lambda: self._tree(["center", "tokyo"], "", {"bench": f"http://127.0.0.1:{self.backend.port}"}))
        return self.once("two hasp place", lambda: self._place(tree, "two hasp", False))

    def close(self) -> None:
        for one in reversed(self.open):
            for line in one.close() or []:
                print(line, file=sys.stderr)
