"""The intent ``content.thumbnail.v1``: one action without a DAG, on a real image. Needs the extra ``images``.

Its worker: ``trib worker --queues default,media --import ./workflows/thumbnail.py``.
Its work: ``trib submit content.thumbnail.v1 --payload '{"content_id": "c_1", "width": 320, "height": 200}'``.
"""

from __future__ import annotations

import colorsys
import os
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError
from pydantic import BaseModel, Field

from tributary_daemon import Abort, handler

FULL_SIZE = (1600, 1000)


class ThumbnailArgs(BaseModel):
    """What to shrink, and to which size (pixels).

    Without ``source`` a landscape is drawn first, always the same one for the same ``content_id``.
    """

    content_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    width: int = Field(gt=0, le=4096)
    height: int = Field(gt=0, le=4096)
    source: str | None = None
    directory: str = "out"


class Thumbnail(BaseModel):
    """The thumbnail's file and its true size: the proportions of the original are kept."""

    path: str
    width: int
    height: int
    bytes: int


@handler("content.thumbnail.v1", queue="media", max_attempts=3, timeout="30s", priority=5)
def thumbnail(args: ThumbnailArgs) -> Thumbnail:
    """Write a PNG that fits into ``width`` x ``height``."""
    folder = Path(args.directory).resolve()
    source = Path(args.source) if args.source else drawn(folder / "content" / f"{args.content_id}.png")
    if not source.exists():
        raise Abort(f"there is no image {source}")
    try:
        with Image.open(source) as original:
            small = ImageOps.contain(ImageOps.exif_transpose(original), (args.width, args.height))
    except UnidentifiedImageError as error:
        raise Abort(f"{source} is not an image") from error
    path = folder / "thumbnails" / f"{args.content_id}-{args.width}x{args.height}.png"
    save(small, path)
    return Thumbnail(path=str(path), width=small.width, height=small.height, bytes=path.stat().st_size)


def drawn(path: Path) -> Path:
    """Draw a landscape that depends on the file's name only; return its path."""
    if path.exists():
        return path
    chance = random.Random(path.stem)  # noqa: S311 - a picture, not a secret
    width, height = FULL_SIZE
    hue = chance.random()
    image = Image.new("RGB", FULL_SIZE)
    draw = ImageDraw.Draw(image)
    for y in range(height):
        draw.line([(0, y), (width, y)], fill=shade(hue, 0.35, 0.65 + 0.35 * y / height))
    x, radius = chance.randrange(width), chance.randrange(60, 140)
    draw.ellipse([x - radius, 180 - radius, x + radius, 180 + radius], fill=shade(hue + 0.5, 0.25, 1.0))
    for ridge in range(4):
        top = height * (0.45 + 0.13 * ridge)
        peaks = [(x, top + chance.uniform(-90, 90)) for x in range(0, width + 160, 160)]
        draw.polygon([(0, height), *peaks, (width, height)], fill=shade(hue, 0.45, 0.6 - 0.13 * ridge))
    save(image, path)
    return path


def shade(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """Return a colour as 8-bit red, green and blue; all three arguments are 0 to 1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def save(image: Image.Image, path: Path) -> None:
    """Replace ``path`` as a whole with a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    image.save(draft, format="PNG", optimize=True)
    draft.replace(path)
