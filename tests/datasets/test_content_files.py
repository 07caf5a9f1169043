"""Images, recordings and files of a row: named by path, checked, and put into the messages."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.chat_api.messages import check_messages
from evalharness.config.models import DatasetConfig
from evalharness.datasets import read_prompts
from evalharness.datasets.template import Renderer
from evalharness.errors import DatasetError
from evalharness.records import Prompt

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
JPEG = b"\xff\xd8\xff\xe0" + bytes(40)
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(40)
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(40)
PDF = b"%PDF-1.7\n" + bytes(40)
TEXT = {"type": "text", "text": "What is this?"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for name, content in {
        "images/cat.png": PNG, "photo.jpg": JPEG, "b.webp": WEBP, "a.wav": WAV, "paper.pdf": PDF,
        "note.txt": b"hello",
    }.items():  # fmt: skip
        (data / name).write_bytes(content)
    (tmp_path / "secret.png").write_bytes(PNG)
    return data


def read(folder: Path, *parts: dict[str, Any], max_mib: float = 20.0) -> list[Prompt]:
    row = {"messages": [{"role": "user", "content": [TEXT, *parts]}]}
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    config = DatasetConfig(path="rows.jsonl", max_file_mib=max_mib)
    return read_prompts(config, root=folder)


def part_of(prompts: list[Prompt]) -> dict[str, Any]:
    messages = prompts[0].messages or []
    check_messages(messages, where="row")
    assert messages[0]["content"][0] == TEXT
    return messages[0]["content"][1]


def image(url: str, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


@pytest.mark.parametrize(
    ("name", "mime", "data"),
    [
        ("images/cat.png", "image/png", PNG),
        ("photo.jpg", "image/jpeg", JPEG),
        ("./b.webp", "image/webp", WEBP),
    ],
)
def test_an_image_file_becomes_a_data_uri(folder: Path, name: str, mime: str, data: bytes) -> None:
    """Read from beside the dataset; its kind is told by its bytes; other fields stay."""
    uri = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    assert part_of(read(folder, image(name, detail="low"))) == image(uri, detail="low")
    by_path = {"type": "image_url", "image_url": {"path": name}}
    assert part_of(read(folder, by_path)) == image(uri)


def test_recordings_and_files_by_path(folder: Path) -> None:
    """A path stands for what the API wants: data and format, or data and name."""
    audio = part_of(read(folder, {"type": "input_audio", "input_audio": {"path": "a.wav"}}))
    assert audio["input_audio"] == {"data": base64.b64encode(WAV).decode(), "format": "wav"}
    file = part_of(read(folder, {"type": "file", "file": {"path": "paper.pdf"}}))["file"]
    assert file["filename"] == "paper.pdf"
    assert file["file_data"] == f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"


@pytest.mark.parametrize(
    "part",
    [
        image("https://example.com/a.png"),
        image(f"data:image/png;base64,{base64.b64encode(PNG).decode()}", detail="high"),
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=",
                                  "filename": "a.pdf"}},
    ],
)  # fmt: skip
def test_what_the_api_takes_stays_as_it_is(folder: Path, part: dict[str, Any]) -> None:
    """Addresses, data and ids are sent unchanged."""
    assert part_of(read(folder, part)) == part


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (image("images/dog.png"), "no file 'images/dog.png'"),
        (image("../secret.png"), "leads out of the dataset's folder"),
        (image("/etc/hostname"), "leads out of the dataset's folder"),
        (image("file:///etc/hostname"), "leads out of the dataset's folder"),
        (image("images"), "no file 'images'"),
        (image("note.txt"), "is no PNG, JPEG, GIF or WebP image"),
        ({"type": "input_audio", "input_audio": {"path": "note.txt"}}, "no WAV or MP3"),
        ({"type": "file", "file": {"path": "note.txt"}}, "no PDF file"),
        ({"type": "file", "file": {"path": 5}}, "must be a path"),
    ],
)
def test_a_file_that_cannot_be_sent_is_named_with_its_row(
    folder: Path, part: dict[str, Any], problem: str
) -> None:
    """Missing, outside, or of another kind: found before anything is sent."""
    with pytest.raises(DatasetError, match=problem) as caught:
        read(folder, part)
    assert "rows.jsonl:1" in caught.value.message


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    """What counts is where a path ends."""
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    with pytest.raises(DatasetError, match="leads out"):
        read(folder, image("link.png"))


def test_a_file_has_a_largest_size(folder: Path) -> None:
    """The limit is in MiB of the file; the hint names the key."""
    (folder / "big.png").write_bytes(PNG + bytes(2 * 1024 * 1024))
    assert read(folder, image("big.png"))
    with pytest.raises(DatasetError, match=r"more than dataset\.max_file_mib=1") as caught:
        read(folder, image("big.png"), max_mib=1)
    assert "dataset.max_file_mib=3" in str(caught.value.hint)


def test_another_image_is_another_prompt(folder: Path) -> None:
    """The id is made from what is sent, not from the file's name."""
    before = read(folder, image("images/cat.png"))[0].prompt_id
    (folder / "images" / "cat.png").write_bytes(PNG + b"x")
    assert read(folder, image("images/cat.png"))[0].prompt_id != before


def test_parquet_rows_have_no_null_fields(folder: Path) -> None:
    """Arrow gives every part the same keys; the null ones were absent."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"messages": [{"role": "user", "content": [TEXT, image("images/cat.png")]}]}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    prompts = read_prompts(DatasetConfig(path="rows.parquet"), root=folder)
    assert part_of(prompts)["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_template_fills_the_text_beside_an_image(folder: Path) -> None:
    """The rendered text takes the place of the one text part; it sees that text as `prompt`."""
    prompt = read(folder, image("https://example.com/a.png"))[0]
    messages = Renderer("Look. {{ prompt }}", None).messages(prompt)
    assert messages[0]["content"][0]["text"] == "Look. What is this?"
    assert messages[0]["content"][1] == image("https://example.com/a.png")
