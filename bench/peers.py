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
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /auth {{ internal; return 204; }}
    location /apps/bench/ {{
      {auth}
      proxy_pass http://backend/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
    }}
  }}
}}
"""


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
    def __init__(self, folder: Path, port: int, backend: int, core: int, duties: bool = True):
        folder.mkdir()
        self.port = port
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(
            folder=folder, port=port, backend=backend, user="user nobody nogroup;" if os.getuid() == 0 else "",
            access=f"{folder}/access.log combined buffer=64k" if duties else "off",
            auth="auth_request /auth;" if duties else ""))
        self.process = subprocess.Popen(["taskset", "-c", str(core), "nginx", "-e", str(folder / "error.log"), "-p", str(folder),
                                         "-c", str(config), "-g", "daemon off;"])
        listening(port)

    @property
    def pid(self) -> int:
        return self.process.pid

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


class BackendProcess:
    def __init__(self, port: int, body: int, core: int):
        self.port = port
        self.process = subprocess.Popen(["taskset", "-c", str(core), str(TOOLS / "backend"), str(port), str(body)],
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def load(port: int, connections: int, count: int, rate: float, request: Path, core: int) -> dict:
    done = subprocess.run(["taskset", "-c", str(core), str(TOOLS / "load"), str(port), str(connections), str(count),
                           f"{rate:.1f}", str(request)], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"the load generator failed: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def nginx_version() -> str:
    path = shutil.which("nginx") or "/usr/sbin/nginx"
    return subprocess.run([path, "-v"], capture_output=True, text=True, check=True).stderr.strip().split("/")[-1]
