"""How much of each adapter its tests run: lines, by the compiler's own counters."""

import glob
import json
import os
import re
import shutil
import subprocess

from base import ROOT, Case, say

LEAST = 95
# Adapters, and what their tests stand on. The corpus of the fuzzer runs with every test run, so it counts.
JUDGED = sorted(os.path.basename(folder) for folder in glob.glob(str(ROOT / "crates" / "weir-adapter-*")))
PACKAGES = [*JUDGED, "weir-adapter", "weir-wire", "weir-fuzz"]
# Reads the counters without LLVM's tools, which no registry has for this compiler.
TOOL = ("llvm_profparser", "0.15.0")


def tool() -> str:
    root = ROOT / "tests" / ".cache" / "tools"
    program = root / "bin" / "cov"
    if not program.exists():
        subprocess.run(["cargo", "install", TOOL[0], "--version", TOOL[1], "--locked", "--root", root], check=True)
    return str(program)


def executables(command: list[str], environment: dict[str, str]) -> list[str]:
    listed = subprocess.run([*command, "list", *packages(), "--list-type", "binaries-only", "--message-format", "json"],
                            cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    return [binary["binary-path"] for binary in json.loads(listed)["rust-binaries"].values()]


def packages() -> list[str]:
    return ["--locked", *(word for package in PACKAGES for word in ("-p", package))]


def lines(text: str) -> dict[str, dict[str, dict[int, int]]]:
    """How often each line of each crate's sources was run, without those of tests."""
    found: dict[str, dict[str, dict[int, int]]] = {}
    file: dict[int, int] | None = None
    for line in text.splitlines():
        if line.startswith("/"):
            named = re.search(re.escape(str(ROOT)) + r"/crates/([^/]+)/src/(.*)\.rs$", line)
            of_tests = named and (named[2].endswith("tests") or "tests/" in named[2] or named[2].startswith("testkit"))
            file = found.setdefault(named[1], {}).setdefault(named[2], {}) if named and not of_tests else None
            continue
        counted = re.match(r"\s*(\d+)\|\s*(\d*)\|(.*)$", line)
        if file is None or not counted:
            continue
        if counted[3].startswith("#[cfg(test)]"):
            file = None
        elif counted[2]:
            number = int(counted[1])
            file[number] = max(file.get(number, 0), int(counted[2]))
    return found


def coverage(case: Case) -> dict:
    """Lines of each adapter that its tests run: at least 95 % (crates.io's llvm_profparser reads the counters)"""
    program, raw = tool(), case.folder / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    environment = {**os.environ, "RUSTFLAGS": "-C instrument-coverage", "CARGO_TARGET_DIR": str(case.folder / "target"),
                   "LLVM_PROFILE_FILE": str(raw / "%p-%m.profraw")}
    environment.pop("RUSTC_WORKSPACE_WRAPPER", None)
    command = ["cargo", "nextest"]
    subprocess.run([*command, "run", *packages(), "--status-level", "fail"], cwd=ROOT, env=environment, check=True)
    objects = executables(command, {**environment, "LLVM_PROFILE_FILE": "/dev/null"})
    arguments = [word for path in glob.glob(str(raw / "*.profraw")) for word in ("--instr-profile", path)]
    arguments += [word for path in objects for word in ("--object", path)]
    shown = subprocess.run([program, "show", *arguments], check=True, capture_output=True, text=True, errors="replace").stdout
    found, result = lines(shown), {}
    missed = []
    for crate, files in sorted(found.items()):
        run = sum(1 for file in files.values() for count in file.values() if count)
        total = sum(len(file) for file in files.values())
        result[crate] = round(100 * run / total, 2) if total else 0
        say(f"{crate:26} {run} of {total} lines, {result[crate]} %")
        missed += [(len(never), f"{crate}/src/{name}.rs", never) for name, file in files.items() if (never := [line for line, count in sorted(file.items()) if not count])]
    (case.folder / "never-run.json").write_text(json.dumps([{"file": name, "lines": never} for _, name, never in sorted(missed, reverse=True)], indent=1))
    few = {crate: result.get(crate, 0) for crate in JUDGED if result.get(crate, 0) < LEAST}
    if few:
        raise RuntimeError(f"fewer than {LEAST} % of lines: {few}; what is never run stands in {case.folder / 'never-run.json'}")
    return {"percent": result}


CASES = {"coverage": coverage}
