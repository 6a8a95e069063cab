"""bench/run passon: processor time per request that is passed on, hasp against nginx. bench/README.md has the method."""
import sys

from compare import Case, cpu, main_of
from measure import Figure
from servers import Servers


def cases(servers: Servers) -> dict:
    """{name: a function that makes the case}: what is not chosen is not started."""
    at = servers
    large = {"count": 8_000, "target": "/apps/bench/page?size=102400"}

    def plain(name, connections, limit, **more):
        return lambda: Case(name, at.hasp(), at.nginx(), [(cpu(name, limit), "cpu_us")], connections, **more)

    def full(name, connections):
        return lambda: Case(name, at.hasp(), at.nginx(), [
            (cpu(f"plain_c{connections}_full"), "cpu_us"), (Figure(f"rps_c{connections}_full", "req/s", "max", None, "nginx"), "rps")],
            connections, rate_part=0)

    def late(name, part):
        figure = Figure(name, "us", "min", 1.0, "nginx", by_interval=True)
        return lambda: Case(name, at.hasp(), at.nginx(), [(figure, "p99_us")], rate_part=part)

    return {
        "plain_c32": plain("plain_c32", 32, 1.2),
        "plain_c256": plain("plain_c256", 256, 1.3),
        "full_c32": full("full_c32", 32),
        "full_c256": full("full_c256", 256),
        "own_us": lambda: Case("own_us", at.hasp(), at.relay(), [(Figure("own_us", "cpu_us/req", "min", 2.0), "above_us")],
                               rate_part=0.45),
        "tls_front": lambda: Case("tls_front", at.hasp(True), at.nginx(True), [(cpu("tls_front", 1.25), "cpu_us")]),
        "mtls_upstream": lambda: Case("mtls_upstream", at.hasp(), at.nginx(), [(cpu("mtls_upstream", 1.1), "cpu_us")],
                                      target="/apps/secure/page?id=17"),
        "body_100k": plain("body_100k", 32, 1.0, **large),
        "body_10m": plain("body_10m", 8, 1.0, count=160, target=f"/apps/bench/page?size={10 << 20}"),
        "body_100k_tls": lambda: Case("body_100k_tls", at.hasp(True), at.nginx(True), [(cpu("body_100k_tls", 1.0), "cpu_us")],
                                      **large),
        "post_chunked_16k": plain("post_chunked_16k", 32, 1.0, count=30_000, chunked_bytes=16 * 1024),
        "two_tiers": lambda: Case("two_tiers", at.two_hasp(), at.two_nginx(), [(cpu("two_tiers", 1.2), "cpu_us")], count=60_000),
        "p99_50": late("p99_50", 0.5),
        "p99_70": late("p99_70", 0.7),
        "bare_nginx_c32": lambda: Case("bare_nginx_c32", at.hasp(), at.nginx(duties=False),
                                       [(cpu("bare_nginx_c32", None, "bare"), "cpu_us")], rounds=3),
    }


if __name__ == "__main__":
    sys.exit(main_of("passon", Servers, cases))
