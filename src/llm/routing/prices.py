#!/usr/bin/env python3
"""Makes src/llm/routing/prices.json of LiteLLM's list of prices (MIT), which the Python package `litellm` carries.

    pip download litellm --no-deps && unzip -p litellm-*.whl '*prices_and_context_window_backup.json' > all.json
    python3 src/llm/routing/prices.py all.json 'litellm 1.109.1' > src/llm/routing/prices.json

Kept are the chat and embedding models of providers that sell their own, and of them what a gateway uses:
US dollars per million tokens, and how many tokens fit.
"""

import json
import sys

PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "mistral": "mistral",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "groq": "groq",
    "deepseek": "deepseek",
    "xai": "xai",
    "together_ai": "together",
}
COSTS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
}
COUNTS = {"context": "max_input_tokens", "max_output": "max_output_tokens"}


def entry(model):
    costs = {ours: round(model[theirs] * 1e6, 6) for ours, theirs in COSTS.items() if isinstance(model.get(theirs), (int, float))}
    if model["mode"] == "embedding":
        costs.setdefault("output", 0)
    counts = {ours: int(model[theirs]) for ours, theirs in COUNTS.items() if str(model.get(theirs, "")).isdigit()}
    return {key: int(cost) if cost == int(cost) else cost for key, cost in costs.items()} | counts


def main(path, source):
    with open(path, encoding="utf-8") as file:
        everything = json.load(file)
    models = {}
    for name, model in everything.items():
        provider = PROVIDERS.get(model.get("litellm_provider"))
        if provider is None or model.get("mode") not in ("chat", "responses", "embedding") or name.startswith("ft:"):
            continue
        own = name.removeprefix(model["litellm_provider"] + "/")
        kept = entry(model)
        if "input" in kept and own != "sample_spec":
            models.setdefault(provider, {})[own] = kept
    lines = []
    for provider in sorted(models):
        rows = [f"{json.dumps(name)}:{json.dumps(models[provider][name], separators=(',', ':'))}" for name in sorted(models[provider])]
        lines.append(json.dumps(provider) + ":{\n" + ",\n".join(rows) + "\n}")
    print('{"source":' + json.dumps(source) + ',"models":{\n' + ",\n".join(lines) + "\n}}")


if __name__ == "__main__":
    main(*sys.argv[1:])
