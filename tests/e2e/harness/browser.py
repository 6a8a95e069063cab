"""An HTTP client that behaves like a browser: cookies by host name, Origin on unsafe methods, redirects when asked.

Every name under .localhost is reached at the address the browser was made with, as a browser resolves it; http.client
would ask a resolver that does not know such names.
"""
import contextlib
import http.client
import json
import urllib.parse
from dataclasses import dataclass, field

REDIRECTS_MAX = 10


@dataclass
class Answer:
    status: int
    headers: dict  # lower-case names; several of one name are joined by a line feed
    body: bytes
    url: str
    hops: list = field(default_factory=list)  # the answers that led here by redirect

    @property
    def rid(self) -> str:
        return self.headers.get("x-request-id", "")

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)


class Browser:
    def __init__(self, port: int, host: str = "localhost", address: str = "127.0.0.1", timeout: float = 60.0, tls=None):
        self.port, self.host, self.address, self.timeout, self.tls = port, host, address, timeout, tls
        self.cookies = {}  # host name -> {name: value}

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    def origin(self, host: str = "") -> str:
        return f"{self.scheme}://{host or self.host}:{self.port}"

    def _connection(self, host):
        if not self.tls:
            return http.client.HTTPConnection(self.address, self.port, timeout=self.timeout)
        connection = http.client.HTTPSConnection(self.address, self.port, timeout=self.timeout, context=self.tls)
        connection.connect = lambda: _tls_connect(connection, host)
        return connection

    def open(self, method: str, path: str, host: str = "", headers=None, body=None, cookies: bool = True):
        """Sends one request and returns (connection, answer not yet read)."""
        host = host or self.host
        sent = {"Host": f"{host}:{self.port}", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent": "hasp-test"}
        jar = self.cookies.get(host, {})
        if cookies and jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        if method not in ("GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"):
            sent["Origin"] = self.origin(host)
        sent.update(headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        connection = self._connection(host)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        chunked = body is not None and not isinstance(body, (bytes, str)) and "Content-Length" not in sent
        if isinstance(body, str):
            body = body.encode()
        if isinstance(body, bytes):
            sent.setdefault("Content-Length", str(len(body)))
        elif chunked:
            sent["Transfer-Encoding"] = "chunked"
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body, encode_chunked=chunked)
        response = connection.getresponse()
        self._keep_cookies(host, response)
        return connection, response

    def _keep_cookies(self, host, response):
        for line in response.headers.get_all("Set-Cookie") or []:
            pair, *attributes = [part.strip() for part in line.split(";")]
            name, _, value = pair.partition("=")
            low = [a.lower() for a in attributes]
            jar = self.cookies.setdefault(host, {})
            if any(a.startswith("max-age=") and int(a[8:]) <= 0 for a in low) or not value:
                jar.pop(name, None)
            else:
                jar[name] = value

    def request(self, method: str, path: str, host: str = "", headers=None, body=None, follow: bool = False,
                cookies: bool = True) -> Answer:
        host = host or self.host
        hops = []
        while True:
            connection, response = self.open(method, path, host, headers, body, cookies)
            with contextlib.closing(connection):
                data = response.read()
            names = {}
            for name, value in response.headers.items():
                name = name.lower()
                names[name] = names[name] + "\n" + value if name in names else value
            answer = Answer(response.status, names, data, self.origin(host) + path, list(hops))
            if not follow or answer.status not in (301, 302, 303, 307, 308) or "location" not in names:
                return answer
            assert len(hops) < REDIRECTS_MAX, f"more than {REDIRECTS_MAX} redirects, last to {names['location']}"
            hops.append(answer)
            target = urllib.parse.urlsplit(urllib.parse.urljoin(answer.url, names["location"]))
            assert (target.port or (443 if self.tls else 80)) == self.port, f"redirected away from this tier: {names['location']}"
            host = target.hostname
            path = (target.path or "/") + (f"?{target.query}" if target.query else "")
            if answer.status in (301, 302, 303):
                method, body = "GET", None

    def get(self, path: str, host: str = "", **rest) -> Answer:
        return self.request("GET", path, host, **rest)

    def post_form(self, path: str, fields: dict, host: str = "", headers=None, **rest) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        sent.update(headers or {})
        return self.request("POST", path, host, sent, urllib.parse.urlencode(fields), **rest)

    def log_in(self, user: str, password: str, next_path: str = "/", follow: bool = True) -> Answer:
        return self.post_form("/hasp/login", {"user": user, "password": password, "next": next_path}, follow=follow)

    def log_out(self) -> Answer:
        return self.post_form("/hasp/logout", {}, follow=True)


def _tls_connect(connection, name):
    http.client.HTTPConnection.connect(connection)
    connection.sock = connection._context.wrap_socket(connection.sock, server_hostname=name)


def basic(user: str, secret: str) -> dict:
    import base64
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


def bearer(token: str) -> dict:
    return {"Authorization": "Bearer " + token}
