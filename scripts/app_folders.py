#!/usr/bin/python3
"""Makes the release folders of the demo's apps: app_folders.py OUT [NAME…]

Each is apps/NAME with the program beside it from node_modules of the committed lock file.
A folder that is newer than everything it was made from is left alone.
"""
import os
import shutil
import sys
from pathlib import Path


APPS = Path(__file__).resolve().parent.parent / "apps"

# What a TiddlyWiki server does not read: some 8,000 files of other editions, languages and reports.
WIKI_KEEP_EDITIONS = {"server", "empty"}
WIKI_DROP = ("languages", "playwright-report", "node_modules")


def copy_source(name: str, out: Path) -> None:
    shutil.copytree(APPS / name, out, symlinks=True, ignore=shutil.ignore_patterns(
        "node_modules", "package-lock.json", "package.json", ".npmrc", "*.md.in"))


def wiki(out: Path) -> None:
    def skip(folder, names):
        if folder.endswith("/tiddlywiki"):
            return [n for n in names if n in WIKI_DROP]
        if folder.endswith("/tiddlywiki/editions"):
            return [n for n in names if n not in WIKI_KEEP_EDITIONS]
        return []

    shutil.copytree(APPS / "wiki/node_modules/tiddlywiki", out / "node_modules/tiddlywiki", ignore=skip)


def flows(out: Path) -> None:
    # npm's links of commands are not needed and a release has no links that leave its folder.
    shutil.copytree(APPS / "flows/node_modules", out / "node_modules", symlinks=True,
                    ignore=shutil.ignore_patterns(".bin", ".package-lock.json", ".hasp-lock", "*.map", "test", "tests"))


def leaflets(out: Path) -> None:
    program = APPS / "leaflets/node_modules/reveal.js"
    for part in ("dist", "plugin"):
        shutil.copytree(program / part, out / part, ignore=shutil.ignore_patterns("*.map"))
    shutil.copy(program / "LICENSE", out / "LICENSE")


PROGRAMS = {"wiki": wiki, "flows": flows, "leaflets": leaflets}


def newest(folder: Path) -> float:
    times = [p.stat().st_mtime for p in [folder, *folder.rglob("*")] if "node_modules" not in p.parts]
    lock = folder / "node_modules/.hasp-lock"
    return max(times + ([lock.stat().st_mtime] if lock.exists() else []) + [Path(__file__).stat().st_mtime])


def make(name: str, out_root: Path) -> None:
    out = out_root / name
    stamp = out_root / f".{name}.made"
    if out.exists() and stamp.exists() and stamp.stat().st_mtime >= newest(APPS / name):
        return
    new = out_root / f".{name}.new"
    for old in (new, out):
        shutil.rmtree(old, ignore_errors=True)
    copy_source(name, new)
    PROGRAMS.get(name, lambda _: None)(new)
    os.rename(new, out)
    stamp.touch()
    print(f"made {out.relative_to(APPS.parent) if out.is_relative_to(APPS.parent) else out}")


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    out_root = Path(sys.argv[1]).resolve()
    out_root.mkdir(parents=True, exist_ok=True)
    names = sys.argv[2:] or sorted(p.name for p in APPS.iterdir() if p.is_dir())
    for name in names:
        make(name, out_root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
