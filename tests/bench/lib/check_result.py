"""Checks that a result of the bench holds every measurement, and none that can't be.  python3 check_result.py RESULT.json"""

import json
import sys
from pathlib import Path

from table import values

EACH = ["small.rps", "large.rps", "stream.rps", "rate.p50_us", "rate.p99_us"]
GATEWAYS = ["small.cpu_us", "large.cpu_us", "stream.cpu_us", "slow.kib_per_stream", "start_ms", "rest_mib", "peak_mib"]


def main() -> int:
    result = json.loads(Path(sys.argv[1]).read_text())
    problems = [] if set(result["subjects"]) == {"direct", "nginx", "weir"} else ["not all subjects were measured"]
    for name, runs in result["subjects"].items():
        # An answer from the cache costs half of what the cheapest call of a provider costs, or less. A run of two seconds
        # on a busy machine does not tell.
        for asked, kept in zip(values(runs, "small.cpu_us"), values(runs, "kept.cpu_us")):
            told = f"{name}: a call from the cache takes {kept:.1f} µs, one of a provider {asked:.1f}"
            if kept > asked / 2 and not result["quick"]:
                problems.append(told)
            else:
                print(told)
        if name == "weir" and len(values(runs, "kept.cpu_us")) != result["settings"]["runs"]:
            problems.append("weir: the cache was not measured")
        for path in EACH + (GATEWAYS if name != "direct" else []):
            found = values(runs, path)
            if len(found) != result["settings"]["runs"] or not all(value > 0 for value in found):
                problems.append(f"{name}: {path}: {found}")
    print("\n".join(problems) or "complete")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
