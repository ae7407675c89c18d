"""Fuzzing: libFuzzer before each target of `tests/fuzz`, from the committed corpus on."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from base import ROOT, Case, say

FUZZ = ROOT / "tests" / "fuzz"
sys.path.insert(0, str(FUZZ))
import pack  # noqa: E402
import seeds  # noqa: E402

SECONDS = int(os.environ.get("WEIR_FUZZ_SECONDS", "60"))
# `WEIR_KEEP`: what was found to reach more code goes into the committed corpus.
KEEP = bool(os.environ.get("WEIR_KEEP"))
MOST_BYTES = 8192
# Coverage of the stable compiler; no sanitizer is needed where no code is unsafe.
COVERAGE = ["level=4", "inline-8bit-counters", "pc-table", "trace-compares"]


def build(case: Case) -> Path:
    target = case.folder / "target"
    flags = ["-Cpasses=sancov-module", *(f"-Cllvm-args=-sanitizer-coverage-{word}" for word in COVERAGE), "--cfg fuzzing"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "RUSTFLAGS": " ".join(flags)}
    environment.pop("RUSTC_WORKSPACE_WRAPPER", None)
    # With a target named, build scripts and macros are built without coverage.
    host = re.search(r"^host: (\S+)", subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout, re.M)[1]
    subprocess.run(["cargo", "build", "--release", "--locked", "--target", host], cwd=FUZZ / "libfuzzer", env=environment, check=True)
    return target / host / "release" / "weir-libfuzzer"


def look(program: Path, case: Case, name: str) -> dict:
    """Looks for inputs that do harm; what was found is in the case's folder."""
    found, packed, log = case.folder / "corpus" / name, FUZZ / "corpus" / f"{name}.pack", case.folder / f"{name}.log"
    shutil.rmtree(found, ignore_errors=True)
    known = pack.unpack(packed, found)
    seeds.write(name, found)
    artifacts = case.folder / "artifacts"
    artifacts.mkdir(exist_ok=True)
    environment = {**os.environ, "WEIR_FUZZ_TARGET": name}
    limits = [f"-max_total_time={SECONDS}", f"-max_len={MOST_BYTES}", "-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1"]
    command = [program, *limits, f"-artifact_prefix={artifacts}/{name}-", found]
    with log.open("wb") as out:
        code = subprocess.run(command, env=environment, stdout=out, stderr=out, check=False, timeout=SECONDS + 300).returncode
    text = log.read_text(errors="replace")
    covered = re.findall(r"cov: (\d+)", text)
    runs = re.search(r"stat::number_of_executed_units: (\d+)", text)
    wrong = re.search(r"panicked at (.*?):\n(.*)", text)
    result = {"known": known, "runs": int(runs[1]) if runs else 0, "covered": int(covered[-1]) if covered else 0}
    if code:
        result["wrong"] = " ".join(wrong.groups()) if wrong else text[-300:]
    elif KEEP:
        least = case.folder / "least" / name
        shutil.rmtree(least, ignore_errors=True)
        least.mkdir(parents=True)
        merge = [program, "-merge=1", "-use_counters=0", f"-max_len={MOST_BYTES}", least, found]
        subprocess.run(merge, env=environment, capture_output=True, check=True)
        result["kept"] = pack.pack(least, packed)
    say(f"{name:20} {result}")
    return result


def fuzz(case: Case) -> dict:
    """60 s of libFuzzer for each front, decoder and splitter (WEIR_FUZZ_SECONDS): nothing panics or hangs"""
    program = build(case)
    targets = sorted(file.stem for file in (FUZZ / "corpus").iterdir())
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = dict(zip(targets, pool.map(lambda name: look(program, case, name), targets)))
    result = {"seconds_each": SECONDS, "targets": found, "runs": sum(one["runs"] for one in found.values())}
    wrong = {name: one["wrong"] for name, one in found.items() if "wrong" in one}
    if wrong:
        raise RuntimeError(f"inputs that do harm, in {case.folder / 'artifacts'}: {wrong}")
    return result


CASES = {"fuzz": fuzz}
