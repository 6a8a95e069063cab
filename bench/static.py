"""bench/run static: processor time per request for a file of a local static app, hasp against nginx. bench/README.md has the method."""
import sys

from compare import Case, cpu, main_of
from servers import Servers


def cases(servers: Servers) -> dict:
    def of(name, file, count):
        return lambda: Case(name, servers.static_hasp(), servers.static_nginx(), [(cpu(name, 1.0), "cpu_us")], count=count,
                            target=f"/apps/files/{file}")
    return {"static_1k": of("static_1k", "1k.html", 100_000), "static_100k": of("static_100k", "100k.bin", 20_000)}


if __name__ == "__main__":
    sys.exit(main_of("static", Servers, cases))
