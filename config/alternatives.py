"""The grammar of ways to do without a generative model: templates, translation memories, edits of a picture. It must never run one."""

from typing import Annotated, Literal

from pydantic import Field

from config.section import Section


class Template(Section):
    """Text made of the request's own fields."""

    kind: Literal["template"] = Field(description="A text with places to fill.")
    text: str | None = Field(default=None, description="The text, with {name} for a field of `x-grammage-fields` or of `metadata`.")
    file: str | None = Field(default=None, description="File that holds it instead, relative to the configuration.")


class Memory(Section):
    """Texts that were translated or written before, found by their source text alone."""

    kind: Literal["memory"] = Field(description="A translation memory, or any table of texts that were made before.")
    file: str = Field(description="CSV (columns source, target, and any tag such as market), or TMX; relative to the configuration.")
    tag: str = Field(default="market", description="In a TMX of several languages, the tag that names the one to answer in, as fr-CA.")
    ignore_case: bool = Field(default=False, description="Source texts that differ in case only are the same.")


class Picture(Section):
    """An existing picture, resized or cropped on this machine."""

    kind: Literal["resize", "crop"] = Field(description="resize: fit within the size that is asked for; crop: fill it, cutting the edges.")
    folder: str = Field(description="Folder of the pictures, relative to the configuration; the call's asset tag names the file.")
    format: Literal["png", "jpeg", "webp"] = Field(default="png", description="Format of the answer.")


class Elsewhere(Section):
    """A way outside of the proxy, that is only pointed to."""

    kind: Literal["elsewhere"] = Field(description="Something that people or other systems do.")
    url: str | None = Field(default=None, description="Where it is to be found.")
    text: str = Field(min_length=1, description="What it is, for who reads the answer.")


TEXTS = frozenset({"chat", "completions", "responses", "messages"})
"""Kinds of calls that a text answers."""

PICTURES = frozenset({"images"})
"""Kinds of calls that a picture answers."""

Alternative = Annotated[Template | Memory | Picture | Elsewhere, Field(discriminator="kind")]
