#!/usr/bin/python3
"""Runs the public suite of HTTP caches, http-tests/cache-tests, against hasp and against nginx.

  tests/suites/cache_tests.py FOLDER [--tiers N] [--peer] [--id TEST] [--json FILE]

FOLDER is a checkout of the suite in which `npm install` ran; nothing of it is here. Its own server is the app, its own
client asks: through hasp, at the lowest of N tiers at a path (/apps/NAME/), and where there is one tier at a host of the app's own too;
with --peer also through nginx with proxy_cache as the suite sets it up. Prints how many tests passed, and which of the required
ones did not; exits with 1 when hasp gets a required one wrong, or keeps nothing at all. HASP_BIN names the binary.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness.tree import Tree, free_port  # noqa: E402
from harness.waiting import until  # noqa: E402

WAIT_S = 900
# As docker/nginx/nginx.conf of the suite has it.
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=my-cache:8m max_size=1000m inactive=600m;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{app}; proxy_cache my-cache; proxy_cache_revalidate on; proxy_http_version 1.1; }}
  }}
}}
"""
# The suite judges its results itself; a test without a kind is a required one.
JUDGE = """
import {{ determineTestResult, resultTypes }} from 'file://{suite}/test-engine/lib/results.mjs'
import suites from 'file://{suite}/tests/index.mjs'
import fs from 'node:fs'
const results = JSON.parse(fs.readFileSync(0)), out = []
for (const suite of suites) for (const test of suite.tests) if (test.id in results) {{
  const judged = determineTestResult(suites, test.id, results)
  out.push({{ id: test.id, kind: test.kind || 'required', passed: results[test.id] === true,
             word: Object.keys(resultTypes).find(word => resultTypes[word] === judged),
             why: results[test.id] === true ? '' : results[test.id].join(': ') }})
}}
console.log(JSON.stringify(out))
"""


def arguments():
    parser = argparse.ArgumentParser(prog="tests/suites/cache_tests.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a checkout of the suite")
    parser.add_argument("--tiers", type=int, default=1, metavar="N", help="how many, one below the other (default 1)")
    parser.add_argument("--peer", action="store_true", help="nginx as well")
    parser.add_argument("--id", default="", metavar="TEST", help="this one alone, with all that is said")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go")
    chosen = parser.parse_args()
    chosen.folder = chosen.folder.resolve()
    if not (chosen.folder / "test-engine/cli.mjs").is_file():
        parser.error(f"{chosen.folder} is no checkout of http-tests/cache-tests: it has no test-engine/cli.mjs")
    if not (chosen.folder / "node_modules/undici").is_dir():
        parser.error(f"{chosen.folder} lacks node_modules/undici: run npm install --ignore-scripts there first")
    return chosen


def node(suite: Path, script: str, **settings):
    """The suite's scripts take their settings as npm gives them."""
    environment = dict(os.environ, **{f"npm_config_{name}": str(value) for name, value in settings.items()}, npm_package_config_id="")
    return {"args": ["setpriv", "--pdeathsig", "TERM", "node", "--no-warnings", script], "cwd": suite, "env": environment}


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def run(chosen, base: str):
    """The judged results, or with --id nothing: what is said goes to the terminal."""
    client = node(chosen.folder, "test-engine/cli.mjs", base=base, id=chosen.id)
    if chosen.id:
        subprocess.run(**client, check=True, timeout=WAIT_S)
        return []
    said = subprocess.run(**client, check=True, timeout=WAIT_S, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    judge = JUDGE.format(suite=chosen.folder)
    return json.loads(subprocess.run(["node", "--no-warnings", "--input-type=module", "-e", judge], input=said, check=True, timeout=60,
                                     stdout=subprocess.PIPE).stdout)


def table(name: str, results: list, ours: bool) -> list:
    """Prints a line of figures, and of ours what failed of the required ones; returns those that are wrong."""
    parts = []
    for kind in ("required", "optimal", "check"):
        of_kind = [one for one in results if one["kind"] == kind]
        parts.append(f"{sum(one['passed'] for one in of_kind)} of {len(of_kind)} {kind}")
    failed = [one for one in results if one["kind"] == "required" and not one["passed"]]
    # On this one the others depend.
    wrong = [one for one in failed if one["word"] == "fail" or one["id"] == "freshness-max-age-stale"]
    print(f"{name}: {sum(one['passed'] for one in results)} of {len(results)} ({', '.join(parts)}), {len(wrong)} required ones wrong")
    if not ours:
        return []
    for one in failed:
        print(f"  {one['word'].replace('_', ' '):16} {one['id']:44} {one['why'].splitlines()[0]:.100}")
    return wrong


def main() -> int:
    chosen = arguments()
    app = free_port()
    wrong, kept = [], {}
    with tempfile.TemporaryDirectory(prefix="cache-tests.") as folder:
        server = subprocess.Popen(**node(chosen.folder, "test-engine/server/server.mjs", protocol="http", port=app, pidfile=f"{folder}/app.pid"),
                                  stdout=subprocess.DEVNULL)
        tree, peer = None, None
        try:
            until(lambda: answers(app), "the suite's server answers")
            tree = Tree(gates=False, operator="operator", password=os.urandom(12).hex())
            tree.build([f"tier{number + 1}" for number in range(chosen.tiers)], config="[link]\nheartbeat_s = 10")
            tree.top.upstream_app("suite", f"http://127.0.0.1:{app}", access="public")
            tree.top.upstream_app("hosted", f"http://127.0.0.1:{app}", access="public", app='hosts = ["127.0.0.1"]\n')
            for tier in tree.tiers[1:]:
                tier.wait_link()
            tree.bottom.wait_reaches("/apps/suite/index.html")
            places = {"hasp, at a path": f"http://localhost:{tree.bottom.web_port}/apps/suite",
                      "hasp, at a host": f"http://127.0.0.1:{tree.bottom.web_port}"}
            if chosen.tiers > 1:
                places.pop("hasp, at a host")  # tiers below know hosts by their own app_host alone
            if chosen.peer:
                port = free_port()
                config = Path(folder) / "nginx.conf"
                config.write_text(NGINX.format(folder=folder, port=port, app=app))
                peer = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "/usr/sbin/nginx", "-e", f"{folder}/error.log", "-c", str(config)])
                until(lambda: answers(port), "nginx answers")
                places["nginx"] = f"http://127.0.0.1:{port}"
            for name, base in places.items():
                results = run(chosen, base)
                if results:
                    kept[name] = results
                    wrong += table(name, results, name != "nginx")
        finally:
            for process in (peer, server):
                if process:
                    process.terminate()
                    process.wait(10)
            if tree:
                tree.close()
    if chosen.json:
        chosen.json.write_text(json.dumps(kept, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
