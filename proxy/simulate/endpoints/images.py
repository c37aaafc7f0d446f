"""Speaks POST /v1/images/generations, edits and variations, and gives the pictures again at their addresses. It must never keep one.

An address holds all that is needed to draw its picture again.
"""

import base64
import re
from collections.abc import Iterator

from proxy.simulate import wording
from proxy.simulate.endpoints.image_wish import Wish, read_wish
from proxy.simulate.exchange import NAMED_EVENTS, Ask, Draft, JsonObject, Refused, as_list, as_object
from proxy.simulate.picture import FINEST_CELLS, draw
from proxy.simulate.sniff import size_of

PNG = "image/png"
_FOLDER = "/v1/simulate/images/"
_NAME = re.compile(r"([0-9a-f]{32})-(\d{2,4})x(\d{2,4})(-clear)?\.png")
_LARGEST = 4096
_SEED_LETTERS = 32
_MOST_INPUTS = 16


def generations(ask: Ask) -> Draft:
    """Pictures from a prompt."""
    return _answer(ask, read_wish(ask), "image_generation")


def edits(ask: Ask) -> Draft:
    """Pictures from a prompt and pictures; JSON gives these as data URLs, a form as files."""
    inputs = _files(ask, "image") if ask.files or "images" not in ask.body else _linked(ask.body)
    mask = _files(ask, "mask", least=0)
    return _answer(ask, read_wish(ask, (*inputs, *mask)), "image_edit")


def variations(ask: Ask) -> Draft:
    """Pictures like a picture."""
    return _answer(ask, read_wish(ask, _files(ask, "image"), prompted=False), "image_variation")


def drawn(ask: Ask) -> Draft:
    """The picture at an address."""
    found = _NAME.fullmatch(ask.asked.path.removeprefix(_FOLDER))
    sides = (int(found[2]), int(found[3])) if found else (0, 0)
    if found is None or not all(0 < side <= _LARGEST for side in sides):
        raise Refused(404, "Simulated: there is no such picture.", code="not_found")
    return Draft(plain=draw(found[1], *sides, transparent=found[4] is not None), content_type=PNG)


def _answer(ask: Ask, wish: Wish, kind: str) -> Draft:
    if wish.stream:
        events = tuple(_events(ask, wish, kind))
        return Draft(events=events, style=NAMED_EVENTS, model=wish.model, output_tokens=wish.output_tokens)
    seeds = [_seed(ask, wish, index) for index in range(wish.images)]
    data = [{"url": _address(ask, wish, seed)} if wish.as_url else {"b64_json": _coded(wish, seed)} for seed in seeds]
    document: JsonObject = {"created": ask.created_s, **(_told(wish) if wish.reports else {}), "data": data, **ask.usage(wish.usage())}
    return Draft(document=document, model=wish.model, output_tokens=wish.output_tokens)


def _events(ask: Ask, wish: Wish, kind: str) -> Iterator[JsonObject]:
    """Ever finer pictures, then the last one with usage."""
    seed = _seed(ask, wish, 0)
    common = {"created_at": ask.created_s, **_told(wish)}
    for index in range(wish.partials):
        coarse = _coded(wish, seed, cells=FINEST_CELLS >> (wish.partials - index))
        yield {"type": f"{kind}.partial_image", **common, "partial_image_index": index, "b64_json": coarse}
    yield {"type": f"{kind}.completed", **common, "b64_json": _coded(wish, seed), **ask.usage(wish.usage())}


def _told(wish: Wish) -> JsonObject:
    background = "transparent" if wish.transparent else "opaque"
    return {"background": background, "output_format": "png", "quality": wish.quality, "size": wish.size}


def _seed(ask: Ask, wish: Wish, index: int) -> str:
    given = [wording.seed_of(base64.b64encode(picture)) for picture in wish.inputs]
    return wording.seed_of(wish.model, wish.prompt, ask.body.get("seed"), *given, index)[:_SEED_LETTERS]


def _coded(wish: Wish, seed: str, *, cells: int = FINEST_CELLS) -> str:
    return base64.b64encode(draw(seed, wish.width, wish.height, cells=cells, transparent=wish.transparent)).decode()


def _address(ask: Ask, wish: Wish, seed: str) -> str:
    """Where the same server draws the picture again; a data URL when the request did not come over a socket."""
    host = ask.asked.headers.get("host")
    if host is None:
        return f"data:{PNG};base64,{_coded(wish, seed)}"
    return f"http://{host}{_FOLDER}{seed}-{wish.size}{'-clear' if wish.transparent else ''}.png"


def _files(ask: Ask, name: str, *, least: int = 1) -> tuple[bytes, ...]:
    pictures = tuple(upload.content for upload in ask.files.get(name, ()))
    return _checked(pictures, name, least)


def _linked(body: JsonObject) -> tuple[bytes, ...]:
    """The pictures of a JSON request, each a base64 data URL."""
    pictures = []
    for item in as_list(body.get("images")):
        url = as_object(item).get("image_url")
        head, _, payload = url.partition(",") if isinstance(url, str) else ("", "", "")
        if not (head.startswith("data:image/") and head.endswith(";base64")):
            raise Refused(400, "Simulated: give each of 'images' an 'image_url' that is a base64 data URL.", param="images")
        try:
            pictures.append(base64.b64decode(payload, validate=True))
        except ValueError as error:
            raise Refused(400, "Simulated: an 'image_url' holds no valid base64.", param="images") from error
    return _checked(tuple(pictures), "images", 1)


def _checked(pictures: tuple[bytes, ...], name: str, least: int) -> tuple[bytes, ...]:
    if not least <= len(pictures) <= _MOST_INPUTS:
        raise Refused(400, f"Simulated: '{name}' must hold {least} to {_MOST_INPUTS} pictures.", param=name)
    if any(size_of(picture) is None for picture in pictures):
        raise Refused(400, f"Simulated: '{name}' must be PNG, JPEG, WebP or GIF.", code="unsupported_image", param=name)
    return pictures
