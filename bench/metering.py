"""bench/run metering: what a request costs to be metered, and an event to become durable. bench/README.md has the method."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Figure, finish

ROUNDS = 9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    tool = os.environ["HASP_BENCH_METERING"]
    request = Figure("request_ns", "ns/request", "min", 50)
    event = Figure("event_us", "us/event", "min", 0.4)
    parts = [Figure(name, "us/event", "min", None) for name in ("encode_us", "sign_us", "wall_us")]
    small = Figure("small_batch_us", "us/batch", "min", None)
    # On the disk that the project is on: a memory file system would leave out what fsync costs.
    with tempfile.TemporaryDirectory(prefix="metering.", dir=Path(__file__).resolve().parent.parent / "build") as folder:
        for number in range(chosen.rounds):
            done = subprocess.run([tool, f"{folder}/{number}"], capture_output=True, text=True, check=True, timeout=600)
            seen = json.loads(done.stdout)
            for figure in [request, event, *parts, small]:
                figure.add(seen[figure.name])
            print(f"round {number + 1}: request {seen['request_ns']:.1f} ns, event {seen['event_us']:.3f} us, "
                  f"{seen['bytes_per_event']:.1f} bytes an event on the disk", flush=True)
    return finish([request, event, *parts, small], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
