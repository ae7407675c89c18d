#!/usr/bin/env python3
"""Derives config/models/*.yaml from the price collections in ../shared/catalog.

    python3 config/models/generate.py [--catalog DIR] [--out DIR] [--check]

Writes one file per provider and prints a report: how many models, what the sources disagree about and which of
them was followed, and what was left out and why. `--check` writes nothing and fails where a file would change.

Prices are read as decimals and written as decimal text; no binary fraction comes between. README.md beside this
file has the rules in words.
"""

import argparse
import json
import re
import sys
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATE = "2026-11-01"
LITELLM_DAY = "2026-11-01"
SOURCE = "litellm 1.109.1 (2026-11), genai-prices 47df840 (2026-08-21), models.dev f3fc692 (2026-07-02)"
MILLION = Decimal(1_000_000)
MODES = {"chat": "chat", "completion": "completions", "responses": "responses", "embedding": "embeddings"}
SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4}-\d{2}|\d{8}|\d{6}|\d{4}|\d{3}|latest)$")

# Our provider -> names in the three collections, the key prefixes of litellm, and how ids behave.
PROVIDERS = {
    "openai": dict(litellm=["openai", "text-completion-openai"], prefix=[""], genai="openai", dev="openai", families=True,
                   logprobs=True, skip=r"^ft:|^gpt-\d-\d|\.ft-|^gpt-oss|^openai/|:|^moderation$|^computer-use$|^gpt-(image|realtime)|image|realtime|transcribe|tts"),
    "azure": dict(litellm=["azure", "azure_text", "azure_ai"], prefix=["azure/", "azure_ai/"], genai="azure", dev="azure", families=True,
                  vendor="openai", logprobs=True, skip=r"^(eu|us|us-gov|global|global-standard)/|^FW-|^ft:|whisper|image|realtime|tts|transcribe|container|:|^ada$"),
    "anthropic": dict(litellm=["anthropic"], prefix=[""], genai="anthropic", dev="anthropic", families=True, parallel=True, skip=r"\."),
    "gemini": dict(litellm=["gemini"], prefix=["gemini/", ""], genai="google", dev="google", families=True, latest=False, parallel=True,
                   skip=r"^claude|image|-live|lyria|robotics|tts|omni|native-audio|^gemini-gemma|transcribe"),
    "deepseek": dict(litellm=["deepseek"], prefix=["deepseek/", ""], genai="deepseek", dev="deepseek", logprobs=True),
    "mistral": dict(litellm=["mistral"], prefix=["mistral/"], genai="mistral", dev="mistral", skip=r":|^(zai-|glm-)|^deepseek-"),
    "groq": dict(litellm=["groq"], prefix=["groq/"], genai="groq", dev="groq", resells=True, skip=r"orpheus|whisper|prompt-guard"),
    "together": dict(litellm=["together_ai"], prefix=["together_ai/"], genai="together", dev="togetherai", resells=True, logprobs=True,
                     skip=r"^together-ai-"),
    "openrouter": dict(litellm=[], prefix=["openrouter/"], genai="openrouter", dev="openrouter", resells=True, genai_only=r"^(anthropic|openai|google|x-ai|deepseek|moonshotai|minimax|z-ai)/[^:]*$",
                       skip=r"^~|^openrouter/|image|lyria|:(beta|extended)$|^(sao10k|thedrummer|aion-labs|undi95|gryphe|mancer|anthracite-org|cognitivecomputations"
                            r"|nousresearch|inflection|liquid|relace|morph|switchpoint|poolside|kwaipilot|sakana|perceptron|nex-agi)/"),
    "xai": dict(litellm=["xai"], prefix=["xai/"], genai="x-ai", dev="xai", families=True, logprobs=True, skip=r"imagine|experimental|-gv2$|beta"),
    "perplexity": dict(litellm=["perplexity"], prefix=["perplexity/"], genai="perplexity", dev="perplexity", skip=r"/|^(pplx-(7|70)b|codellama|llama|mistral|mixtral)|sonar-(small|medium)"),
    "alibaba": dict(litellm=["dashscope"], prefix=["dashscope/"], genai="none", dev="alibaba"),
    "bedrock": dict(litellm=["bedrock_converse", "bedrock"], prefix=[""], genai="aws", dev="amazon-bedrock", resells=True,
                    skip=r"/|image|canvas|reel|sonic|rerank|stability|embed|twelvelabs|^regional\."),
    "baseten": dict(litellm=["baseten"], prefix=["baseten/"], genai="none", dev="none", resells=True),
    "cerebras": dict(litellm=["cerebras"], prefix=["cerebras/"], genai="cerebras", dev="cerebras", resells=True),
    "cloudflare": dict(litellm=["cloudflare"], prefix=["cloudflare/"], genai="none", dev="none", resells=True, skip=r"^clef"),
    "cohere": dict(litellm=["cohere", "cohere_chat"], prefix=["cohere/", ""], genai="cohere", dev="cohere"),
    "databricks": dict(litellm=["databricks"], prefix=["databricks/"], genai="none", dev="none", resells=True),
    "deepinfra": dict(litellm=["deepinfra"], prefix=["deepinfra/"], genai="none", dev="deepinfra", resells=True,
                      skip=r"^(Gryphe|Sao10K|NousResearch)/"),
    "fireworks": dict(litellm=["fireworks_ai"], prefix=["fireworks_ai/"], genai="fireworks", dev="fireworks-ai", resells=True,
                      skip=r"^fireworks-ai-|flux|stable-diffusion|SSD|playground"),
    "github": dict(litellm=[], prefix=["github/"], genai="none", dev="github-models", resells=True),
    "huggingface": dict(litellm=[], prefix=["huggingface/"], genai="none", dev="huggingface", resells=True),
    "hyperbolic": dict(litellm=["hyperbolic"], prefix=["hyperbolic/"], genai="none", dev="none", resells=True),
    "lambda": dict(litellm=["lambda_ai"], prefix=["lambda_ai/"], genai="none", dev="none", resells=True),
    "meta": dict(litellm=["meta_llama", "meta"], prefix=["meta_llama/", "meta/"], genai="none", dev="none"),
    "moonshot": dict(litellm=["moonshot"], prefix=["moonshot/"], genai="moonshotai", dev="moonshotai"),
    "nebius": dict(litellm=["nebius"], prefix=["nebius/"], genai="none", dev="none", resells=True),
    "novita": dict(litellm=["novita"], prefix=["novita/"], genai="novita", dev="none", resells=True, skip=r"^(sao10k|gryphe)/"),
    "nscale": dict(litellm=["nscale"], prefix=["nscale/"], genai="none", dev="none", resells=True),
    "nvidia": dict(litellm=[], prefix=["nvidia_nim/"], genai="none", dev="nvidia", resells=True),
    "ovhcloud": dict(litellm=[], prefix=["ovhcloud/"], genai="ovhcloud", dev="none", resells=True),
    "ai21": dict(litellm=["ai21"], prefix=[""], genai="none", dev="none", skip=r"^j2-"),
    "sambanova": dict(litellm=["sambanova"], prefix=["sambanova/"], genai="none", dev="none", resells=True),
    "snowflake": dict(litellm=["snowflake"], prefix=["snowflake/"], genai="none", dev="none", resells=True),
    "vercel": dict(litellm=["vercel_ai_gateway"], prefix=["vercel_ai_gateway/"], genai="none", dev="none", resells=True),
    "vertex": dict(litellm=["vertex_ai-language-models", "vertex_ai-anthropic_models"], prefix=["vertex_ai/", ""], genai="none", dev="google-vertex", resells=True,
                   skip=r"image|-live|lyria|veo|tts|native-audio|embedding|/|bison|unicorn|gecko|transcribe|imagen|robotics|omni|medlm|experimental|^deep-research|^gemini-(pro|1)"),
    "volcengine": dict(litellm=["volcengine"], prefix=["volcengine/", ""], genai="none", dev="none", resells=True),
    "zai": dict(litellm=["zai"], prefix=["zai/"], genai="zai", dev="zai"),
    "voyage": dict(litellm=["voyage"], prefix=["voyage/"], genai="none", dev="none"),
    "jina": dict(litellm=["jina_ai"], prefix=["jina_ai/", ""], genai="none", dev="none"),
}

# Providers whose images, sound, moderations and rerank are served, with what of litellm's keys comes before the id.
UNITS = {"openai": "", "azure": "azure/", "mistral": "mistral/", "groq": "groq/", "cohere": "", "together": "together_ai/", "fireworks": "fireworks_ai/",
         "xai": "xai/", "voyage": "voyage/", "jina": ""}
UNIT_MODES = {"image_generation": "images", "audio_speech": "speech", "audio_transcription": "transcriptions", "moderation": "moderations", "rerank": "rerank"}

# Vendors by the first part of a reseller's id, or by its first word.
VENDORS = {
    "google": "google", "gemma": "google", "meta-llama": "meta", "llama": "meta", "meta": "meta", "gemini": "google", "deepseek-ai": "deepseek", "mistralai": "mistral",
    "x-ai": "xai", "grok": "xai", "z-ai": "zai", "zai-org": "zai", "moonshotai": "moonshot", "qwen": "alibaba", "claude": "anthropic",
    "gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "text": "openai", "ada": "openai", "codex": "openai", "computer": "openai",
    "model": "openai", "minimaxai": "minimax", "phi": "microsoft", "mai": "microsoft", "cohere": "cohere", "embed": "cohere",
    "ministral": "mistral", "mixtral": "mistral", "codestral": "mistral", "kimi": "moonshot", "jais": "core42", "jamba": "ai21", "davinci": "openai",
}

FIELDS = ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "audio_out", "image_in", "reasoning"]
LITELLM_FIELDS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_1h",
    "input_cost_per_audio_token": "audio_in",
    "output_cost_per_audio_token": "audio_out",
    "input_cost_per_image_token": "image_in",
    "output_cost_per_reasoning_token": "reasoning",
}
GENAI_FIELDS = {
    "input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cache_read", "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h", "input_audio_mtok": "audio_in", "output_audio_mtok": "audio_out",
    "input_image_mtok": "image_in", "output_reasoning_mtok": "reasoning",
}
DEV_FIELDS = {
    "input": "input", "output": "output", "cache_read": "cache_read", "cache_write": "cache_write_5m",
    "input_audio": "audio_in", "output_audio": "audio_out", "reasoning": "reasoning",
}


class Report:
    def __init__(self):
        self.lines = {}

    def add(self, topic, line):
        self.lines.setdefault(topic, []).append(line)

    def print(self):
        for topic, lines in self.lines.items():
            print(f"\n{topic} ({len(lines)})")
            for line in sorted(lines):
                print(f"  {line}")


# === prices of one source, as {"standard": {field: Decimal, "above": {limit: {...}}}, "batch": ..., "flex": ..., "priority": ...} ===

LITELLM_KEY = re.compile(r"^(?P<base>.+?)(?:_above_(?P<limit>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority))?$")


def from_litellm(entry):
    """litellm: USD per token, tiers and long prompts as suffixes of the key."""
    tiers = {}
    for key, value in entry.items():
        match = LITELLM_KEY.match(key)
        field = LITELLM_FIELDS.get(match["base"])
        if field is None or not isinstance(value, (int, Decimal)):
            continue
        tier = tiers.setdefault({"batches": "batch", None: "standard"}.get(match["tier"], match["tier"]), {})
        place = tier.setdefault("above", {}).setdefault(int(match["limit"]) * 1000, {}) if match["limit"] else tier
        # Writes for longer than 5 minutes stand under two names; the one hour's own goes first.
        if field not in place or key.startswith("cache_creation_input_token_cost_above_1hr"):
            place[field] = Decimal(value) * MILLION
    standard = tiers.setdefault("standard", {})
    for key, field in (("input_cost_per_request", "per_request"), ("ocr_cost_per_page", "per_page")):
        if entry.get(key):
            standard[field] = Decimal(entry[key])
    search = entry.get("search_context_cost_per_query")
    if search:
        sizes = [Decimal(search[f"search_context_size_{size}"]) for size in ("low", "medium", "high") if f"search_context_size_{size}" in search]
        if entry["litellm_provider"] == "perplexity" and len(set(sizes)) > 1:
            standard["per_request"] = sizes[0]  # a fee of each request, by context size; `low` is Perplexity's default
        elif sizes:
            standard["per_search"] = sizes[len(sizes) // 2]  # `medium` is OpenAI's default
    return tiers


def from_genai(prices):
    """genai-prices: USD per million, a step list where long prompts cost more."""
    standard = {}
    for key, value in prices.items():
        field = GENAI_FIELDS.get(key)
        if key == "web_searches_kcount" and not isinstance(value, dict):
            standard["per_search"] = Decimal(value) / 1000
        if field is None:
            continue
        if isinstance(value, dict):
            for step in value["tiers"]:
                standard.setdefault("above", {}).setdefault(int(step["start"]), {})[field] = Decimal(step["price"])
            value = value["base"]
        standard[field] = Decimal(value)
    return {"standard": standard}


def from_dev(cost):
    """models.dev: USD per million."""
    standard = {ours: Decimal(cost[theirs]) for theirs, ours in DEV_FIELDS.items() if theirs in cost}
    for step in cost.get("tiers", []):
        if "size" in step.get("tier", {}):
            limit = standard.setdefault("above", {}).setdefault(int(step["tier"]["size"]), {})
            limit.update({ours: Decimal(step[theirs]) for theirs, ours in DEV_FIELDS.items() if theirs in step})
    return {"standard": standard}


# === genai-prices' match rules ===

def matches(rule, name):
    (kind, value), = rule.items()
    if kind == "or":
        return any(matches(part, name) for part in value)
    if kind == "and":
        return all(matches(part, name) for part in value)
    return {"equals": name == value, "starts_with": name.startswith(value), "ends_with": name.endswith(value),
            "contains": value in name, "regex": bool(re.search(value, name))}[kind] if kind != "regex" else bool(re.search(value, name))


def literal_names(rule):
    (kind, value), = rule.items()
    if kind == "or":
        return [name for part in value for name in literal_names(part)]
    return [value] if kind == "equals" else []


def genai_entry(models, name):
    for model in models:
        if model["id"] == name:
            return model
    for model in models:
        if name in literal_names(model["match"]):
            return model
    return next((model for model in models if matches(model["match"], name)), None)


def history(model):
    """A genai entry's prices by day: [(from, prices)]; prices by time of day leave the day's dearest."""
    prices = model["prices"]
    if isinstance(prices, dict):
        return [(None, from_genai(prices))]
    if any("start_time" in price.get("constraint", {}) for price in prices):
        dearest = max(prices, key=lambda price: price["prices"].get("output_mtok", 0))
        return [(None, from_genai(dearest["prices"]))]
    return [(price.get("constraint", {}).get("start_date"), from_genai(price["prices"])) for price in prices]


# === one model ===

def base(tiers):
    standard = tiers["standard"]
    return standard.get("input"), standard.get("output")


def same_base(one, other):
    return all(a is None or b is None or a == b for a, b in zip(base(one), base(other)))


def show(tiers):
    standard = tiers["standard"]
    return "/".join("-" if standard.get(field) is None else text(standard[field]) for field in ("input", "output", "cache_read"))


def choose_prices(name, lite, genai, dev, exact_genai, report):
    """The dated prices of a model: litellm, else models.dev where it has the very name, else genai-prices; genai's
    history where it leads to the price chosen."""
    dated = history(genai) if genai else []
    now = [tiers for day, tiers in dated if day is None or day <= LITELLM_DAY][-1:]
    sources = {"litellm": lite, "models.dev": dev, "genai-prices": now[0] if now else None}
    priced = {source: tiers for source, tiers in sources.items() if tiers and base(tiers) != (None, None)}
    if not priced:
        return []
    order = ["litellm", "models.dev", "genai-prices"] if not exact_genai else ["litellm", "genai-prices", "models.dev"]
    chosen = next(source for source in order if source in priced)
    for source, tiers in priced.items():
        if not same_base(priced[chosen], tiers):
            report.add("Sources that disagree: input/output/cache read, first the one followed",
                       f"{name}: {chosen} {show(priced[chosen])}, {source} {show(tiers)}")
    tiers = priced[chosen]
    # What the chosen source does not say is filled in from one that agrees with it.
    for source in order:
        other = priced.get(source)
        if other and other is not tiers and same_base(tiers, other):
            for field, value in other["standard"].items():
                if field not in ("above",) and not (field.startswith("audio") and chosen == "litellm"):
                    tiers["standard"].setdefault(field, value)
            if chosen != "litellm" and "above" in other["standard"]:
                tiers["standard"].setdefault("above", other["standard"]["above"])
    prices = [(None, tiers)]
    if len(dated) > 1 and now and same_base(tiers, now[0]):
        days = [day for day, _ in dated]
        current = max(index for index, day in enumerate(days) if day is None or day <= LITELLM_DAY)
        prices = [(day, tiers if index == current else older) for index, (day, older) in enumerate(dated)]
        for _, other in prices:
            if "per_search" in tiers["standard"]:
                other["standard"].setdefault("per_search", tiers["standard"]["per_search"])
    return prices


def clean(name, tiers, report):
    """Drops what only repeats a fallback, and zeros that stand for `not known`."""
    standard = tiers["standard"]
    priced = standard.get("input") or standard.get("output")
    for place in places(tiers):
        for field in list(place):
            value = place[field]
            if field == "above":
                continue
            if value < 0 or (value == 0 and priced and field not in ("output",)):
                report.add("Zeros and negatives left out: they stand for `not known`", f"{name} {field}")
                del place[field]
            elif field in FIELDS and value * MILLION % 1 != 0:
                place[field] = value.quantize(Decimal("0.000001"))
                report.add("Rounded to a picodollar per token", f"{name} {field} {value}")
    batch = tiers.get("batch", {})
    if name.startswith("anthropic/") and batch.get("input", 0) * 2 == standard.get("input"):
        for field in ("cache_read", "cache_write_5m", "cache_write_1h"):  # a batch halves every token's price
            if field in standard:
                batch.setdefault(field, standard[field] / 2)
    for field in FIELDS[2:]:
        side = "output" if field in ("audio_out", "reasoning") else "input"
        # Tiers and steps that change the side then change this with it, as the sources mean it.
        if standard.get(field) is not None and standard[field] == standard.get(side):
            del standard[field]
    return tiers


def places(tiers):
    for tier in tiers.values():
        yield tier
        yield from tier.get("above", {}).values()


def free_names(name, lite, genai, dev):
    """Whether a price of 0 is meant: two collections say so, or the name does."""
    zeros = sum(bool(tiers) and base(tiers)[0] == 0 and not base(tiers)[1] for tiers in (lite, genai, dev))
    return name.endswith(":free") or zeros > 1


def capabilities(provider, settings, lite, dev, modes, prices):
    lite, dev = lite or {}, dev or {}
    reads = set(dev.get("modalities", {}).get("input", [])) | set(lite.get("supported_modalities", []))
    writes = set(dev.get("modalities", {}).get("output", [])) | set(lite.get("supported_output_modalities", []))
    if modes == ["embeddings"]:
        return reads - {"file"}, {"text"}, []
    if not lite and not dev:
        return set(), set(), []  # genai-prices says nothing of them: not known
    yes = lambda key: lite.get(key) is True
    tools = yes("supports_function_calling") or dev.get("tool_call") is True
    reasoning = yes("supports_reasoning") or dev.get("reasoning") is True
    can = {
        "streaming": True,
        "system": lite.get("supports_system_messages") is not False and modes != ["completions"],
        "tools": tools,
        "parallel_tools": yes("supports_parallel_function_calling") or (tools and settings.get("parallel", False)),
        "tool_choice": yes("supports_tool_choice") or (tools and not lite),
        "json_schema": yes("supports_response_schema") or dev.get("structured_output") is True,
        "vision": yes("supports_vision") or "image" in reads,
        "pdf": yes("supports_pdf_input") or "pdf" in reads,
        "audio_in": yes("supports_audio_input") or "audio" in reads,
        "audio_out": (yes("supports_audio_output") or "audio" in writes) and lite.get("supports_audio_output") is not False,
        "video": yes("supports_video_input") or "video" in reads,
        "reasoning": reasoning,
        "prompt_cache": yes("supports_prompt_caching") or any("cache_read" in tiers["standard"] for _, tiers in prices),
        "web_search": yes("supports_web_search"),
        "logprobs": settings.get("logprobs", False) and not reasoning,
        "temperature": dev.get("temperature", not reasoning) is True and lite.get("supports_sampling_params") is not False,
        "prefill": yes("supports_assistant_prefill"),
    }
    inputs = {"text"} | {kind for kind, key in (("image", "vision"), ("audio", "audio_in"), ("video", "video"), ("pdf", "pdf")) if can[key]}
    outputs = {"text"} | ({"audio"} if can["audio_out"] else set()) | ({"image"} if "image" in writes else set())
    return inputs, outputs, [key for key, value in can.items() if value]


def vendor(provider, settings, name):
    if settings.get("resells") or provider == "azure":
        if provider == "bedrock":
            # An inference profile has its geography in front.
            name = re.sub(r"^(us|us-gov|eu|apac|jp|au|ca|in|regional|global)\.", "", name)
        head = re.split(r"[/]", name)[0].lower() if "/" in name else re.split(r"[-_.]", name)[0].lower()
        return VENDORS.get(head) or VENDORS.get(head.rstrip("0123456789"), head)
    return None


def build_model(provider, settings, name, lite, genai, dev, exact_genai, report):
    full = f"{provider}/{name}"
    mode = MODES[lite["mode"]] if lite else "embeddings" if "embed" in name.lower() else "chat"
    endpoints = (lite or {}).get("supported_endpoints", [])
    modes = [mode]
    if mode == "chat" and "/v1/responses" in endpoints:
        modes.append("responses")
    if "/v1/completions" in endpoints and provider == "openai":
        modes.append("completions")
    from_dev_cost = from_dev(dev["cost"]) if dev and dev.get("cost") else None
    from_lite = from_litellm(lite) if lite else None
    prices = choose_prices(full, from_lite, genai, from_dev_cost, exact_genai, report)
    prices = [(day, clean(full, tiers, report)) for day, tiers in prices]
    zero = [tiers for _, tiers in prices if not tiers["standard"].get("input") and not tiers["standard"].get("output")]
    if zero and not free_names(name, from_lite, history(genai)[-1][1] if genai else None, from_dev_cost):
        report.add("Free by one source only: left without a price", full)
        prices = []
    if mode == "embeddings":
        for _, tiers in prices:
            for place in places(tiers):
                place.pop("output", None)
    reads, writes, can = capabilities(provider, settings, lite, dev, modes, prices)
    limits = (dev or {}).get("limit", {})
    lite = lite or {}
    model = {
        "id": name,
        "vendor": vendor(provider, settings, name),
        "modes": modes if modes != ["chat"] else None,
        "context_window": limits.get("context") or lite.get("max_input_tokens") or (genai or {}).get("context_window"),
        "max_output": (lite.get("max_output_tokens") or limits.get("output")) if mode != "embeddings" else None,
        "dimensions": lite.get("output_vector_size") and int(lite["output_vector_size"]),
        "input": order(reads) if reads - {"text"} else None,
        "output": order(writes) if writes - {"text"} else None,
        "capabilities": can or None,
        "deprecated": lite.get("deprecation_date"),
        "prices": [price(day, prices[at + 1][0] if at + 1 < len(prices) else None, tiers) for at, (day, tiers) in enumerate(prices)] or None,
    }
    if model["prices"] is None:
        report.add("Without a price", full)
    return {key: value for key, value in model.items() if value is not None}


def order(kinds):
    return [kind for kind in ("text", "image", "audio", "video", "pdf") if kind in kinds]


def price(day, until, tiers):
    fields = {"from": day, "until": until}
    fields.update(tier_fields(tiers["standard"]))
    if tiers.get("batch"):
        fields["batch"] = tier_fields(tiers["batch"])
    rest = {tier: tier_fields(tiers[tier]) for tier in ("flex", "priority") if tiers.get(tier)}
    fields["tiers"] = rest or None
    return {key: value for key, value in fields.items() if value is not None}


def tier_fields(tier):
    rates = {field: tier[field] for field in FIELDS + ["per_request", "per_page", "per_search"] if field in tier}
    steps = [{"input_tokens": limit, **tier_fields(step)} for limit, step in sorted(tier.get("above", {}).items()) if step]
    return {**rates, **({"above": steps} if steps else {})}


# === models that are charged by other units than tokens, too ===

def unit_models(provider, litellm, known):
    """Images, speech, transcriptions, moderations and rerank: litellm alone has them. Variants by size are left out."""
    models, prefix = [], UNITS[provider]
    owners = PROVIDERS[provider]["litellm"]
    for key, entry in litellm.items():
        if entry.get("litellm_provider") not in owners or entry.get("mode") not in UNIT_MODES or not key.startswith(prefix):
            continue
        name, mode = key[len(prefix):], UNIT_MODES[entry["mode"]]
        if name in known or ":" in name or (provider in ("openai", "azure") and "/" in name) or "-x-" in name:
            continue
        rates = unit_rates(provider, mode, entry)
        if not rates:
            continue
        hears = mode in ("transcriptions", "moderations", "rerank")
        model = {
            "id": name,
            "modes": [mode],
            "context_window": entry.get("max_input_tokens") if hears else None,
            "max_output": entry.get("max_output_tokens") if mode == "transcriptions" else None,
            "deprecated": entry.get("deprecation_date"),
            "prices": [rates],
        }
        models.append({key: value for key, value in model.items() if value})
    return models


def unit_rates(provider, mode, entry):
    """Where tokens have a price they are what is billed; else the unit."""
    million = lambda *keys: next((Decimal(entry[key]) * MILLION for key in keys if entry.get(key)), None)
    one = lambda key: Decimal(entry[key]) if entry.get(key) else None
    output = {"images": "output_cost_per_image_token", "speech": "output_cost_per_audio_token"}.get(mode, "output_cost_per_token")
    rates = {
        "input": million("input_cost_per_token"),
        "output": million(output, "output_cost_per_token"),
        "cache_read": million("cache_read_input_token_cost"),
        "audio_in": million("input_cost_per_audio_token"),
        "image_in": million("input_cost_per_image_token"),
    }
    rates = {field: rate.quantize(Decimal("0.000001")) if rate % 1 else rate for field, rate in rates.items() if rate}
    if "audio_in" in rates and rates["audio_in"] == rates.get("input"):
        del rates["audio_in"]
    if "input" in rates or "output" in rates:
        return rates
    if mode == "moderations" and provider == "openai":  # free, as its own documentation says
        return {"input": Decimal(0)}
    units = {
        "images": {"per_image": one("output_cost_per_image") or one("input_cost_per_image")},
        "speech": {"per_million_characters": million("input_cost_per_character")},
        "transcriptions": {"per_second": one("input_cost_per_second")},
        "rerank": {"per_search": one("input_cost_per_query")},
    }
    # A rate is a whole number of picodollars for a millisecond, or for one.
    places = {"per_second": Decimal("1e-9"), "per_million_characters": Decimal("1e-6")}
    return {field: rate.quantize(places[field]) if field in places and rate % places[field] else rate
            for field, rate in units.get(mode, {}).items() if rate}


# === one provider ===

def build_provider(provider, settings, collections, report):
    litellm, genai, dev = collections
    skip = re.compile(settings["skip"]) if settings.get("skip") else None
    lite_models = {}
    for key, entry in litellm.items():
        if entry.get("litellm_provider") not in settings["litellm"] or entry.get("mode") not in MODES:
            continue
        name = next((key[len(prefix):] for prefix in settings["prefix"] if key.startswith(prefix)), None)
        if name is not None:
            lite_models.setdefault(name, entry)
    dev_models = dev[settings["dev"]]["models"] if settings["dev"] in dev else {}
    dev_models = {name: model for name, model in dev_models.items() if talks(model)}
    genai_models = next((entry["models"] for entry in genai if entry["id"] == settings["genai"]), [])
    names = list(dict.fromkeys([*lite_models, *dev_models]))
    older, aliases = genai_names([model for model in genai_models if usable(model)], set(names), settings)
    models = []
    for name in dict.fromkeys(names + older):
        if skip and skip.search(name):
            report.add("Left out by name", f"{provider}/{name}")
            continue
        listed = genai_entry(genai_models, name)
        exact = bool(listed) and name not in dev_models and name not in lite_models
        models.append(build_model(provider, settings, name, lite_models.get(name), listed, dev_models.get(name), exact, report))
    for model in models:
        if model["id"] in aliases:
            model["aliases"] = aliases[model["id"]]
    return merge_snapshots(models, settings)


def genai_names(models, known, settings):
    """Names that genai-prices alone has: those of models not known otherwise, and other names of any model."""
    wanted = re.compile(settings.get("genai_only", ""))
    skip = re.compile(settings["skip"]) if settings.get("skip") else None
    older, aliases = [], {}
    for model in models:
        names = [name for name in dict.fromkeys([model["id"], *literal_names(model["match"])])
                 if name not in known and wanted.search(name) and not (skip and skip.search(name))]
        for name in list(names):  # an undated name of dated snapshots is the newest one's, not a model of its own
            snapshots = sorted(other for other in known if other != name and SNAPSHOT.sub("", other) == name
                               and settings.get("latest", True) >= other.endswith("-latest"))
            if snapshots:
                aliases.setdefault(snapshots[-1], []).append(name)
                names.remove(name)
        owner = model["id"] if model["id"] in known else next((name for name in literal_names(model["match"]) if name in known), None)
        if owner is None and names:
            owner = min(names, key=lambda name: (bool(SNAPSHOT.search(name)), len(name)))
            older.append(owner)
        others = [name for name in names if name != owner and "/" not in name.removeprefix((owner or "").split("/")[0] + "/")]
        if others:
            aliases.setdefault(owner, []).extend(others)
        known |= set(names)
    return older, aliases


def talks(model):
    """Leaves out what only makes images, video or sound, and what hears only."""
    kinds = model.get("modalities", {})
    return "text" in kinds.get("output", ["text"]) and "text" in kinds.get("input", ["text"])


def usable(model):
    """genai-prices' entries that name text models."""
    return not re.search(r"image|realtime|transcribe|tts|moderation|live|whisper|computer-use|^(text-)?(ada|babbage|curie|davinci)", model["id"])


def merge_snapshots(models, settings):
    """A snapshot that differs from its model in nothing but the name becomes an alias; the rest get families."""
    by_id = {model["id"]: model for model in models}
    kept = []
    for model in models:
        parent = by_id.get(SNAPSHOT.sub("", model["id"]))
        if parent is not None and parent is not model and same(parent, model):
            parent["aliases"] = [model["id"], *parent.get("aliases", []), *model.get("aliases", [])]
        else:
            kept.append(model)
    for model in kept:
        stem = model["id"].removesuffix("-latest")
        if settings.get("families") and "embeddings" not in model.get("modes", []) and not SNAPSHOT.search(stem):
            if stem == model["id"] or stem not in by_id:
                model["families"] = [stem + "-{date}"]
    return kept


def same(one, other):
    strip = lambda model: {key: value for key, value in model.items() if key not in ("id", "aliases", "families")}
    return strip(one) == strip(other)


# === writing ===

def text(value):
    value = format(value, "f")
    return value.rstrip("0").rstrip(".") if "." in value else value


PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_./-]*$")


def scalar(value, quoted=False):
    if isinstance(value, Decimal):
        return f'"{text(value)}"'
    if isinstance(value, int):
        return str(value)
    return value if PLAIN.match(value) and value not in ("on", "off", "yes", "no", "true", "false", "null") or re.fullmatch(r"\d{4}-\d\d-\d\d", value) else json.dumps(value)


def flow(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(part) for part in value) + "]"
    return scalar(value)


KEYS = ["id", "vendor", "aliases", "families", "modes", "context_window", "max_output", "dimensions", "input", "output", "deprecated", "capabilities", "prices"]


def render(provider, settings, models):
    head = [
        "# Derived by generate.py; see README.md. Change prices in weir.yaml (`prices.overrides`), not here.",
        f"provider: {provider}",
        *([f"vendor: {settings['vendor']}"] if settings.get("vendor") else []),
        f'source: "{SOURCE}"',
        f"date: {DATE}",
        "models:",
    ]
    lines = ["  - " + flow({key: model[key] for key in KEYS if key in model and not (key == "vendor" and model[key] == settings.get("vendor", provider))})
             for model in models]
    return "\n".join(head + lines) + "\n"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--catalog", type=Path, default=HERE.parents[2] / "shared" / "catalog")
    options.add_argument("--out", type=Path, default=HERE)
    options.add_argument("--check", action="store_true")
    options = options.parse_args()
    read = lambda name: json.loads((options.catalog / name).read_text(), parse_float=Decimal)
    collections = read("litellm-model-prices.json"), read("genai-prices.data.json"), read("models-dev.json")
    report, stale = Report(), []
    for provider, settings in PROVIDERS.items():
        models = build_provider(provider, settings, collections, report)
        if provider in UNITS:
            names = {name for model in models for name in [model["id"], *model.get("aliases", [])]}
            models += unit_models(provider, collections[0], names)
        content = render(provider, settings, models)
        path = options.out / f"{provider}.yaml"
        names = sum(1 + len(model.get("aliases", [])) for model in models)
        print(f"{provider:12} {len(models):4} models, {names:4} names, {len(content) // 1024:4} KB")
        if options.check:
            if not path.exists() or path.read_text() != content:
                stale.append(path.name)
        else:
            path.write_text(content)
    report.print()
    if stale:
        sys.exit(f"out of date: {', '.join(stale)}; run {Path(__file__).name}")


if __name__ == "__main__":
    main()
