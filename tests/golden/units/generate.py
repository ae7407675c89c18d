"""Golden costs of what is counted in other units than tokens. Arithmetic of its own: fractions, rounded once, half up.

    python3 tests/golden/units/generate.py [--check]
"""

import json
import sys
from fractions import Fraction
from pathlib import Path

OUT = Path(__file__).with_name("units.jsonl")
# Field of a price, and how many of its class one unit of the field is.
FIELDS = {
    "image": ("per_image", 1),
    "duration": ("per_second", 1000),
    "page": ("per_page", 1),
    "search": ("per_search", 1),
    "character": ("per_million_characters", 1_000_000),
}
INPUT = ("input", "cache_read", "audio_in", "image_in")
OUTPUT = ("output", "reasoning", "audio_out")


def rate(price, name):
    """USD for one of a class; None where it has no price."""
    if name in FIELDS:
        field, size = FIELDS[name]
    else:
        side = "input" if name in INPUT else "output"
        field, size = (name if name in price else side), 1_000_000
    return Fraction(price[field]) / size if field in price else None


def cost(price, counts):
    """Of several counts of the same work those with a price count: all tokens or none, each other unit by itself."""
    tokens = {name: count for name, count in counts.items() if name not in FIELDS}
    units = {name: count for name, count in counts.items() if name in FIELDS and rate(price, name) is not None}
    if any(rate(price, name) is None for name in tokens):
        tokens = {}
    if not tokens and not units:
        return None
    usd = sum(rate(price, name) * count for name, count in {**tokens, **units}.items()) + Fraction(price.get("per_request", "0"))
    return int((usd * 10**9 + Fraction(1, 2)) // 1)


def cases():
    yield "dall-e, one", {"per_image": "0.04"}, {"image": 1}
    yield "dall-e, ten", {"per_image": "0.08"}, {"image": 10}
    yield "grok's image", {"per_image": "0.07"}, {"image": 3}
    yield "gpt-image-1, low", {"input": "5", "image_in": "10", "output": "40"}, {"input": 17, "output": 272, "image": 1}
    yield "gpt-image-1, edited", {"input": "5", "image_in": "10", "output": "40"}, {"input": 17, "image_in": 323, "output": 4160, "image": 1}
    yield "images at a price of one's own", {"per_image": "0.02"}, {"input": 17, "output": 272, "image": 2}
    yield "images and their tokens", {"per_image": "0.02", "input": "5", "output": "40"}, {"input": 17, "output": 272, "image": 2}
    for seconds in ("0.1", "1", "3.25", "7", "59.999", "3600"):
        millis = int(Fraction(seconds) * 1000)
        yield f"whisper, {seconds} s", {"per_second": "0.0001"}, {"duration": millis}
        yield f"whisper at Groq, {seconds} s", {"per_second": "0.00003083"}, {"duration": millis}
    yield "gpt-4o-transcribe", {"input": "2.5", "audio_in": "6", "output": "10"}, {"audio_in": 37, "output": 145}
    yield "voxtral by the second", {"per_second": "0.00005"}, {"input": 5, "audio_in": 375, "output": 11, "duration": 3000}
    yield "voxtral by the token", {"input": "0.04", "output": "0.04"}, {"input": 5, "audio_in": 375, "output": 11, "duration": 3000}
    for characters in (1, 33, 64, 4096, 1_000_001):
        yield f"tts-1, {characters}", {"per_million_characters": "15"}, {"character": characters}
        yield f"tts at Groq, {characters}", {"per_million_characters": "22"}, {"character": characters}
    yield "gpt-4o-mini-tts", {"input": "0.6", "output": "12"}, {"input": 12, "audio_out": 90, "character": 40}
    for searches in (1, 2, 37):
        yield f"cohere, {searches}", {"per_search": "0.002"}, {"search": searches}
    yield "voyage", {"input": "0.05"}, {"input": 2966}
    yield "rerank by token and by search", {"input": "0.05", "per_search": "0.001"}, {"input": 12, "search": 1}
    for pages in (1, 2, 999):
        yield f"ocr, {pages}", {"per_page": "0.001"}, {"page": pages}
    yield "ocr with annotations", {"per_page": "0.003", "input": "2", "output": "6"}, {"page": 4, "input": 100, "output": 50}
    yield "a fee for each request", {"per_image": "0.01", "per_request": "0.005"}, {"image": 2}
    yield "moderation", {"input": "0"}, {"input": 5000}
    yield "half a nano-dollar", {"per_second": "0.000000001"}, {"duration": 500}
    yield "less than half", {"per_second": "0.000000001"}, {"duration": 499}
    yield "nothing of it has a price", {"per_image": "1"}, {"input": 5, "duration": 1000}


def main():
    lines = [json.dumps({"name": name, "price": price, "classes": counts, "cost_nanousd": cost(price, counts)}) for name, price, counts in cases()]
    text = "\n".join(lines) + "\n"
    if "--check" in sys.argv:
        if OUT.read_text() != text:
            sys.exit(f"{OUT} is out of date")
        return
    OUT.write_text(text)
    print(len(lines), "cases")


if __name__ == "__main__":
    main()
