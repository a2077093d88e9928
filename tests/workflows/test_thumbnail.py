"""The intent content.thumbnail.v1: a real image, worked off by a real worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from tributary_daemon import Abort

Image = pytest.importorskip("PIL.Image")
HANDLERS = Path(__file__).resolve().parents[2] / "workflows" / "thumbnail.py"


@pytest.fixture
def thumbnails(example):
    return example("thumbnail")


def make(module, tmp_path, **fields):
    fields = {"content_id": "c_1", "width": 320, "height": 320, "directory": str(tmp_path), **fields}
    return module.thumbnail(module.ThumbnailArgs(**fields))


def test_proportions_are_kept(thumbnails, tmp_path):
    made = make(thumbnails, tmp_path)
    assert (made.width, made.height) == (320, 200)
    with Image.open(made.path) as image:
        assert image.size == (320, 200)
        assert len(image.getcolors(maxcolors=100_000)) > 100
    assert made.bytes == Path(made.path).stat().st_size


def test_the_same_content_is_the_same_picture(thumbnails, tmp_path):
    first = Path(make(thumbnails, tmp_path / "a").path).read_bytes()
    assert Path(make(thumbnails, tmp_path / "b").path).read_bytes() == first
    assert Path(make(thumbnails, tmp_path / "a", content_id="c_2").path).read_bytes() != first


def test_what_is_no_image_is_not_tried_again(thumbnails, tmp_path):
    with pytest.raises(Abort, match="no image"):
        make(thumbnails, tmp_path, source=str(tmp_path / "none.png"))
    with pytest.raises(Abort, match="not an image"):
        make(thumbnails, tmp_path, source=__file__)


def test_an_id_cannot_leave_the_folder(thumbnails, tmp_path):
    with pytest.raises(ValidationError):
        make(thumbnails, tmp_path, content_id="../../etc/passwd")


def test_a_worker_shrinks_a_submitted_image(trib, worker, tmp_path):
    Image.new("RGB", (900, 300), "teal").save(tmp_path / "given.jpg")
    payload = {"content_id": "c_123", "width": 300, "height": 300, "source": "given.jpg"}
    worker("--queues", "default,media", "--processes", 1, "--import", HANDLERS)
    said = trib("submit", "content.thumbnail.v1", "--payload", json.dumps(payload), "--wait", "-o", "json")
    assert said.returncode == 0, said.stderr
    intent = json.loads(said.stdout)
    assert (intent["state"], intent["attempt"], intent["queue"]) == ("completed", 1, "media")
    assert (intent["result"]["width"], intent["result"]["height"]) == (300, 100)
    with Image.open(intent["result"]["path"]) as image:
        assert image.size == (300, 100)
