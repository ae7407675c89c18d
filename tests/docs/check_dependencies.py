"""Checks every dependency against deny.toml: licence, source, bans. What cargo-deny checks, without having to build it."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def packages(target: str) -> list[dict]:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features", "--filter-platform", target]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if output.returncode != 0:
        sys.exit(output.stderr)
    metadata = json.loads(output.stdout)
    reached = {node["id"] for node in metadata["resolve"]["nodes"]}
    return [package for package in metadata["packages"] if package["id"] in reached]


def allows(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with the allowed licences. `/` is the old way to write OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    joined, at = [], 0
    while at < len(tokens):
        if tokens[at] == "WITH":
            joined[-1] += f" WITH {tokens[at + 1]}"
            at += 1
        else:
            joined.append(tokens[at])
        at += 1
    words = {"(": "(", ")": ")", "OR": " or ", "AND": " and "}
    formula = "".join(words.get(token) or str(token in allowed) for token in joined)
    if re.sub(r"True|False|and|or|[() ]", "", formula):
        return False
    return bool(eval(formula))  # noqa: S307: only the words above are left in it


def main() -> int:
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    allowed, sources = set(rules["licenses"]["allow"]), set(rules["sources"]["allow-registry"])
    banned = {rule["crate"]: rule["reason"] for rule in rules["bans"]["deny"]}
    problems, used = [], set()
    found = packages(rules["graph"]["targets"][0])
    for package in found:
        name, source = f"{package['name']} {package['version']}", package["source"]
        if package["name"] in banned:
            problems.append(f"{name} is banned: {banned[package['name']]}")
        if source is None:
            continue
        if source.removeprefix("registry+") not in sources:
            problems.append(f"{name} comes from {source}")
        licence = package["license"] or ""
        used.update(word for word in allowed if word in licence)
        if not licence or not allows(licence, allowed):
            problems.append(f"{name} has the licence {licence or '(none)'}; deny.toml doesn't allow it")
    problems += [f"deny.toml allows {licence}, which no dependency has" for licence in sorted(allowed - used)]
    print("\n".join(problems) or f"{len(found)} packages keep the rules")
    return 1 if problems else 0


def self_test() -> None:
    allowed = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"}
    for expression, expected in [
        ("MIT", True),
        ("GPL-3.0", False),
        ("GPL-3.0 OR MIT", True),
        ("GPL-3.0 AND MIT", False),
        ("(MIT OR GPL-3.0) AND Apache-2.0", True),
        ("MIT/Apache-2.0", True),
        ("GPL-2.0 WITH Classpath-exception", False),
        ("Apache-2.0 WITH LLVM-exception", True),
    ]:
        assert allows(expression, allowed) is expected, expression


if __name__ == "__main__":
    self_test()
    sys.exit(main())
