"""Reads what a test runner left, prints one line, and adds it to the totals of tests/run.

    tally.py nextest-part LOG | cargo LOG | junit FILE

`nextest-part` is a part of the tests that another group completes: what its filter leaves out is not skipped.

Exits 1 where a test failed or none was found.
"""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree


def nextest_part(path: str) -> tuple[int, int, int]:
    text = re.sub(r"\x1b\[[0-9;]*m", "", open(path, errors="replace").read())
    lines = re.findall(r"^\s*Summary \[.*$", text, re.MULTILINE)
    if not lines:
        return 0, 0, 0

    def number(words: str) -> int:
        found = re.search(rf"(\d+) {words}", lines[-1])
        return int(found.group(1)) if found else 0

    failed = number("failed") + number("timed out") + number("exec failed")
    return number("passed"), failed, 0


def cargo(path: str) -> tuple[int, int, int]:
    text = open(path, errors="replace").read()
    found = re.findall(r"^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored", text, re.MULTILINE)
    return tuple(sum(int(line[at]) for line in found) for at in range(3))


def junit(path: str) -> tuple[int, int, int]:
    passed = failed = skipped = 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main() -> int:
    kind, path = sys.argv[1:3]
    try:
        passed, failed, skipped = {"nextest-part": nextest_part, "cargo": cargo, "junit": junit}[kind](path)
    except (OSError, ElementTree.ParseError) as error:
        print(f"{path}: {error}")
        return 1
    tally = os.environ.get("WEIR_TALLY")
    if tally:
        with open(tally, "a") as file:
            file.write(f"count {passed} {failed} {skipped}\n")
    print(f"counted: {passed} passed, {failed} failed, {skipped} skipped.")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
