"""Resizes or crops a picture that is there. It must never leave its folder, nor unpack a picture larger than it says."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from proxy.alternative.fits import unfit
from proxy.alternative.made import Cannot, Drawn, PictureFormat
from proxy.alternative.wanted import Wanted
from proxy.errors import StartError
from proxy.probe.picture_size import HEADER_BYTES, Size, picture_size

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = ("png", "jpg", "jpeg", "webp")
MOST_BYTES = 64 * 1024 * 1024
MOST_PIXELS = 64_000_000
"""A larger picture is not unpacked: four bytes a pixel, a quarter of a GB."""

ASSET = "asset"
NOT_FOUND = "no_such_picture"
UNREADABLE = "picture_unreadable"
TOO_LARGE = "picture_too_large"
TOO_SMALL = "picture_too_small"
OPAQUE = ("RGB", "L")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureWay:
    """The pictures of a folder, each named by the asset that it shows."""

    kind: Literal["resize", "crop"]
    folder: Path
    form: PictureFormat
    slow: bool = True

    def lacks(self, wanted: Wanted) -> Cannot | None:
        """That there is no such picture, among others; its pixels are not looked at."""
        found = self._find(wanted)
        return found if isinstance(found, Cannot) else None

    def make(self, wanted: Wanted) -> Drawn | Cannot:
        """The picture in the size that is asked for, in its own where none is."""
        found = self._find(wanted)
        if isinstance(found, Cannot):
            return found
        return self._edited(found, wanted.size())

    def _find(self, wanted: Wanted) -> Path | Cannot:
        """The file, if its header tells of a size that may be unpacked."""
        cannot = unfit(self.kind, wanted)
        if cannot is not None:
            return cannot
        path = picture_of(self.folder, wanted.tags.get(ASSET, ""))
        if path is None:
            return Cannot(NOT_FOUND)
        try:
            if path.stat().st_size > MOST_BYTES:
                return Cannot(TOO_LARGE)
            with path.open("rb") as file:
                size = picture_size(file.read(HEADER_BYTES))
        except OSError:
            return Cannot(UNREADABLE)
        if size is None:
            return Cannot(UNREADABLE)
        return Cannot(TOO_LARGE) if size[0] * size[1] > MOST_PIXELS else path

    def _edited(self, path: Path, asked: Size | None) -> Drawn | Cannot:
        from PIL import Image, ImageOps  # an extra, slow to import; only where pictures are configured

        try:
            with Image.open(path) as opened:
                if opened.size[0] * opened.size[1] > MOST_PIXELS:
                    return Cannot(TOO_LARGE)
                upright = ImageOps.exif_transpose(opened)
                if asked is not None and self.kind == "crop" and (upright.size[0] < asked[0] or upright.size[1] < asked[1]):
                    return Cannot(TOO_SMALL)
                edited = upright if asked is None else _EDITS[self.kind](upright, asked)
                out = io.BytesIO()
                _SHAPED[self.form](edited).save(out, format=self.form)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what the library raises for a file that is none
            return Cannot(UNREADABLE)
        return Drawn(out.getvalue(), self.form)


def picture_of(folder: Path, asset: str) -> Path | None:
    """The asset's picture in the folder; None where there is none, or its name leads elsewhere."""
    if not asset.isprintable() or not asset or "/" in asset or "\\" in asset or asset.startswith("."):
        return None
    home = folder.resolve()
    for extension in EXTENSIONS:
        path = (home / f"{asset}.{extension}").resolve()
        if path.parent == home and path.is_file():
            return path
    return None


def need_library() -> None:
    """Raises StartError where the library of pictures is not installed."""
    try:
        import PIL.Image  # an extra, looked for at start where pictures are configured
    except ModuleNotFoundError as error:
        raise StartError("alternatives of kind resize and crop need Pillow; run: pip install 'grammage[pictures]'") from error
    PIL.Image.init()


def _resized(picture: "Image", size: Size) -> "Image":
    """Within the size, as it is where it is smaller: nothing is made up."""
    smaller = picture.copy()
    smaller.thumbnail(size)
    return smaller


def _cropped(picture: "Image", size: Size) -> "Image":
    from PIL import ImageOps  # as above

    return ImageOps.fit(picture, size)


def _with_colours(picture: "Image") -> "Image":
    return picture if picture.mode in ("RGB", "RGBA", "L", "LA") else picture.convert("RGBA")


def _opaque(picture: "Image") -> "Image":
    """On white, for a format that knows no transparency."""
    if picture.mode in OPAQUE:
        return picture
    from PIL import Image  # as above

    seen = picture.convert("RGBA")
    ground = Image.new("RGBA", seen.size, "white")
    ground.alpha_composite(seen)
    return ground.convert("RGB")


_EDITS: Mapping[str, Callable[[Any, Size], Any]] = {"resize": _resized, "crop": _cropped}
_SHAPED: Mapping[str, Callable[[Any], Any]] = {"png": _with_colours, "webp": _with_colours, "jpeg": _opaque}
