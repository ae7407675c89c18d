#!/usr/bin/env python3
"""Writes the golden usages: what providers reported, the disjoint classes in it, and what it costs.

    python3 tests/golden/usage/generate.py [--fixtures DIR] [--check]

Independent of weir on purpose: its own reading of the counts, its own arithmetic with `fractions.Fraction`, one
rounding. Where a provider billed the recorded call itself (xAI's ticks, OpenRouter's `cost`), the result must agree
with the bill, or this script fails. README.md beside this file states the rules in words.
"""

import argparse
import json
import re
import sys
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parents[3] / "shared" / "fixtures"
TOKENS = {
    "input": ("input", "input"), "cache_read": ("cache_read", "input"), "cache_write_5m": ("cache_write_5m", "input"),
    "cache_write_1h": ("cache_write_1h", "input"), "audio_in": ("audio_in", "input"), "image_in": ("image_in", "input"),
    "output": ("output", "output"), "reasoning": ("reasoning", "output"), "audio_out": ("audio_out", "output"),
}
PROMPT = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in"]

# USD per million tokens, per_search and per_request in USD. First match wins.
PRICES = [
    ("openai", "gpt-4o-mini-audio", dict(input="0.15", output="0.6", audio_in="10", audio_out="20")),
    ("openai", "gpt-4o-audio", dict(input="2.5", output="10", audio_in="40", audio_out="80")),
    ("openai", "gpt-audio-mini", dict(input="0.6", output="2.4", audio_in="10", audio_out="20")),
    ("openai", "gpt-audio", dict(input="2.5", output="10", audio_in="32", audio_out="64")),
    ("*", "gpt-4o-mini", dict(input="0.15", output="0.6", cache_read="0.075")),
    ("*", "gpt-4o", dict(input="2.5", output="10", cache_read="1.25")),
    ("*", "gpt-4.1-nano", dict(input="0.1", output="0.4", cache_read="0.025")),
    ("*", "gpt-4.1-mini", dict(input="0.4", output="1.6", cache_read="0.1")),
    ("*", "gpt-4.1", dict(input="2", output="8", cache_read="0.5")),
    ("*", "gpt-4$", dict(input="30", output="60")),
    ("*", "gpt-5-nano", dict(input="0.05", output="0.4", cache_read="0.005")),
    ("*", "gpt-5-mini", dict(input="0.25", output="2", cache_read="0.025")),
    ("*", "gpt-5.4-nano", dict(input="0.2", output="1.25", cache_read="0.02")),
    ("*", "gpt-5.4", dict(input="2.5", output="15", cache_read="0.25", above=[dict(input_tokens=272000, input="5", output="22.5", cache_read="0.5")])),
    ("*", "gpt-5-pro", dict(input="15", output="120")),
    ("*", "gpt-5.5", dict(input="5", output="30", cache_read="0.5")),
    ("*", "gpt-5.6-sol|gpt-5.6$", dict(input="4", output="20", cache_read="0.4", cache_write_5m="5")),
    ("*", "gpt-5.2", dict(input="1.75", output="14", cache_read="0.175")),
    ("*", "gpt-5", dict(input="1.25", output="10", cache_read="0.125")),
    ("*", "o1-mini|o3-mini|o4-mini", dict(input="1.1", output="4.4", cache_read="0.55")),
    ("*", "o1", dict(input="15", output="60", cache_read="7.5")),
    ("*", "gpt-3.5-turbo-instruct|gpt-35-turbo", dict(input="1.5", output="2")),
    ("*", "gpt-3.5-turbo", dict(input="0.5", output="1.5")),
    ("*", "text-embedding-3-small", dict(input="0.02")),
    ("*", "text-embedding-3-large", dict(input="0.13")),
    ("*", "ada", dict(input="0.1")),
    ("openrouter", "gpt-oss-120b", dict(input="0.03", output="0.15")),
    ("openrouter", "claude-sonnet-4.6", dict(input="3", output="15", cache_read="0.3", cache_write_5m="3.75")),
    ("openrouter", "claude-haiku-4.5", dict(input="1", output="5", cache_read="0.1", cache_write_5m="1.25")),
    ("openrouter", "gemini-2.5-flash$", dict(input="0.3", output="2.5", cache_read="0.03", audio_in="1")),
    ("openrouter", "grok-4-fast", dict(input="0.2", output="0.5", cache_read="0.05")),
    ("openrouter", "glm-5-turbo", dict(input="1.2", output="4", cache_read="0.24")),
    ("openrouter", "minimax-m2:free", dict(input="0", output="0")),
    ("openrouter", "deepseek-r1-distill-qwen-14b", dict(input="0.15", output="0.15")),
    ("azure", "claude-haiku-4-5", dict(input="1", output="5", cache_read="0.1", cache_write_5m="1.25", cache_write_1h="2")),
    ("azure", "claude-opus-4-1", dict(input="15", output="75", cache_read="1.5", cache_write_5m="18.75", cache_write_1h="30")),
    ("azure", "claude-opus-4-5", dict(input="5", output="25", cache_read="0.5", cache_write_5m="6.25", cache_write_1h="10")),
    ("azure", "claude-sonnet-4-5", dict(input="3", output="15", cache_read="0.3", cache_write_5m="3.75", cache_write_1h="6")),
    ("azure", "grok-4-1-fast", dict(input="0.2", output="0.5", cache_read="0.05")),
    ("azure", "deepseek-r1", dict(input="1.35", output="5.4")),
    ("anthropic", "haiku-4-5", dict(input="1", output="5", cache_read="0.1", cache_write_5m="1.25", cache_write_1h="2", per_search="0.01")),
    ("anthropic", "3-5-haiku", dict(input="0.8", output="4", cache_read="0.08", cache_write_5m="1", cache_write_1h="1.6")),
    ("anthropic", "claude-3-haiku", dict(input="0.25", output="1.25", cache_read="0.03", cache_write_5m="0.3")),
    ("anthropic", "opus-4-6|opus-4-5", dict(input="5", output="25", cache_read="0.5", cache_write_5m="6.25", cache_write_1h="10")),
    ("anthropic", "opus", dict(input="15", output="75", cache_read="1.5", cache_write_5m="18.75", cache_write_1h="30")),
    ("anthropic", "sonnet-5", dict(input="2", output="10", cache_read="0.2", cache_write_5m="2.5", cache_write_1h="4", per_search="0.01")),
    ("anthropic", "sonnet", dict(input="3", output="15", cache_read="0.3", cache_write_5m="3.75", cache_write_1h="6", per_search="0.01")),
    ("gemini", "gemini-2.5-pro", dict(input="1.25", output="10", cache_read="0.125", above=[dict(input_tokens=200000, input="2.5", output="15", cache_read="0.25")])),
    ("gemini", "gemini-3.5-flash", dict(input="1.5", output="9", cache_read="0.15")),
    ("gemini", "gemini-3-pro|gemini-3.1-pro", dict(input="2", output="12", cache_read="0.2", above=[dict(input_tokens=200000, input="4", output="18", cache_read="0.4")])),
    ("gemini", "gemini-3-flash", dict(input="0.5", output="3", cache_read="0.05", audio_in="1")),
    ("gemini", "gemini-2.0-flash|gemini-1.5", dict(input="0.1", output="0.4", cache_read="0.025", audio_in="0.7")),
    ("gemini", "embedding", dict(input="0.2", image_in="0.45")),
    ("gemini", "", dict(input="0.3", output="2.5", cache_read="0.03", audio_in="1")),
    ("deepseek", "v4-pro", dict(input="1.32", output="3.96", cache_read="0.044")),
    ("deepseek", "v4-flash", dict(input="0.3", output="1.2", cache_read="0.006")),
    ("deepseek", "", dict(input="0.28", output="0.42", cache_read="0.028")),
    ("mistral", "large", dict(input="0.5", output="1.5", cache_read="0.05")),
    ("mistral", "medium", dict(input="1.5", output="7.5", cache_read="0.15")),
    ("mistral", "small-latest", dict(input="0.15", output="0.6", cache_read="0.015", audio_in="4")),
    ("mistral", "embed", dict(input="0.1")),
    ("mistral", "", dict(input="0.1", output="0.1")),
    ("groq", "kimi-k2", dict(input="1", output="3", cache_read="0.5")),
    ("groq", "gpt-oss-120b", dict(input="0.15", output="0.6", cache_read="0.075")),
    ("groq", "llama-3.3-70b", dict(input="0.59", output="0.79")),
    ("groq", "maverick", dict(input="0.2", output="0.6")),
    ("xai", "grok-4-fast|grok-4-1-fast", dict(input="0.2", output="0.5", cache_read="0.05")),
    ("xai", "grok-4.3", dict(input="1.25", output="2.5", cache_read="0.2")),
    ("xai", "grok-4", dict(input="3", output="15", cache_read="0.75")),
    ("xai", "grok-code-fast-1", dict(input="0.2", output="1.5", cache_read="0.02")),
    ("xai", "grok-3-mini-fast", dict(input="0.6", output="4", cache_read="0.15")),
    ("xai", "grok-3-mini", dict(input="0.3", output="0.5", cache_read="0.075")),
    ("xai", "grok-3-fast", dict(input="5", output="25", cache_read="1.25")),
    ("xai", "grok-3", dict(input="3", output="15", cache_read="0.75")),
    ("perplexity", "sonar-reasoning-pro", dict(input="2", output="8", per_request="0.006")),
    ("perplexity", "sonar", dict(input="1", output="1", per_request="0.005")),
    ("perplexity", "embed", dict(input="0.004")),
    ("together", "Mixtral", dict(input="0.6", output="0.6")),
    ("together", "", dict(input="1.04", output="1.04")),
]


# === reading the counts ===

def openai(usage, convention):
    """OpenAI's shape. The total tells what stands outside of the prompt and the completion."""
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    total = usage.get("total_tokens")
    read = usage.get("prompt_tokens_details") or {}
    written = usage.get("completion_tokens_details") or {}
    first = lambda *values: next((value for value in values if value is not None), 0)
    cached = first(read.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"), usage.get("num_cached_tokens"))
    stored, audio, image = read.get("cache_write_tokens") or 0, read.get("audio_tokens") or 0, read.get("image_tokens") or 0
    reasoning, spoken = written.get("reasoning_tokens") or 0, written.get("audio_tokens") or 0
    beyond = (total or prompt + completion) - prompt - completion
    if audio and beyond == audio:  # Mistral: the audio stands beside the prompt
        prompt += audio
    if convention == "xai" or (reasoning and beyond == reasoning):
        completion += reasoning
    classes, left = {}, prompt
    for name, count in (("cache_read", cached), ("cache_write_5m", stored), ("audio_in", audio), ("image_in", image)):
        classes[name] = min(count, left)
        left -= classes[name]
    classes["input"], left = left, completion
    for name, count in (("reasoning", reasoning), ("audio_out", spoken)):
        classes[name] = min(count, left)
        left -= classes[name]
    classes["output"] = left
    return classes


def anthropic(usage, _):
    """Anthropic's: every count stands for itself, but the thinking is within the output."""
    output = usage.get("output_tokens") or 0
    thinking = min((usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0, output)
    split = usage.get("cache_creation") or {}
    hour, five = split.get("ephemeral_1h_input_tokens") or 0, split.get("ephemeral_5m_input_tokens") or 0
    stored = usage.get("cache_creation_input_tokens")
    stored = hour + five if stored is None else stored
    hour = min(hour, stored)
    classes = {
        "input": usage.get("input_tokens") or 0, "cache_read": usage.get("cache_read_input_tokens") or 0,
        "cache_write_5m": stored - hour, "cache_write_1h": hour, "output": output - thinking, "reasoning": thinking,
        "search": (usage.get("server_tool_use") or {}).get("web_search_requests") or 0,
    }
    for round in usage.get("iterations") or []:  # the message's counts leave those out that compacted the context
        if round["type"] == "compaction":
            classes = {name: count + anthropic(round, _).get(name, 0) for name, count in classes.items()}
    return classes


def gemini(usage, _):
    """Gemini's: the prompt contains the cached content, the candidates do not contain the thoughts."""
    def by_modality(key):
        return {detail["modality"]: detail.get("tokenCount") or 0 for detail in usage.get(key) or []}
    prompt, cached = usage.get("promptTokenCount") or 0, usage.get("cachedContentTokenCount") or 0
    read, kept = by_modality("promptTokensDetails") or by_modality("promptTokenDetails"), by_modality("cacheTokensDetails")
    spoken = by_modality("candidatesTokensDetails").get("AUDIO", 0)
    cached = min(cached, prompt)
    fresh = prompt - cached
    audio = min(max(read.get("AUDIO", 0) - kept.get("AUDIO", 0), 0), fresh)
    image = min(max(read.get("IMAGE", 0) - kept.get("IMAGE", 0), 0), fresh - audio)
    candidates = usage.get("candidatesTokenCount") or 0
    return {
        "input": fresh - audio - image + (usage.get("toolUsePromptTokenCount") or 0), "cache_read": cached, "audio_in": audio, "image_in": image,
        "output": candidates - min(spoken, candidates), "audio_out": min(spoken, candidates), "reasoning": usage.get("thoughtsTokenCount") or 0,
    }


READERS = {"openai": openai, "xai": openai, "anthropic": anthropic, "gemini": gemini}


# === cost ===

def rates(price, tier, prompt):
    """The fields in force: standard, then the tier, then the standard's steps, then the tier's."""
    own = price.get("batch", {}) if tier == "batch" else price.get("tiers", {}).get(tier, {}) if tier else {}
    fields = {**price, **own}
    for steps in (price.get("above", []), own.get("above", [])):
        for step in steps:
            if prompt > step["input_tokens"]:
                fields.update(step)
    return fields


def cost(classes, price, tier):
    """Nanodollars, and the sum in words."""
    fields = rates(price, tier, sum(classes.get(name, 0) for name in PROMPT))
    total, words = Fraction(0), []
    for name, count in classes.items():
        if name in TOKENS:
            rate = fields.get(TOKENS[name][0], fields.get(TOKENS[name][1]))
            per = 1_000_000
        else:
            rate, per = fields.get(f"per_{name}"), 1
        if rate is None:
            return None, f"{name} has no price"
        total += Fraction(count) * Fraction(rate) / per
        words.append(f"{count} {name} x {rate}" + ("/M" if per > 1 else ""))
    if classes and "per_request" in fields:
        total += Fraction(fields["per_request"])
        words.append(f"1 request x {fields['per_request']}")
    nano = total * 10**9
    return (2 * nano.numerator + nano.denominator) // (2 * nano.denominator), " + ".join(words) or "nothing"


def golden(name, provider, model, convention, usage, price, tier=None, source=None, note=None):
    classes = {key: count for key, count in READERS[convention](usage, convention).items() if count}
    order = [*TOKENS, "search"]
    classes = {key: classes[key] for key in order if key in classes}
    nano, words = cost(classes, price, tier)
    entry = dict(name=name, source=source, provider=provider, model=model, convention=convention, tier=tier, note=note,
                 usage=usage, price=price, classes=classes, arithmetic=words)
    return {**{key: value for key, value in entry.items() if value is not None}, "cost_nanousd": nano}


# === recorded ones ===

def documents(folder):
    plain, stream = folder / "response.json", folder / "response.sse"
    try:
        if plain.exists():
            value = json.loads(plain.read_text())
            return value if isinstance(value, list) else [value]
        if stream.exists():
            lines = [line[5:].strip() for line in stream.read_text().splitlines() if line.startswith("data:")]
            return [json.loads(line) for line in lines if line.startswith("{")]
    except ValueError:
        pass
    return []


def reported(folder, convention):
    """The usage that a recorded reply ends with; Anthropic's later reports replace what they repeat."""
    key = "usageMetadata" if convention == "gemini" else "usage"
    found = {}
    for document in documents(folder):
        for holder in (document, document.get("message"), document.get("x_groq")) if isinstance(document, dict) else ():
            value = holder.get(key) if isinstance(holder, dict) else None
            if isinstance(value, dict):
                found = {**found, **value} if convention == "anthropic" else value
    return found


def price_of(provider, model):
    return next((price for who, pattern, price in PRICES if who in ("*", provider) and re.search(pattern, model or "")), None)


def bill(provider, usage):
    """What the provider says it charged, in nanodollars."""
    if usage.get("cost_in_usd_ticks"):
        return Fraction(usage["cost_in_usd_ticks"], 10)
    if provider == "openrouter" and usage.get("cost") and not usage.get("is_byok"):
        return Fraction(str(usage["cost"])) * 10**9
    if provider == "perplexity" and (usage.get("cost") or {}).get("request_cost"):
        return Fraction(str(usage["cost"]["total_cost"])) * 10**9
    return None


# Perplexity rounds each part of its bill: now to a hundred-thousandth, earlier to a thousandth of a dollar.
ROUNDING = {"perplexity": 1_000_000}
APIS = {"chat": "openai", "completions": "openai", "embeddings": "openai", "messages": "anthropic", "generate_content": "gemini"}


def recorded(fixtures):
    """Of each provider and each shape of usage two recordings, and up to six of those that the provider billed."""
    entries, seen, shapes = [], set(), {}
    for provider in "openai azure anthropic gemini deepseek mistral groq together openrouter xai perplexity".split():
        for folder in sorted((fixtures / provider).iterdir()):
            meta = json.loads((folder / "meta.json").read_text())
            convention = convention_of(provider, meta)
            usage = convention and reported(folder, convention)
            price = price_of(provider, meta["model"])
            text = json.dumps([provider, usage], sort_keys=True)
            if not usage or price is None or text in seen:
                continue
            entry = golden(folder.name, provider, meta["model"], convention, usage, price, source=f"{provider}/{folder.name}")
            if not entry["classes"] or entry["cost_nanousd"] is None:
                continue
            billed = bill(provider, usage)
            if billed is not None:
                if abs(billed - entry["cost_nanousd"]) > ROUNDING.get(provider, 1):
                    sys.exit(f"{entry['source']}: {entry['cost_nanousd']} here, but the provider charged {float(billed)}: {entry}")
                entry["billed_nanousd"] = round(billed)
            shape = (provider, convention, billed is not None, tuple(entry["classes"]))
            shapes[shape] = shapes.get(shape, 0) + 1
            if shapes[shape] <= (6 if billed is not None else 2):
                seen.add(text)
                entries.append(entry)
    return entries


def convention_of(provider, meta):
    if meta["api"] not in APIS or meta.get("fidelity") == "vendor_mock" or (provider == "gemini" and meta["api"] == "chat"):
        return None
    if provider == "gemini" and meta["api"] == "embeddings":
        return "gemini"
    return "xai" if provider == "xai" else APIS[meta["api"]]


# === constructed ones ===

GPT = dict(input="2.5", output="15", cache_read="0.25", cache_write_5m="3.125", above=[dict(input_tokens=272000, input="5", output="22.5", cache_read="0.5")],
           batch=dict(input="1.25", output="7.5", cache_read="0.13", above=[dict(input_tokens=272000, input="2.5", output="11.25", cache_read="0.25")]),
           tiers=dict(flex=dict(input="1.25", output="7.5"), priority=dict(input="5", output="30", cache_read="0.5")))
AUDIO = dict(input="2.5", output="10", cache_read="1.25", audio_in="32", audio_out="64", image_in="5")
CLAUDE = dict(input="3", output="15", cache_read="0.3", cache_write_5m="3.75", cache_write_1h="6", per_search="0.01",
              above=[dict(input_tokens=200000, input="6", output="22.5", cache_read="0.6", cache_write_5m="7.5", cache_write_1h="12")],
              batch=dict(input="1.5", output="7.5", cache_read="0.15", cache_write_5m="1.875", cache_write_1h="3"))
GEMINI = dict(input="1.25", output="10", cache_read="0.125", audio_in="3", audio_out="20", image_in="1.5", reasoning="11",
              above=[dict(input_tokens=200000, input="2.5", output="15", cache_read="0.25", reasoning="16")],
              batch=dict(input="0.625", output="5"), tiers=dict(flex=dict(input="0.5", output="4", reasoning="4.5")))


def chat(prompt, completion, total=True, **parts):
    """A usage in OpenAI's shape; `r_` parts are of the prompt, `w_` parts of the completion, others stand beside."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    if total:
        usage["total_tokens"] = prompt + completion if total is True else total
    for prefix, key in (("r_", "prompt_tokens_details"), ("w_", "completion_tokens_details")):
        details = {name[2:] + "_tokens": count for name, count in parts.items() if name.startswith(prefix)}
        if details:
            usage[key] = details
    return {**usage, **{name: value for name, value in parts.items() if name[:2] not in ("r_", "w_")}}


def constructed():
    def oai(name, usage, price=GPT, provider="openai", model="gpt-5.4", convention="openai", **rest):
        return golden(name, provider, model, convention, usage, price, **rest)

    yield oai("openai-plain", chat(1000, 500))
    yield oai("openai-all-cached", chat(1024, 1, r_cached=1024))
    yield oai("openai-partly-cached-with-reasoning", chat(2006, 300, r_cached=1920, w_reasoning=192))
    yield oai("openai-nothing-used", chat(0, 0))
    yield oai("openai-null-details", {**chat(7, 3), "prompt_tokens_details": None, "completion_tokens_details": None})
    yield oai("openai-null-counts", {"prompt_tokens": 12, "completion_tokens": None, "total_tokens": 12})
    yield oai("openai-without-total", chat(40, 2, total=False, r_cached=32))
    yield oai("openai-all-reasoning", chat(50, 4096, w_reasoning=4096), note="stopped by the limit while it thought")
    yield oai("openai-rejected-prediction-is-output", chat(100, 60, w_accepted_prediction=10, w_rejected_prediction=25))
    yield oai("openai-cache-write", chat(5000, 10, r_cached=1000, r_cache_write=3900))
    yield oai("openai-at-the-long-limit", chat(272000, 1000, r_cached=100000))
    yield oai("openai-above-the-long-limit", chat(272001, 1000, r_cached=272000), note="cached tokens count toward the limit; the whole call is dearer")
    yield oai("openai-flex", chat(1000, 100, r_cached=512), tier="flex", note="flex says nothing of cache reads: they cost as in the standard tier")
    yield oai("openai-flex-long", chat(300000, 100), tier="flex", note="flex says nothing of long prompts: the standard's step holds")
    yield oai("openai-priority", chat(1000, 100, r_cached=512), tier="priority")
    yield oai("openai-batch", chat(1000, 100, r_cached=512), tier="batch")
    yield oai("openai-batch-long", chat(272001, 100, r_cached=1000), tier="batch")
    yield oai("openai-tier-without-price", chat(1000, 100), price=dict(input="1", output="2"), tier="priority") | {"cost_nanousd": None, "arithmetic": "the tier has no price"}
    yield oai("openai-output-without-price", chat(1000, 100), price=dict(input="1"))
    yield oai("openai-input-only-is-enough-for-embeddings", {"prompt_tokens": 8191, "total_tokens": 8191}, price=dict(input="0.13"), model="text-embedding-3-large")
    yield oai("openai-explicit-zero", chat(1000, 100), price=dict(input="0", output="0"))
    yield oai("openai-audio-in-and-out", chat(120, 90, r_audio=100, w_audio=70), price=AUDIO, model="gpt-audio")
    yield oai("openai-audio-and-image-and-cache", chat(1000, 10, r_cached=300, r_audio=200, r_image=400), price=AUDIO, model="gpt-audio")
    yield oai("openai-cached-audio", chat(100, 10, r_cached=60, r_audio=50), price=AUDIO, model="gpt-audio", note="which of the audio was cached is not told: what is fresh is taken to be audio first")
    yield oai("openai-audio-without-own-price", chat(120, 90, r_audio=100, w_audio=70), price=dict(input="2.5", output="10"), model="gpt-audio", note="costs as input and output")
    yield oai("openai-half-a-nanodollar-rounds-up", chat(1, 0), price=dict(input="0.0005", output="1"))
    yield oai("openai-below-half-rounds-down", chat(1, 0), price=dict(input="0.000499", output="1"))
    yield oai("openai-rounds-the-sum-not-the-parts", chat(2, 1, r_cached=1), price=dict(input="0.0004", output="0.0004", cache_read="0.0004"), note="1.2, not 0 + 0 + 0")
    yield oai("openai-a-picodollar-per-token", chat(1499, 0), price=dict(input="0.000001", output="1"))
    yield oai("openai-a-million-million-tokens", chat(10**12, 10**9), price=dict(input="0.15", output="0.6"))
    yield oai("openai-odd-digits", chat(123457, 7919, r_cached=99991, w_reasoning=7907), price=dict(input="0.073529", output="0.291117", cache_read="0.007353"))
    yield oai("azure-with-latency-checkpoint", chat(92, 25, latency_checkpoint={"engine_tbt_ms": 9}), provider="azure", model="o4-mini")
    yield oai("deepseek-hits-and-misses-only", chat(500, 20, prompt_cache_hit_tokens=448, prompt_cache_miss_tokens=52), dict(input="0.3", output="1.2", cache_read="0.006"), "deepseek", "deepseek-v4-flash")
    yield oai("mistral-cached-by-its-own-name", chat(94, 33, num_cached_tokens=48), dict(input="1.5", output="7.5", cache_read="0.15"), "mistral", "mistral-medium-latest")
    yield oai("mistral-audio-beside-the-prompt", chat(9, 201, total=585, r_audio=375, prompt_audio_seconds=4), dict(input="0.1", output="0.3", audio_in="4"), "mistral", "voxtral-small-latest", note="the total tells that the audio is not in the prompt")
    yield oai("openrouter-reasoning-above-completion", chat(43, 10, w_reasoning=11), dict(input="0.3", output="1.2"), "openrouter", "minimax/minimax-m2", note="the total tells that it is within")
    yield oai("azure-cached-above-prompt", chat(154, 274, r_cached=164), dict(input="0.2", output="0.5", cache_read="0.05"), "azure", "grok-4-1-fast-non-reasoning", note="the total tells that it is within")
    yield oai("groq-with-times", chat(304, 49, queue_time=0.0049, total_time=0.1267, w_reasoning=23), dict(input="0.15", output="0.6"), "groq", "openai/gpt-oss-120b")
    yield oai("perplexity-fee-per-request", chat(8, 346, search_context_size="low"), dict(input="1", output="1", per_request="0.005"), "perplexity", "sonar")
    yield oai("together-plain", chat(18, 35), dict(input="0.6", output="0.6"), "together", "mistralai/Mixtral-8x7B-Instruct-v0.1")
    xai = dict(price=dict(input="3", output="15", cache_read="0.75", image_in="3"), provider="xai", model="grok-4", convention="xai")
    yield oai("xai-reasoning-beside-the-completion", chat(432, 68, total=636, w_reasoning=136), **xai)
    yield oai("xai-reasoning-above-completion", chat(20, 55, total=388, r_cached=3, w_reasoning=313), **xai)
    yield oai("xai-without-total", chat(432, 68, total=False, w_reasoning=136), **xai)
    yield oai("xai-image-within-the-prompt", chat(504, 91, r_cached=128, r_text=248, r_image=256), **xai)

    def claude(name, usage, price=CLAUDE, model="claude-sonnet-4-5", **rest):
        return golden(name, "anthropic", model, "anthropic", usage, price, **rest)

    yield claude("anthropic-plain", {"input_tokens": 25, "output_tokens": 150})
    yield claude("anthropic-nulls", {"input_tokens": 25, "output_tokens": 150, "cache_creation_input_tokens": None, "cache_read_input_tokens": None, "cache_creation": None, "server_tool_use": None})
    yield claude("anthropic-cache-read", {"input_tokens": 4, "cache_read_input_tokens": 18000, "cache_creation_input_tokens": 0, "output_tokens": 300})
    yield claude("anthropic-cache-write-without-split", {"input_tokens": 4, "cache_creation_input_tokens": 2055, "output_tokens": 10}, note="without a word it lives five minutes")
    yield claude("anthropic-cache-write-1h", {"input_tokens": 4, "cache_creation_input_tokens": 2055, "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2055}, "output_tokens": 10})
    yield claude("anthropic-cache-write-both", {"input_tokens": 4, "cache_creation_input_tokens": 1670, "cache_creation": {"ephemeral_5m_input_tokens": 67, "ephemeral_1h_input_tokens": 1603}, "output_tokens": 13})
    yield claude("anthropic-split-without-total", {"input_tokens": 4, "cache_creation": {"ephemeral_5m_input_tokens": 67, "ephemeral_1h_input_tokens": 1603}, "output_tokens": 13})
    yield claude("anthropic-split-below-total", {"input_tokens": 10, "cache_creation_input_tokens": 20718, "cache_creation": {"ephemeral_5m_input_tokens": 12016, "ephemeral_1h_input_tokens": 0}, "output_tokens": 1}, note="the total rules: a stream's last report repeats it without the split")
    yield claude("anthropic-split-above-total", {"input_tokens": 10, "cache_creation_input_tokens": 100, "cache_creation": {"ephemeral_1h_input_tokens": 150}, "output_tokens": 1})
    yield claude("anthropic-everything-at-once", {"input_tokens": 11, "cache_read_input_tokens": 4096, "cache_creation_input_tokens": 3000, "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}, "output_tokens": 777, "output_tokens_details": {"thinking_tokens": 700}, "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2}})
    yield claude("anthropic-thinking-above-output", {"input_tokens": 11, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 9}})
    yield claude("anthropic-search-without-price", {"input_tokens": 11, "output_tokens": 5, "server_tool_use": {"web_search_requests": 1}}, dict(input="3", output="15"))
    yield claude("anthropic-cache-without-own-price", {"input_tokens": 1, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 100, "output_tokens": 5}, dict(input="3", output="15"), note="costs as input")
    yield claude("anthropic-at-the-long-limit", {"input_tokens": 100000, "cache_read_input_tokens": 60000, "cache_creation_input_tokens": 40000, "output_tokens": 1000})
    yield claude("anthropic-above-the-long-limit", {"input_tokens": 100001, "cache_read_input_tokens": 60000, "cache_creation_input_tokens": 40000, "output_tokens": 1000})
    yield claude("anthropic-batch", {"input_tokens": 100, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 40, "cache_creation": {"ephemeral_1h_input_tokens": 40}, "output_tokens": 10, "service_tier": "batch"}, tier="batch")
    yield claude("anthropic-compaction", {"input_tokens": 45000, "output_tokens": 1234, "iterations": [{"type": "compaction", "input_tokens": 180000, "output_tokens": 3500}, {"type": "message", "input_tokens": 45000, "output_tokens": 1234}]}, CLAUDE | {"above": []}, note="the message's counts leave the compaction out, the bill does not")
    yield claude("anthropic-nothing-used", {"input_tokens": 0, "output_tokens": 0})

    def google(name, usage, price=GEMINI, model="gemini-2.5-pro", **rest):
        return golden(name, "gemini", model, "gemini", usage, price, **rest)
    parts = lambda **kinds: [{"modality": kind, "tokenCount": count} for kind, count in kinds.items()]

    yield google("gemini-plain", {"promptTokenCount": 10, "candidatesTokenCount": 20, "totalTokenCount": 30})
    yield google("gemini-thoughts-beside-candidates", {"promptTokenCount": 10, "candidatesTokenCount": 20, "thoughtsTokenCount": 300, "totalTokenCount": 330})
    yield google("gemini-thoughts-only", {"promptTokenCount": 10, "thoughtsTokenCount": 500, "totalTokenCount": 510}, note="stopped by the limit while it thought: no candidates' count")
    yield google("gemini-blocked-prompt", {"promptTokenCount": 14, "totalTokenCount": 14})
    yield google("gemini-tool-use", {"promptTokenCount": 208, "candidatesTokenCount": 45, "toolUsePromptTokenCount": 1461, "thoughtsTokenCount": 147, "totalTokenCount": 1861})
    yield google("gemini-cached", {"promptTokenCount": 5000, "cachedContentTokenCount": 4096, "candidatesTokenCount": 7, "totalTokenCount": 5007})
    yield google("gemini-all-cached", {"promptTokenCount": 4096, "cachedContentTokenCount": 4096, "candidatesTokenCount": 7, "totalTokenCount": 4103})
    yield google("gemini-audio", {"promptTokenCount": 110, "candidatesTokenCount": 5, "promptTokensDetails": parts(TEXT=10, AUDIO=100), "totalTokenCount": 115})
    yield google("gemini-image", {"promptTokenCount": 268, "candidatesTokenCount": 5, "promptTokensDetails": parts(TEXT=10, IMAGE=258), "totalTokenCount": 273})
    yield google("gemini-video-and-document-are-input", {"promptTokenCount": 3000, "candidatesTokenCount": 5, "promptTokensDetails": parts(TEXT=10, VIDEO=2700, DOCUMENT=290), "totalTokenCount": 3005})
    yield google("gemini-cached-audio-and-image", {"promptTokenCount": 1000, "cachedContentTokenCount": 600, "candidatesTokenCount": 5, "promptTokensDetails": parts(TEXT=100, AUDIO=500, IMAGE=400), "cacheTokensDetails": parts(AUDIO=350, IMAGE=250), "totalTokenCount": 1005})
    yield google("gemini-cached-without-details", {"promptTokenCount": 1000, "cachedContentTokenCount": 900, "candidatesTokenCount": 5, "promptTokensDetails": parts(TEXT=100, AUDIO=900), "totalTokenCount": 1005}, note="which of the audio was cached is not told: what is fresh is taken to be audio first")
    yield google("gemini-speaks", {"promptTokenCount": 10, "candidatesTokenCount": 250, "candidatesTokensDetails": parts(AUDIO=240, TEXT=10), "totalTokenCount": 260})
    yield google("gemini-at-the-long-limit", {"promptTokenCount": 200000, "cachedContentTokenCount": 150000, "candidatesTokenCount": 100, "totalTokenCount": 200100})
    yield google("gemini-above-the-long-limit", {"promptTokenCount": 200001, "cachedContentTokenCount": 150000, "candidatesTokenCount": 100, "thoughtsTokenCount": 50, "totalTokenCount": 200151})
    yield google("gemini-batch", {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 150}, tier="batch", note="the batch says nothing of reasoning: as in the standard tier")
    yield google("gemini-flex", {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 150, "serviceTier": "flex"}, tier="flex")
    yield google("gemini-embedding", {"promptTokenCount": 261, "promptTokenDetails": parts(IMAGE=258, TEXT=3)}, dict(input="0.2", image_in="0.45"), model="gemini-embedding-2")
    yield google("gemini-nothing-used", {"totalTokenCount": 0})


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--fixtures", type=Path, default=FIXTURES)
    options.add_argument("--check", action="store_true", help="write nothing, fail where a file would change")
    options = options.parse_args()
    entries = recorded(options.fixtures) + list(constructed())
    names = [entry["name"] for entry in entries]
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
    stale = False
    for dialect in ("openai", "anthropic", "gemini"):
        mine = [entry for entry in entries if {"xai": "openai"}.get(entry["convention"], entry["convention"]) == dialect]
        content = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in mine)
        path = HERE / f"{dialect}.jsonl"
        if not options.check:
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            stale = True
        taken, billed = sum("source" in entry for entry in mine), sum("billed_nanousd" in entry for entry in mine)
        print(f"{dialect:10} {len(mine):4} usages: {taken} recorded ({billed} of them as the provider billed them), {len(mine) - taken} constructed")
    if stale:
        sys.exit("out of date: run generate.py")


if __name__ == "__main__":
    main()
