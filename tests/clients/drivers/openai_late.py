"""The official Python SDK, any version: files, what is done later, and sockets. It must never wait for more than it asked for."""

import hashlib
import json
from typing import Any

import openai

from tests.clients.drivers.checks import BASE, KEY, TEXT, check, last_seen, weighed

MODEL = "gpt-4o-mini"
client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
ASK: Any = {"model": MODEL, "messages": [{"role": "user", "content": TEXT}]}


def lines(*documents: Any) -> bytes:
    """Documents as lines."""
    return "\n".join(json.dumps(document, ensure_ascii=False) for document in documents).encode()


def upload(content: bytes, purpose: Any) -> str:
    """The id of a file."""
    return client.files.create(file=("\u00e9t\u00e9.jsonl", content), purpose=purpose).id


@check
def files() -> Any:
    content = bytes(range(256)) * 2000
    name = upload(content, "user_data")
    assert last_seen()["bytes"] > len(content)
    assert client.files.retrieve(name).bytes == len(content)
    assert name in [file.id for file in client.files.list()]
    got = client.files.content(name).content
    assert got == content
    assert client.files.delete(name).deleted
    return hashlib.sha256(got).hexdigest()


@check
def batches() -> Any:
    asks = [{"custom_id": str(at), "method": "POST", "url": "/v1/chat/completions", "body": ASK} for at in range(3)]
    made = client.batches.create(
        input_file_id=upload(lines(*asks), "batch"), endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
    )
    done = client.batches.retrieve(made.id)
    assert (made.status, done.status, done.metadata) == ("validating", "completed", {"a": "b"})
    answers = client.files.content(done.output_file_id or "").text.strip().split("\n")
    assert sorted(json.loads(line)["custom_id"] for line in answers) == ["0", "1", "2"]
    assert made.id in [batch.id for batch in client.batches.list()]
    usage: Any = done.usage
    return usage.total_tokens


@check
def fine_tuning() -> Any:
    examples = lines({"messages": [*ASK["messages"], {"role": "assistant", "content": "x"}]})
    made = client.fine_tuning.jobs.create(model=MODEL, training_file=upload(examples, "fine-tune"))
    done = client.fine_tuning.jobs.retrieve(made.id)
    assert done.status == "succeeded"
    assert list(client.fine_tuning.jobs.list_events(made.id)) is not None
    return done.trained_tokens


@check
def videos() -> Any:
    made: Any = client.post("/videos", cast_to=object, body={"model": "sora-2", "prompt": TEXT, "seconds": "4", "size": "1280x720"})
    seen: Any = client.get(f"/videos/{made['id']}", cast_to=object)
    clip = client.get(f"/videos/{made['id']}/content", cast_to=openai.HttpxBinaryResponseContent)
    return seen["status"], len(clip.content)


@check
def decisions() -> Any:
    questions = [{"id": "q", "question": "Is it warm?", "choices": ["yes", "no"]}]
    made: Any = client.post("/decisions", cast_to=object, body={"model": MODEL, "input": TEXT, "questions": questions})
    weighed(made["usage"])
    return made["decisions"]


@check
def realtime() -> Any:
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        content: Any = [{"type": "input_text", "text": "Describe a scarf."}]
        connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        connection.response.create()
        kinds = []
        for event in connection:
            kinds.append(event.type)
            if event.type == "response.done":
                usage: Any = event.response.usage
                break
    assert usage.output_tokens > 0
    return kinds[0], usage.total_tokens


@check
def responses_by_socket() -> Any:
    with client.responses.connect() as connection:
        connection.response.create(model=MODEL, input=TEXT)
        for event in connection:
            if event.type == "response.completed":
                assert event.response.usage is not None
                return event.response.usage.total_tokens
    raise AssertionError("no end")


@check
def assistants_pass() -> Any:
    made: Any = client.post("/threads", cast_to=object, body={"metadata": {"a": "b"}})
    return made["new"]
