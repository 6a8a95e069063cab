"""An app for the tests: it does what its path says, and tells what it saw."""
import http.server, os, signal, socket, socketserver, sys, urllib.parse


def tried(action):
    try:
        return "ok " + str(action())
    except OSError as error:
        return "refused " + os.strerror(error.errno or 0)


def fork_many():
    children = 0
    try:
        while children < 500:
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children += 1
    except OSError:
        pass
    return children


def fork_away():
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.pause()
        os._exit(0)
    return pid


def connect(host, port):
    s = socket.socket()
    s.settimeout(2)
    s.connect((host, port))


def take_memory(mb):
    try:
        return len(bytearray(mb * 1024 * 1024))
    except MemoryError:
        return "MemoryError"


class Handler(http.server.BaseHTTPRequestHandler):
    probes = 0

    def log_message(self, *args):
        pass

    def address_string(self):
        return "client"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        word = urllib.parse.unquote(url.query)
        acts = {
            "/": lambda: "hello",
            "/probes": lambda: Handler.probes,
            "/read": lambda: tried(lambda: open(word).read()),
            "/list": lambda: tried(lambda: " ".join(sorted(os.listdir(word)))),
            "/write": lambda: tried(lambda: open(word, "a").write("x")),
            "/env": lambda: os.environ.get(word, "(none)"),
            "/argv": lambda: " ".join(sys.argv[1:]),
            "/uid": lambda: "%d %d" % (os.getuid(), os.getpid()),
            "/fork": fork_many,
            "/fork_away": fork_away,
            "/connect": lambda: tried(lambda: connect(word.split(":")[0], int(word.split(":")[1]))),
            "/kill": lambda: tried(lambda: os.kill(int(word), 0)),
            "/memory": lambda: take_memory(int(word)),
            "/crash": self.crash,
            "/stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
            "/die": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "/lines": lambda: [print("line", i, flush=True) for i in range(int(word))],
        }
        act = acts.get(url.path)
        Handler.probes += url.path == "/"
        body = str(act() if act else "no such thing").encode()
        try:
            self.send_response(200 if act else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            pass  # nobody waits for the answer

    def crash(self):
        print("the database is broken", file=sys.stderr, flush=True)
        os._exit(3)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class TcpServer(http.server.ThreadingHTTPServer):
    def server_bind(self):
        socketserver.TCPServer.server_bind(self)


print("started", flush=True)
if sys.argv[1] == "unix":
    UnixServer(os.environ["HASP_SOCKET"], Handler).serve_forever()
else:
    TcpServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
