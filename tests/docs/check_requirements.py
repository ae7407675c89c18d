"""Checks docs/requirements.md: each ID once, a known state, a test for each `done`, and each test that is named exists."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "requirements.md"
GIVEN = ROOT.parent / "shared" / "design" / "REQUIREMENTS.md"
# The IDs by letter: how many there are, counted from 1 (`K` from 0).
COUNTS = dict(H=3, S=5, C=5, P=6, F=9, V=5, M=5, R=11, X=16, D=7, G=8, L=10, T=9, W=4, E=9)
STATES = {"done", "partial", "planned"}


def expected() -> set[str]:
    ids = {f"{letter}{number}" for letter, count in COUNTS.items() for number in range(1, count + 1)}
    return ids | {f"K{number}" for number in range(5)}


def given() -> set[str]:
    """The IDs of the page that the requirements come from, where it is at hand. `G5–G8` is four."""
    ids = set()
    for first, last in re.findall(r"^\| ([A-Z]\d+)(?:–([A-Z]\d+))? \|", GIVEN.read_text(), re.MULTILINE):
        numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
        ids |= {f"{first[0]}{number}" for number in numbers}
    return ids


def proof_problem(proof: str) -> str | None:
    """What is wrong with `path::name`, if anything."""
    path, _, name = proof.partition("::")
    file = ROOT / path
    if not file.is_file():
        return f"there is no {path}"
    text = file.read_text()
    found = {
        ".rs": rf"\bfn {re.escape(name)}\(",
        ".py": rf"^def {re.escape(name)}\(",
        ".js": rf"^test\(\"{re.escape(name)}\"",
        ".mjs": rf"^test\(\"{re.escape(name)}\"",
        ".sh": re.escape(name),
    }[file.suffix]
    return None if name and re.search(found, text, re.MULTILINE) else f"{path} has no {name or 'test named'}"


def main() -> int:
    problems, seen, states = [], [], dict.fromkeys(sorted(STATES), 0)
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or not re.fullmatch(r"[A-Z]\d+", cells[0]):
            continue
        identity, _, state, note, proofs = cells
        seen.append(identity)
        if state not in STATES:
            problems.append(f"{identity}: `{state}` is no state")
            continue
        states[state] += 1
        named = re.findall(r"`([^`]+)`", proofs)
        if state == "done" and not named:
            problems.append(f"{identity} is done and names no test")
        if state == "partial" and not note:
            problems.append(f"{identity} is partial and doesn't say what is there")
        problems += [f"{identity}: {wrong}" for wrong in map(proof_problem, named) if wrong]
    problems += [f"{identity} stands here {seen.count(identity)} times" for identity in sorted(set(seen)) if seen.count(identity) > 1]
    wanted = expected()
    if GIVEN.exists() and given() != wanted:
        problems.append(f"the given requirements have other IDs: {sorted(given() ^ wanted)}")
    problems += [f"{identity} is missing" for identity in sorted(wanted - set(seen))]
    problems += [f"{identity} is no requirement" for identity in sorted(set(seen) - wanted)]
    print("\n".join(problems) or f"{len(seen)} requirements: " + ", ".join(f"{count} {state}" for state, count in states.items()))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
