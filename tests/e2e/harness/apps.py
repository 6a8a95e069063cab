"""What the tests and the demo do with the demo's apps: find their processes, hurt them, speak CalDAV."""
import json
import urllib.parse

from .memory import command_of, descendants_of

FORKER = "$:/clinic/forker"
# A startup module that a user can store in his own wiki: at the next start it forks until it may not.
FORKER_CODE = """
exports.name = "forker"; exports.platforms = ["node"]; exports.synchronous = true;
exports.startup = function() {
  var spawn = require("child_process").spawn;
  for(var i = 0; i < 400; i++) { spawn("/bin/sh", ["-c", "while :; do /bin/sleep 600 & done"]); }
};
"""


SERVER = """
import http.server, os, sys
START = os.urandom(8).hex()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", str(len(START))); self.end_headers()
        self.wfile.write(START.encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def process_app(folder, name: str):
    """A folder with a small program as an app, which answers everything with a text that each start of it makes anew."""
    app = folder / f"process-app-{name}"
    app.mkdir()
    (app / "server.py").write_text(SERVER)
    (app / "hasp-app.toml").write_text(
        f'[app]\nname = "{name}"\ntitle = "{name}"\nkind = "process"\ninstance = "app"\n'
        f'[process]\ncommand = ["/usr/bin/python3", "{{app}}/server.py", "{{port}}"]\nlisten = "tcp:8080"\n')
    return app


NOTES = """
import http.server, os, sys, urllib.parse
FOLDER = sys.argv[2]
class Notes(http.server.BaseHTTPRequestHandler):
    def file(self):
        return os.path.join(FOLDER, urllib.parse.unquote(self.path).rsplit("/", 1)[-1] + ".txt")
    def answer(self, status, body=b""):
        self.send_response(status); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_PUT(self):
        with open(self.file(), "wb") as file: file.write(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200)
    def do_GET(self):
        if self.path.endswith("/status"): return self.answer(200)
        try:
            with open(self.file(), "rb") as file: self.answer(200, file.read())
        except FileNotFoundError: self.answer(404)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Notes).serve_forever()
"""


def notes_app(folder):
    """A folder with a small program as an app of users' own files: a note is TITLE.txt. As the wiki, and two files instead of
    thousands."""
    app = folder / "notes-app"
    app.mkdir()
    (app / "server.py").write_text(NOTES)
    (app / "hasp-app.toml").write_text(
        '[app]\nname = "notes"\ntitle = "Notes"\nkind = "process"\ninstance = "user"\nhandover = "exclusive"\n'
        '[process]\ncommand = ["/usr/bin/python3", "{app}/server.py", "{port}", "{data}"]\nlisten = "tcp:8080"\n'
        'ready_path = "/status"\n[data]\nscope = "user"\n')
    return app


def put_note(browser, title: str, text: str):
    return browser.request("PUT", "/apps/notes/" + urllib.parse.quote(title, safe=""), body=text)


def get_note(browser, title: str):
    return browser.get("/apps/notes/" + urllib.parse.quote(title, safe=""))


def processes_of(tier, word: str) -> list:
    """Processes below the tier's spawner whose command line has the word: of this tier and no other."""
    return [pid for pid in descendants_of(tier.processes()["spawner"]) if word in command_of(pid).split("hasp dialer")[0]
            and "bwrap" not in command_of(pid).split(" ")[0] and " dialer " not in command_of(pid)]


def put_tiddler(browser, title: str, text: str, **fields):
    path = "/apps/wiki/recipes/default/tiddlers/" + urllib.parse.quote(title, safe="")
    body = json.dumps({"title": title, "text": text, **fields})
    return browser.request("PUT", path, body=body, headers={"X-Requested-With": "TiddlyWiki",
                                                           "Content-Type": "application/json"})


def get_tiddler(browser, title: str):
    return browser.get("/apps/wiki/recipes/default/tiddlers/" + urllib.parse.quote(title, safe=""))


def make_calendar(browser, user: str, name: str, headers):
    return browser.request("MKCALENDAR", f"/apps/calendar/{user}/{name}/", headers=headers)


def event(uid: str, summary: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//sakura//hasp//EN", "BEGIN:VEVENT", f"UID:{uid}",
                        "DTSTAMP:20260901T080000Z", "DTSTART:20260914T093000", "DTEND:20260914T100000",
                        f"SUMMARY:{summary}", "END:VEVENT", "END:VCALENDAR", ""])


def put_event(browser, user: str, calendar: str, uid: str, summary: str, headers):
    sent = {"Content-Type": "text/calendar; charset=utf-8", **headers}
    return browser.request("PUT", f"/apps/calendar/{user}/{calendar}/{uid}.ics", headers=sent, body=event(uid, summary))


def calendar_query(browser, user: str, calendar: str, headers):
    body = ('<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><C:calendar-data/></D:prop>'
            '<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"/></C:comp-filter></C:filter>'
            "</C:calendar-query>")
    sent = {"Content-Type": "application/xml", "Depth": "1", **headers}
    return browser.request("REPORT", f"/apps/calendar/{user}/{calendar}/", headers=sent, body=body)
