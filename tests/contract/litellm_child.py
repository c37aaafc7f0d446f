"""A program that uses LiteLLM with grammage's callback, in a process of its own. Arguments: the callback's file, and an api_base or `-`."""

import asyncio
import importlib.util
import json
import sys
import time
from typing import Any

import litellm

MESSAGES = [{"role": "user", "content": "Describe a merino jumper, in secret."}]
MODEL = "gpt-4o-mini"


def callback(path: str) -> Any:
    """The file, as LiteLLM loads it."""
    spec = importlib.util.spec_from_file_location("grammage_litellm", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["grammage_litellm"] = module
    spec.loader.exec_module(module)
    return module.footprint


def ask_mock(footprint: Any) -> None:
    """Calls of every kind that LiteLLM answers by itself."""
    tagged: Any = {"campaign": "noel-26", "secret": "a person", "tags": ["brand:acme"]}
    litellm.completion(model=MODEL, messages=MESSAGES, mock_response="A warm jumper.", metadata=tagged)
    assert list(litellm.completion(model=MODEL, messages=MESSAGES, mock_response="A warm jumper in wool.", stream=True))
    litellm.embedding(model="text-embedding-3-small", input=["a jumper"], mock_response=[[0.1, 0.2]])
    asyncio.run(ask_asynchronously())


async def ask_asynchronously() -> None:
    """The same, asynchronously, and one that fails."""
    azure: Any = {"api_base": "https://acme.openai.azure.com", "mock_response": "A warm jumper."}
    await litellm.acompletion(model="azure/gpt-4o", messages=MESSAGES, **azure)
    stream: Any = await litellm.acompletion(model=MODEL, messages=MESSAGES, mock_response="A warm jumper in wool.", stream=True)
    assert [chunk async for chunk in stream]
    try:
        await litellm.acompletion(model=MODEL, messages=MESSAGES, mock_response=litellm.RateLimitError("no", "openai", MODEL))  # type: ignore[arg-type]  # the library takes it
    except litellm.RateLimitError:
        pass
    await litellm.GLOBAL_LOGGING_WORKER.flush() if hasattr(litellm, "GLOBAL_LOGGING_WORKER") else None
    await asyncio.sleep(1.0)  # LiteLLM calls back from tasks of its own


def main() -> None:
    """Asks, and says how long the calls took and how many the callback lost."""
    path, api_base = sys.argv[1:3]
    footprint = callback(path)
    litellm.callbacks = [footprint]
    began = time.perf_counter()
    if api_base == "-":
        ask_mock(footprint)
    else:
        litellm.completion(model=f"openai/{MODEL}", messages=MESSAGES, api_base=api_base, api_key="the-caller-key")
    took = time.perf_counter() - began
    time.sleep(0.5)  # LiteLLM calls back from threads of its own
    flushed = footprint.flush(10.0)
    print(json.dumps({"dropped": footprint.dropped, "flushed": flushed, "took_s": took}))


if __name__ == "__main__":
    main()
