"""Prints a result of the bench as a table.  python3 table.py RESULT.json"""

import json
import statistics
import sys
from pathlib import Path


def values(runs: list[dict], path: str) -> list[float]:
    found = []
    for run in runs:
        value = run
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found.append(value)
    return found


def render(result: dict) -> str:
    subjects, rate = result["subjects"], result["settings"]["rate"]
    events = 103
    rows = [
        ("small chat: CPU µs a request", "small.cpu_us", 1, True),
        ("small chat: requests a second", "small.rps", 1, False),
        ("small chat from the cache: CPU µs a request", "kept.cpu_us", 1, True),
        ("small chat from the cache: requests a second", "kept.rps", 1, False),
        ("100 KB chat: CPU µs a request", "large.cpu_us", 1, True),
        ("100 KB chat: requests a second", "large.rps", 1, False),
        ("stream of 100: CPU µs an event", "stream.cpu_us", 1 / events, True),
        ("stream of 100: streams a second", "stream.rps", 1, False),
        (f"{rate} a second: p50 µs", "rate.p50_us", 1, False),
        (f"{rate} a second: p99 µs", "rate.p99_us", 1, False),
        ("1,000 slow streams: KiB a stream", "slow.kib_per_stream", 1, True),
        ("1,000 slow streams: CPU µs an event", "slow.cpu_us_per_event", 1, True),
        ("start to first answer, ms", "start_ms", 1, False),
        ("resident at rest, MiB", "rest_mib", 1, False),
        ("resident after load, MiB", "peak_mib", 1, False),
    ]
    names = list(subjects)
    lines = [["median (min)", *names, "weir ÷ nginx"]]
    for title, path, factor, _ in rows:
        line, medians = [title], {}
        for name in names:
            found = [value * factor for value in values(subjects[name], path)]
            if not found or (name == "direct" and path.endswith("_mib")):
                line.append("–")
                continue
            medians[name] = statistics.median(found)
            line.append(f"{number(medians[name])} ({number(min(found))})")
        both = medians.get("weir"), medians.get("nginx")
        line.append(f"{both[0] / both[1]:.2f}" if all(both) else "–")
        lines.append(line)
    for quantile in ("p50", "p99"):
        line = [f"{rate} a second: added {quantile} µs"]
        direct = values(subjects.get("direct", []), f"rate.{quantile}_us")
        for name in names:
            found = values(subjects[name], f"rate.{quantile}_us")
            added = direct and found and name != "direct"
            line.append(number(statistics.median(found) - statistics.median(direct)) if added else "–")
        lines.append([*line, "–"])
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    text = [" | ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths))) for line in lines]
    text.insert(1, "-|-".join("-" * width for width in widths))
    machine = result["machine"]
    head = f"{result['date']}  {machine['cores']} cores, {machine['cpu']}  {result['settings']['runs']} run(s) of {result['settings']['seconds']:g} s"
    return "\n".join([head, *("| " + line + " |" for line in text)])


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    print(render(json.loads(Path(sys.argv[1]).read_text())))
