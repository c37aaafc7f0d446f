"""A program that uses LiteLLM with grammage's callback, in a process of its own. Arguments: the callback's file, and an api_base or `-`."""

import asyncio
import contextlib
import importlib.util
import json
import sys
import threading
from typing import Any

import litellm
from litellm.exceptions import RateLimitError

MESSAGES = [{"role": "user", "content": "Describe a merino jumper, in secret."}]
MODEL = "gpt-4o-mini"
MOCKED = 6
TRIES, PAUSE_S = 500, 0.01


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
    asyncio.run(ask_asynchronously(footprint))


async def ask_asynchronously(footprint: Any) -> None:
    """The same, asynchronously, and one that fails."""
    azure: Any = {"api_base": "https://acme.openai.azure.com", "mock_response": "A warm jumper."}
    await litellm.acompletion(model="azure/gpt-4o", messages=MESSAGES, **azure)
    stream: Any = await litellm.acompletion(model=MODEL, messages=MESSAGES, mock_response="A warm jumper in wool.", stream=True)
    assert [chunk async for chunk in stream]
    refused: Any = {"mock_response": RateLimitError("no", "openai", MODEL)}
    with contextlib.suppress(RateLimitError):
        await litellm.acompletion(model=MODEL, messages=MESSAGES, **refused)
    for _ in range(TRIES):  # LiteLLM calls back from tasks of its own
        if footprint.taken >= MOCKED:
            return
        await asyncio.sleep(PAUSE_S)


def main() -> None:
    """Asks, and says what the callback was told and what it lost."""
    path, api_base = sys.argv[1:3]
    footprint = callback(path)
    litellm.callbacks = [footprint]
    if api_base == "-":
        ask_mock(footprint)
    else:
        litellm.completion(model=f"openai/{MODEL}", messages=MESSAGES, api_base=api_base, api_key="the-caller-key")
    pause, wanted = threading.Event(), MOCKED if api_base == "-" else 1
    for _ in range(TRIES):  # and from threads
        if footprint.taken >= wanted:
            break
        pause.wait(PAUSE_S)
    print(json.dumps({"taken": footprint.taken, "flushed": footprint.flush(15.0), "dropped": footprint.dropped}))


if __name__ == "__main__":
    main()
