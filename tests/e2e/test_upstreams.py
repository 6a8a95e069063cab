#!/usr/bin/python3
"""A5: an app may be several addresses elsewhere, with weights, health checks, a header map and anonymous access."""
import http.server
import socket
import threading

from harness.case import TreeCase, main
from harness.waiting import until


class Server:
    """Answers with its name, and to /up with what `well` says; may be ended and begun again on its port."""

    def __init__(self, name: str, keep: bool = True):
        self.keep = keep  # connections
        self.name, self.well, self.seen, self.port = name, True, [], 0
        self.begin()

    def begin(self) -> None:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                check = self.path.startswith("/up")
                if not check:
                    outer.seen.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(200 if outer.well or not check else 500)
                self.send_header("X-Name", outer.name)
                self.send_header("X-Powered-By", "magic")
                self.send_header("Content-Length", "2")
                if not outer.keep:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"ok")

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def end(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def dead_url() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


class Upstreams(TreeCase):
    @classmethod
    def furnish(cls):
        cls.a, cls.b = Server("a"), Server("b")
        cls.tree.top.user_add("reception", "sakura-2001", "Reception", groups=["desk"], apps=["private", "shop"])

    def add(self, name, urls, more="", access="public", headers=""):
        folder = self.tree.folder / f"app-{name}"
        folder.mkdir()
        listed = ", ".join(f'"{url}"' for url in urls)
        (folder / "hasp-app.toml").write_text(
            f'[app]\nname = "{name}"\nkind = "upstream"\naccess = "{access}"\n[upstream]\nurls = [{listed}]\n{more}\n{headers}\n')
        self.tree.top.app_add(folder)
        if access == "public":
            self.tree.bottom.wait_reaches(f"/apps/{name}/")

    def state(self, name):
        return next(app for app in self.tree.top.status()["apps"] if app["name"] == name)

    def names(self, path, count):
        browser = self.tree.bottom.browser()
        return [browser.get(path).headers.get("x-name") for _ in range(count)]

    def test_requests_are_spread_by_weight(self):
        self.add("shop", [self.a.url, self.b.url], "weights = [3, 1]")
        seen = self.names("/apps/shop/", 40)
        self.assertEqual((seen.count("a"), seen.count("b")), (30, 10))

    def test_checks_take_an_address_out_and_status_and_why_say_so(self):
        self.add("checked", [self.a.url, self.b.url],
                 'health_path = "/up"\nhealth_interval_s = 1\nhealth_fails = 1\nhealth_passes = 1')
        self.a.well = False
        until(lambda: self.state("checked").get("addresses"), "the address is down", 20)
        state = self.state("checked")
        self.assertEqual(state["state"], "ready")
        self.assertEqual([one["state"] for one in state["addresses"]], ["down", "up"])
        self.assertIn("500", state["addresses"][0]["reason"])
        self.assertIn(f"127.0.0.1:{self.a.port} down", self.tree.top.run("status"))
        self.assertIn("1 of its 2 addresses is down", self.tree.top.run("why", "checked"))
        self.assertEqual(set(self.names("/apps/checked/", 6)), {"b"})
        self.b.well = False
        until(lambda: self.state("checked")["state"] == "down", "all are down", 20)
        self.assertIn("not served", self.tree.top.run("why", "checked"))
        answer = self.tree.bottom.browser().get("/apps/checked/")
        self.assertEqual(answer.status, 503)
        self.assertIn("The server behind it", answer.text)
        self.assertIn("since", answer.text)
        self.a.well = self.b.well = True
        until(lambda: "addresses" not in self.state("checked"), "both are up again", 30)
        self.assertEqual(set(self.names("/apps/checked/", 4)), {"a", "b"})

    def test_a_server_that_ends_is_left_out_and_found_again_without_checks(self):
        c = Server("c", keep=False)
        self.add("plain", [self.b.url, c.url])
        self.assertEqual(set(self.names("/apps/plain/", 4)), {"b", "c"})
        c.end()
        self.assertEqual([n for n in self.names("/apps/plain/", 10) if n not in ("b", "c")], [], "nobody notices")
        until(lambda: self.state("plain").get("addresses"), "it is down", 20)
        c.begin()
        until(lambda: "c" in self.names("/apps/plain/", 4), "it is found again", 30)
        c.end()

    def test_anonymous_access_is_optional(self):
        self.add("private", [self.a.url], access="users")
        self.assertIn(self.tree.bottom.browser().get("/apps/private/").status, (303, 401, 404))
        browser = self.tree.bottom.browser()
        self.assertEqual(browser.log_in("reception", "sakura-2001").status, 200)
        until(lambda: browser.get("/apps/private/").status == 200, "the user reaches it", 20)
        self.assertEqual(self.a.seen[-1].get("remote-user"), "reception")
        self.add("open", [self.a.url])
        self.assertEqual(self.tree.bottom.browser().get("/apps/open/").status, 200)
        self.assertNotIn("remote-user", self.a.seen[-1])

    def test_the_header_map_holds_at_every_depth(self):
        self.add("mapped", [self.b.url], headers='[headers]\nrequest = { X-Key = "k1", X-Who = "{user}" }\n'
                                                 'answer = { X-Frame-Options = "DENY" }\nremove = ["X-Powered-By"]')
        answer = self.tree.bottom.browser().request("GET", "/apps/mapped/", headers={"X-Key": "guess", "X-Who": "root"})
        self.assertEqual((answer.status, answer.headers.get("x-frame-options")), (200, "DENY"))
        self.assertNotIn("x-powered-by", answer.headers)
        seen = self.b.seen[-1]
        self.assertEqual((seen.get("x-key"), seen.get("x-who")), ("k1", None))

    def test_a_manifest_that_forges_is_refused_with_its_line(self):
        folder = self.tree.folder / "app-forged"
        folder.mkdir()
        (folder / "hasp-app.toml").write_text('[app]\nname = "forged"\nkind = "upstream"\n[upstream]\n'
                                              f'urls = ["{dead_url()}"]\n[headers]\nrequest = {{ X-Remote-User = "root" }}\n')
        with self.assertRaises(Exception) as refused:
            self.tree.top.app_add(folder)
        self.assertIn("hasp-app.toml:7", str(refused.exception))


if __name__ == "__main__":
    main()
