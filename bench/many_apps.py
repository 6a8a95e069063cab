"""How many instructions a request takes in an engine whose registry is large, against one with ten apps and ten users."""
import os
import re
import subprocess
import tempfile
from pathlib import Path

from measure import Figure

REQUESTS = 2_000
FEW, MANY = (10, 10), (100_000, 1_000_000)


def instructions(tool: str, apps: int, users: int) -> float:
    """Of the engine's thread in user mode, a request, from the moment that all is warm."""
    with tempfile.TemporaryDirectory(prefix="hasp-bench.") as folder:
        subprocess.run(["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", "--max-threads=1000",
                        f"--callgrind-out-file={folder}/out", tool, str(apps), str(users), str(REQUESTS)],
                       check=True, capture_output=True, text=True, timeout=3_000)
        loops = [text for file in Path(folder).glob("out-*") if "Reactor::run" in (text := file.read_text())]
    if len(loops) != 1:
        raise SystemExit(f"{len(loops)} threads have run a loop; one was expected")
    return int(re.search(r"^totals: (\d+)", loops[0], re.MULTILINE).group(1)) / REQUESTS


def measure_many_apps() -> Figure:
    tool = os.environ.get("HASP_BENCH_APPS")
    if not tool:
        raise SystemExit("HASP_BENCH_APPS names no bench_apps: bench/run builds it")
    few, many = instructions(tool, *FEW), instructions(tool, *MANY)
    print(f"instructions a request: {few:.0f} with {FEW[0]} apps and {FEW[1]} users, {many:.0f} with {MANY[0]} and {MANY[1]}", flush=True)
    figure = Figure("apps_100k", "times", "min", 1.05)
    figure.add(many / few)
    return figure
