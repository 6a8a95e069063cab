"""A small program whose releases can be told apart, and break in the ways in which releases break."""
import textwrap

SERVER = r'''
import base64, fcntl, hashlib, http.server, os, signal, sys, threading
VERSION, WAY, DATA = "@VERSION@", "@WAY@", os.environ["HASP_DATA"]
print("this is release", VERSION, flush=True)
if WAY == "exits":
    print("the table of beds is missing", flush=True)
    sys.exit(3)
if WAY == "forks":
    while True:
        try:
            if os.fork() == 0:
                signal.pause()
        except OSError:
            print("no more processes", flush=True)
            signal.pause()
if WAY == "deaf":
    signal.pause()
lock = open(DATA + "/lock", "w")
if "@ALONE@":
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("another process is on this folder", flush=True)
        os._exit(9)
starts = DATA + "/starts"
with open(starts, "a") as out:
    out.write(VERSION + "\n")
if WAY == "old-data" and open(starts).read().count("\n") > 1:
    print("cannot read what the release before has written", flush=True)
    os._exit(4)

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def say(self, text, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path.endswith("/ready"):
            if WAY == "hangs":
                threading.Event().wait()
            if WAY == "500":
                print("no bed is free", flush=True)
            self.say(VERSION, 500 if WAY == "500" else 200)
        elif self.headers.get("Upgrade") == "websocket":
            self.websocket()
        elif WAY == "crashes":
            print("a bed without a patient", flush=True)
            os._exit(7)
        else:
            self.say(VERSION)
    def do_POST(self):
        taken = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read1(min(left, 65536))
            if not data:
                return
            taken.update(data)
            left -= len(data)
        self.say(VERSION + " " + taken.hexdigest())
    def websocket(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return
            mask = self.rfile.read(4)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(head[1] & 127)))
            answer = VERSION.encode() + b" " + data
            self.wfile.write(bytes([0x81, len(answer)]) + answer)
    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    def handle_error(self, *_):
        pass
Server(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
'''


def release(folder, name: str, version: str, way: str = "", handover: str = "overlap", instance: str = "app"):
    """The app's folder with another content: adding it again installs another release."""
    app = folder / f"handover-{name}"
    app.mkdir(exist_ok=True)
    text = SERVER.replace("@VERSION@", version).replace("@WAY@", way)
    (app / "server.py").write_text(text.replace("@ALONE@", "1" if handover == "exclusive" else ""))
    (app / "hasp-app.toml").write_text(textwrap.dedent(f"""\
        [app]
        name = "{name}"
        title = "{name}"
        kind = "process"
        access = "{'public' if instance == 'app' else 'users'}"
        instance = "{instance}"
        handover = "{handover}"
        [process]
        command = ["/usr/bin/python3", "-B", "{{app}}/server.py", "{{port}}", "{name}"]
        listen = "tcp:8080"
        ready_path = "/ready"
        ready_status = 200
        ready_s = 3
        stop_grace_s = 2
        [limits]
        processes = 40
        """))
    return app
