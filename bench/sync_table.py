"""The table of bench/run sync for people."""
import statistics


def amount(value: float, unit: str) -> str:
    if unit != "bytes":
        return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"
    return f"{value:.0f} B" if value < 10_000 else f"{value / 1e3:.0f} kB" if value < 10_000_000 else f"{value / 1e6:.1f} MB"


def span(values, unit: str) -> str:
    return f"{amount(statistics.median(values), unit)} ({amount(min(values), unit)} to {amount(max(values), unit)})"


def part(figure) -> str:
    return f"{figure.value / figure.peer_value:.4f}" if figure.peer_value else "-"


def show(rows: list, quick: bool) -> None:
    """rows: (workload, {bytes, cpu, wall and perhaps memory: figure}, limits as parts of rsync's, {peer that is only shown: figures})."""
    print()
    if quick:
        print("QUICK: smaller trees, no limits. These figures say nothing about hasp or rsync.")
    print("| figure | hasp | rsync's best | variant | hasp's part of it | target | |")
    print("|---|---|---|---|---|---|---|")
    for name, figures, limits, others in rows:
        for (key, figure), limit in zip(figures.items(), (*limits, None)):
            ours = span(figure.ours, figure.unit) if figure.unit != "MB" else f"{figure.value:.1f} MB (to {max(figure.ours):.1f})"
            if key == "memory":
                verdict = "" if figure.limit is None else "missed" if figure.misses() else "met"
                print(f"| {name}_{key} | {ours} | | | | ≤ {figure.limit} MB | {verdict} |" if figure.limit else f"| {name}_{key} | {ours} | | | | | |")
                continue
            theirs = span(figure.theirs, figure.unit)
            target = f"≤ {limit:g}" if limit and not quick else ""
            verdict = "" if not target or figure.limit is None else "missed" if figure.misses() else "met"
            print(f"| {name}_{key} | {ours} | {theirs} | {figure.variant} | {part(figure)} | {target} | {verdict} |")
            for other, shown in others.items():
                figure = shown[key]
                print(f"| | | {other}: {span(figure.theirs, figure.unit)} | | {part(figure)} | | |")
