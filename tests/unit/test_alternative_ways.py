"""Alternatives by themselves: what a template fills, what a memory finds, what a picture becomes, and what the configuration must have."""

import base64
import io
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image
from pydantic import TypeAdapter

from config.alternatives import Memory
from config.load import ConfigError, load_settings
from config.read_memory import read_memory
from config.template_text import read_template
from proxy.alternative.made import Cannot, Drawn, PictureFormat, Text
from proxy.alternative.memory import MemoryWay
from proxy.alternative.picture import MOST_PIXELS, PictureWay, picture_of
from proxy.alternative.shapes import Telling, shaped
from proxy.alternative.template import TemplateWay
from proxy.alternative.wanted import Wanted
from proxy.endpoints import ENDPOINT_BY_PATH
from proxy.endpoints.parse import parse

PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "images": "/v1/images/generations",
    "edits": "/v1/images/edits",
    "embeddings": "/v1/embeddings",
}


def wanted(kind: str = "chat", body: dict[str, Any] | None = None, *, fields: bytes = b"", tags: dict[str, str] | None = None) -> Wanted:
    raw = json.dumps({"model": "m", **({"messages": [{"role": "user", "content": "Hi"}]} if body is None else body)}).encode()
    endpoint = ENDPOINT_BY_PATH[PATHS[kind]]
    return Wanted(ask=parse(endpoint, raw), known={b"x-grammage-fields": fields} if fields else {}, tags=tags or {})


def test_a_template_is_filled_from_the_header_before_the_metadata() -> None:
    way = TemplateWay(read_template("{{{a}}} {b}, {a}"))
    call = wanted(body={"messages": [], "metadata": {"a": "meta", "b": "B", "c": [1]}}, fields=b'{"a": 7}')
    assert way.make(call) == Text("{7} B, 7")


def test_a_template_without_all_fields_says_which_it_lacks() -> None:
    way = TemplateWay(read_template("{a} {b} {a} {c}"))
    assert way.make(wanted(fields=b'{"b": "x", "c": {"nested": 1}, "a": true}')) == Cannot("fields_missing", ("a", "c"))
    for fields in (b"[1]", b"no json", b'{"a":', b"[" * 2000):
        assert way.make(wanted(fields=fields)) == Cannot("fields_missing", ("a", "b", "c"))


@pytest.mark.parametrize("text", ["{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{a", "}", "{ a}", "{__class__}", "{a-b.c}"])
def test_a_place_to_fill_is_a_plain_name_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="a plain name in braces"):
        read_template(text)


def test_values_that_look_like_places_are_not_filled_again() -> None:
    assert TemplateWay(read_template("{a}")).make(wanted(fields=b'{"a": "{a} {b} %s $a"}')) == Text("{a} {b} %s $a")


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("chat", {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "last"}]}, "last"),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}, "a\nb"),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]}, None),
        ("chat", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, None),
        ("chat", {"messages": []}, None),
        ("completions", {"prompt": "p"}, "p"),
        ("completions", {"prompt": ["p"]}, "p"),
        ("completions", {"prompt": ["p", "q"]}, None),
        ("completions", {"prompt": [1, 2]}, None),
        ("responses", {"input": "i"}, "i"),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "i"}]}]}, "i"),
        ("responses", {"input": [{"type": "function_call_output", "output": "x"}]}, None),
        ("messages", {"max_tokens": 5, "messages": [{"role": "user", "content": "m"}]}, "m"),
    ],
)
def test_the_last_thing_that_the_user_says_is_what_is_looked_up(kind: str, body: dict[str, Any], text: str | None) -> None:
    assert wanted(kind, body).last_text() == text


def memory(tmp_path: Path, text: str, name: str = "m.csv", **more: Any) -> MemoryWay:
    (tmp_path / name).write_text(text, encoding="utf-8")
    stated = Memory(kind="memory", file=str(tmp_path / name), **more)
    return MemoryWay(read_memory(stated), ignore_case=stated.ignore_case)


def said(text: str, **tags: str) -> Wanted:
    return wanted(body={"messages": [{"role": "user", "content": text}]}, tags=tags)


def test_a_memory_of_csv_goes_by_text_and_by_the_tags_that_a_row_states(tmp_path: Path) -> None:
    way = memory(tmp_path, 'target, market ,source\n"Hallo,\nWelt",de,Hello  world\nHi,,Hello world\n', ignore_case=True)
    assert way.make(said("hello WORLD", market="de")) == Text("Hallo,\nWelt")
    assert way.make(said("Hello world", market="fr")) == way.make(said("Hello world")) == Text("Hi")
    assert way.make(said("Hello")) == Cannot("not_in_memory")


def test_two_answers_to_the_same_text_are_none(tmp_path: Path) -> None:
    way = memory(tmp_path, "source,target\na,1\na,2\nb,1\nb,1\n")
    assert way.make(said("a")) == Cannot("not_in_memory")
    assert way.make(said("b")) == Text("1")


TMX = """<?xml version="1.0" encoding="UTF-8"?>
<tmx version="1.4"><header srclang="en-GB"/><body>
<tu><tuv xml:lang="en-GB"><seg>Wool <ph>x</ph>coat</seg></tuv><tuv xml:lang="fr-FR"><seg>Manteau</seg></tuv>
<tuv xml:lang="de"><seg>Mantel</seg></tuv></tu>
<tu><tuv xml:lang="fr-FR"><seg>Orphelin</seg></tuv></tu></body></tmx>"""


def test_a_memory_of_tmx_answers_in_the_language_that_the_tag_names(tmp_path: Path) -> None:
    way = memory(tmp_path, TMX, "m.tmx", tag="audience")
    assert way.make(said("Wool xcoat", audience="fr-FR")) == Text("Manteau")
    assert way.make(said("Wool xcoat", audience="de-AT")) == Text("Mantel")
    assert way.make(said("Wool xcoat", audience="it")) == way.make(said("Wool xcoat")) == Cannot("not_in_memory")
    single = memory(tmp_path, TMX.replace('<tuv xml:lang="de"><seg>Mantel</seg></tuv>', ""), "one.tmx")
    assert single.make(said("Wool xcoat")) == Text("Manteau"), "one language needs no tag"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "source,traget\na,b\n", "needs the columns source and target; it has: source, traget"),
        ("m.csv", "source,target\na\n", "line 2 has not as many cells"),
        ("m.csv", "source,target\na,b,c\n", "line 2 has not as many cells"),
        ("m.csv", "source,target,No Tag\na,b,c\n", "names no tag"),
        ("m.csv", "source,target\n", "holds no row"),
        ("m.tmx", "<tmx", "is no TMX"),
        ("m.tmx", '<!DOCTYPE a [<!ENTITY b "c">]><tmx>&b;</tmx>', "declares entities"),
    ],
)
def test_a_memory_that_cannot_be_read_says_why(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        memory(tmp_path, text, name)


def drawn(folder: Path, kind: Literal["resize", "crop"], form: PictureFormat, size: str | None, asset: str = "hero") -> Drawn | Cannot:
    way = PictureWay(kind=kind, folder=folder, form=form)
    body = {"prompt": "x", **({"size": size} if size else {})}
    return way.make(wanted("images", body, tags={"asset": asset}))


@pytest.mark.parametrize(
    ("kind", "form", "size", "expected"),
    [
        ("resize", "png", "100x100", (100, 50)),
        ("resize", "webp", "4000x4000", (400, 200)),
        ("resize", "jpeg", None, (400, 200)),
        ("resize", "png", "auto", (400, 200)),
        ("crop", "jpeg", "100x200", (100, 200)),
        ("crop", "png", "400x10", (400, 10)),
    ],
)
def test_a_picture_becomes_the_size_that_is_asked_for(
    tmp_path: Path, kind: Literal["resize", "crop"], form: PictureFormat, size: str | None, expected: tuple[int, int]
) -> None:
    Image.new("P", (400, 200)).save(tmp_path / "hero.png", pnginfo=None)
    made = drawn(tmp_path, kind, form, size)
    assert isinstance(made, Drawn)
    picture = Image.open(io.BytesIO(made.raw))
    assert picture.size == expected
    assert str(picture.format).lower() == form


def test_a_picture_that_says_it_is_huge_is_not_unpacked(tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.new("L", (1, 1)).save(small, "PNG")
    head = small.getvalue()
    (tmp_path / "hero.png").write_bytes(head[:16] + (9000).to_bytes(4, "big") * 2 + head[24:])
    assert MOST_PIXELS < 9000 * 9000
    assert drawn(tmp_path, "resize", "png", "10x10") == Cannot("picture_too_large")
    (tmp_path / "hero.png").write_text("no picture")
    assert drawn(tmp_path, "resize", "png", "10x10") == Cannot("picture_unreadable")


@pytest.mark.parametrize("asset", ["", ".", "..", "../a", "a/b", "a\\b", "/etc/passwd", ".hidden", "a.png/../b", "\x00", "x" * 128])
def test_an_asset_never_leads_out_of_the_folder(tmp_path: Path, asset: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    assert picture_of(tmp_path / "in", asset) is None


def test_calls_of_other_kinds_are_left_to_the_model(tmp_path: Path) -> None:
    template = TemplateWay(read_template("x"))
    assert template.make(wanted("embeddings", {"input": "x"})) == Cannot("other_operation")
    assert template.make(wanted("chat", {"messages": [], "n": 3})) == Cannot("several_asked")
    assert template.make(wanted("responses", {"input": "x", "background": True})) == Cannot("background_asked")
    asked = {"input": "x", "text": {"format": {"type": "json_schema"}}}
    assert template.make(wanted("responses", asked)) == Cannot("json_asked")
    assert TemplateWay(read_template('{{"a": 1}}')).make(wanted("responses", asked)) == Text('{"a": 1}')
    way = PictureWay(kind="crop", folder=tmp_path, form="png")
    assert way.make(wanted("edits", {"prompt": "x", "image": "y"})) == Cannot("other_operation")


def test_a_picture_is_streamed_as_one_event() -> None:
    call = wanted("images", {"prompt": "x", "stream": True})
    kind, body = shaped(call.ask, Drawn(b"raw", "png"), Telling(call_id="c", created_s=1, model="grammage/crop"))
    name, _, data = body.partition(b"\n")
    assert kind.startswith(b"text/event-stream")
    assert name == b"event: image_generation.completed"
    assert base64.b64decode(json.loads(data.removeprefix(b"data: "))["b64_json"]) == b"raw"


CONFIG = """version: 1
alternatives:
  greetings: {kind: template, text: "Hi {name}"}
  file: {kind: template, file: texts/hello.txt}
  seen: {kind: memory, file: texts/memory.csv}
  sizes: {kind: resize, folder: visuals}
  shop: {kind: elsewhere, text: "The shop."}
policies:
  - {name: one, when: {operation: [chat, images]}, alternative: {ref: greetings}}
  - {name: two, alternative: {ref: sizes, mode: run}, iterations: {at_most: 3}}
"""


def configured(tmp_path: Path, text: str = CONFIG) -> list[str]:
    (tmp_path / "texts").mkdir(exist_ok=True)
    (tmp_path / "visuals").mkdir(exist_ok=True)
    (tmp_path / "texts" / "hello.txt").write_text("Hello {name}")
    (tmp_path / "texts" / "memory.csv").write_text("source,target\na,b\n")
    (tmp_path / "g.yaml").write_text(text)
    try:
        load_settings(tmp_path / "g.yaml", {})
    except ConfigError as error:
        return [f"{problem.line} {problem.key}: {problem.message}" for problem in error.problems]
    return []


def test_files_of_alternatives_begin_beside_the_configuration(tmp_path: Path) -> None:
    assert configured(tmp_path) == []
    settings = load_settings(tmp_path / "g.yaml", {})
    found = TypeAdapter(dict[str, Any]).dump_python({name: each.model_dump() for name, each in settings.alternatives.items()})
    assert found["seen"]["file"] == str(tmp_path / "texts" / "memory.csv")
    assert found["sizes"]["folder"] == str(tmp_path / "visuals")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("ref: sizes", "ref: size", "10 policies[1].alternative.ref: `size` is not under `alternatives:`; did you mean `sizes`?"),
        ("ref: sizes", "ref: shop", "10 policies[1].alternative.mode: what is elsewhere cannot run here; write `mode: offer`"),
        ("[chat, images]", "images", "9 policies[0].when.operation: `greetings` is a template, which answers chat, completions, messages,"),
        ("Hi {name}", "Hi {name.x}", "3 alternatives.greetings.text: a place to fill is a plain name in braces"),
        ('text: "Hi {name}"', "file: nowhere.txt", "3 alternatives.greetings.file: cannot be read"),
        ('text: "Hi {name}"', "text: a, file: b", "3 alternatives.greetings: needs `text` or `file`, and not both"),
        ("memory.csv", "none.csv", "5 alternatives.seen.file: cannot be read"),
        ("folder: visuals", "folder: nowhere", "6 alternatives.sizes.folder: "),
        ("at_most: 3", "at_most: 3, tag: A B", "10 policies[1].iterations.tag: a tag's name is"),
    ],
)
def test_what_cannot_work_is_said_with_its_place(tmp_path: Path, old: str, new: str, problem: str) -> None:
    found = configured(tmp_path, CONFIG.replace(old, new))
    assert len(found) == 1, found
    assert found[0].startswith(problem)


def test_messages_that_ask_for_json_get_no_other_text() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    turns = [{"role": "user", "content": "Hi"}]
    for asked in ({"output_config": {"format": form}}, {"output_format": form}):
        call = wanted("messages", {"messages": turns, **asked})
        assert TemplateWay(read_template("Hello")).make(call) == Cannot("json_asked")
        assert TemplateWay(read_template('{{"a": 1}}')).make(call) == Text('{"a": 1}')
    assert TemplateWay(read_template("Hello")).make(wanted("messages", {"messages": turns})) == Text("Hello")


def test_a_picture_that_lies_on_its_side_is_cropped_by_the_sides_that_it_shows(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter: 40 wide, 80 high
    Image.new("RGB", (80, 40), "red").save(tmp_path / "tall.jpg", exif=exif)
    way = PictureWay(kind="crop", folder=tmp_path, form="png")
    assert way.make(wanted("images", {"prompt": "x", "size": "80x40"}, tags={"asset": "tall"})) == Cannot("picture_too_small")
    drawn = way.make(wanted("images", {"prompt": "x", "size": "40x80"}, tags={"asset": "tall"}))
    assert isinstance(drawn, Drawn)
    assert Image.open(io.BytesIO(drawn.raw)).size == (40, 80)
