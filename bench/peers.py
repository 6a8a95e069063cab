"""nginx as its friends would set it up, the backend and the load generator, each pinned to a core."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "build/bench"

NGINX = """
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
{user}
events {{ worker_connections 8192; multi_accept on; }}
http {{
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 75s;
  access_log {access};
  proxy_buffers 8 32k;
  proxy_buffer_size 32k;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{upstreams}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
{listen_tls}
    location = /auth {{ internal; return 204; }}
{locations}
  }}
}}
"""

UPSTREAM = """
  upstream {name} {{ server 127.0.0.1:{port}; keepalive 256; keepalive_requests 1000000000; }}"""

LOCATION = """
    location /apps/{app}/ {{
      {auth}
      proxy_pass {scheme}://{upstream}{path};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
{tls}
    }}"""

FILES = """
    location /apps/{app}/ {{
      {auth}
      alias {root}/;
    }}"""

# The other end shows a certificate that is verified, and asks for ours.
TO_TLS = """
      proxy_ssl_certificate {cert}; proxy_ssl_certificate_key {key};
      proxy_ssl_trusted_certificate {ca}; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse on;"""


class Certificates:
    """An authority, and one certificate of it for localhost, made by openssl."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "own.pem", folder / "own.key"
        request, names = folder / "own.csr", folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for command in (["req", "-x509", *curve, "-keyout", folder / "ca.key", "-out", self.ca, "-days", "2", "-subj", "/CN=bench"],
                        ["req", "-new", *curve, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost"],
                        ["x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", folder / "ca.key", "-CAcreateserial",
                         "-days", "2", "-extfile", names, "-out", self.cert]):
            subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
        for file in (folder, self.ca, self.cert, self.key):  # servers drop their rights before they read
            file.chmod(0o755)


def listening(port: int, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise SystemExit(f"nothing listens at port {port}") from None


class Nginx:
    """apps: {app: (port, True when TLS leads there)}. With `tls_port` browsers are served there too; `mutual`: they show a
    certificate, as a tier below would. `files`: (app, folder) of static files."""

    def __init__(self, folder: Path, port: int, apps: dict, core: int, duties: bool = True, certificates=None,
                 tls_port: int = 0, mutual: bool = False, keep_path: bool = False, files=None):
        folder.mkdir()
        self.port, self.tls_port = port, tls_port
        listen_tls = ""
        if tls_port:
            listen_tls = (f"    listen 127.0.0.1:{tls_port} ssl backlog=4096;\n    ssl_certificate {certificates.cert};\n"
                          f"    ssl_certificate_key {certificates.key};\n    ssl_protocols TLSv1.3;\n")
            if mutual:
                listen_tls += f"    ssl_client_certificate {certificates.ca};\n    ssl_verify_client on;\n"
        locations = upstreams = ""
        for app, (to, tls) in apps.items():
            upstreams += UPSTREAM.format(name=f"to_{app}", port=to)
            locations += LOCATION.format(
                app=app, auth="auth_request /auth;" if duties else "", scheme="https" if tls else "http", upstream=f"to_{app}",
                path="" if keep_path else "/",
                tls=TO_TLS.format(cert=certificates.cert, key=certificates.key, ca=certificates.ca) if tls else "")
        if files:
            locations += FILES.format(app=files[0], auth="auth_request /auth;" if duties else "", root=files[1])
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(
            folder=folder, port=port, upstreams=upstreams, locations=locations, listen_tls=listen_tls,
            user="user nobody nogroup;" if os.getuid() == 0 else "",
            access=f"{folder}/access.log combined buffer=64k" if duties else "off"))
        self.process = subprocess.Popen(["taskset", "-c", str(core), "nginx", "-e", str(folder / "error.log"), "-p", str(folder),
                                         "-c", str(config), "-g", "daemon off;"])
        listening(port)

    @property
    def pid(self) -> int:
        return self.process.pid

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


class Tool:
    """A tool of the bench that listens at a port, on a core of its own."""

    def __init__(self, core: int, name: str, port: int, *arguments):
        self.port = port
        self.process = subprocess.Popen(["taskset", "-c", str(core), str(TOOLS / name), str(port), *map(str, arguments)],
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise SystemExit(f"bench/tools/{name} does not start")

    @property
    def pid(self) -> int:
        return self.process.pid

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()


def load(port: int, connections: int, count: int, rate: float, request: Path, core: int, ca=None) -> dict:
    done = subprocess.run(["taskset", "-c", str(core), str(TOOLS / "load"), str(port), str(connections), str(count),
                           f"{rate:.1f}", str(request), *([str(ca)] if ca else [])],
                          capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"the load generator failed: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def nginx_version() -> str:
    path = shutil.which("nginx") or "/usr/sbin/nginx"
    return subprocess.run([path, "-v"], capture_output=True, text=True, check=True).stderr.strip().split("/")[-1]
