#!/usr/bin/env python3
"""Draws fastest.svg from what the case `market::fastest` saw in its full form (`tests/long/run market`)."""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEEN = HERE.parents[1] / "tests" / ".cache" / "market.json"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 420, 60, 50, 50


def curve(samples: list, column: int, step: float = 1.0) -> list[tuple[float, float]]:
    """The mean of each step of time."""
    sums: dict[int, list[float]] = {}
    for sample in samples:
        sums.setdefault(int(sample[0] / step), []).append(sample[column])
    return [((at + 0.5) * step, sum(values) / len(values)) for at, values in sorted(sums.items())]


def main() -> None:
    seen = json.loads(SEEN.read_text())
    fastest, weighted = seen["fastest"], seen["weighted"]
    end = max(sample[0] for sample in fastest)
    curves = [
        ("weighted: every target in turn", "#b0b0b0", curve(weighted, 1)),
        ("fastest", "#c0392b", curve(fastest, 1)),
        ("oracle", "#2c3e50", curve(fastest, 2)),
    ]
    most = max(value for _, _, points in curves for _, value in points) * 1.1
    x = lambda at: LEFT + at / end * (WIDTH - LEFT - 20)  # noqa: E731
    y = lambda value: HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM)  # noqa: E731
    mean = lambda samples, column: sum(sample[column] for sample in samples) / len(samples)  # noqa: E731
    own, oracle = mean(fastest, 1), mean(fastest, 2)
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="15">Time to the first token on a market that moves: {own:.1f} ms, the oracle {oracle:.1f} ms ({own / oracle:.3f} times), {len(fastest):,} calls</text>',
    ]
    for value in range(0, int(most) + 1, 50):
        text.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#eeeeee"/>')
        text.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
    for at in range(0, int(end) + 1, seen["turn_seconds"]):
        text.append(f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{at} s</text>')
    text.append(f'<text x="{LEFT}" y="{HEIGHT - 12}">The latencies drift twice a second and change places every {seen["turn_seconds"]} s. Means of a second, in ms.</text>')
    for number, (name, colour, points) in enumerate(curves):
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        text.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        text.append(f'<rect x="{LEFT + 10 + number * 230}" y="30" width="18" height="4" fill="{colour}"/>')
        text.append(f'<text x="{LEFT + 34 + number * 230}" y="36">{name}</text>')
    (HERE / "fastest.svg").write_text("\n".join([*text, "</svg>"]) + "\n")


if __name__ == "__main__":
    main()
