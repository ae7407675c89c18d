"""Checks the Markdown files: each relative link and each path in backquotes that looks like a file of the project exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Paths in backquotes are checked below these folders; others may be examples.
FOLDERS = ("crates/", "tests/", "docs/", "deploy/", "docker/", "config/", "migrations/", ".ci/")


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\n") if name and (ROOT / name).exists()]


def anchors(text: str) -> set[str]:
    """The anchors of a file's headings, as forges make them."""
    found = set()
    for heading in re.findall(r"^#+ +(.*)$", text, re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", re.sub(r"`", "", heading).lower())
        found.add(kept.replace(" ", "-"))
    return found


def exists(base: Path, target: str) -> bool:
    return any(base.glob(target.rstrip("/")))


def main() -> int:
    problems = []
    checked = 0
    for file in files():
        name, text = file.relative_to(ROOT), file.read_text()
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", target):
                continue
            checked += 1
            path, _, anchor = target.partition("#")
            aimed = file if not path else (file.parent / path)
            if not aimed.exists():
                problems.append(f"{name}: there is no {target}")
            elif anchor and aimed.suffix == ".md" and anchor not in anchors(aimed.read_text()):
                problems.append(f"{name}: {path or name} has no heading #{anchor}")
        for quoted in re.findall(r"`([\w./*-]+)`", prose):
            if quoted.startswith(FOLDERS) and not re.search(r"NAME|CASE|GROUP|\.\.\.", quoted):
                checked += 1
                if not (exists(ROOT, quoted) or exists(file.parent, quoted) or exists(ROOT, f"crates/*/{quoted}")):
                    problems.append(f"{name}: there is no {quoted}")
    print("\n".join(problems) or f"{checked} links and paths lead somewhere")
    return 1 if problems or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
