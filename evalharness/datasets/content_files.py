"""Images, recordings and files that a row names by path: read, checked and put into the messages.

A path is relative to the dataset's folder and may not lead out of it: a dataset from elsewhere must
not send other files of this machine. What a file is, its first bytes tell, not its name.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

from evalharness.errors import DatasetError

_MIB = 1024 * 1024
_ADDRESSES = ("http://", "https://", "data:")


class ContentFiles(NamedTuple):
    """Where files of a dataset are, and how large one may be.

    Attributes:
        folder: that paths are relative to; None where the dataset is not on this machine.
        max_mib: of one file, before it is encoded.
    """

    folder: Path | None
    max_mib: float

    def embed(self, message: dict[str, Any], location: str) -> dict[str, Any]:
        """The message with the files that its parts name in it; the same one where none does.

        Raises:
            DatasetError: a file is missing, outside the folder, too large or of another kind.
        """
        content = message.get("content")
        if not isinstance(content, list):
            return message
        parts = [self._embed_part(part, location) for part in cast("list[Any]", content)]
        return message if parts == content else {**message, "content": parts}

    def _embed_part(self, part: Any, location: str) -> Any:
        whole = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
        kind = str(whole.get("type"))
        encode, fields = _ENCODERS.get(kind), whole.get(kind)
        if encode is None or not isinstance(fields, dict):
            return cast("Any", part)
        fields = cast("dict[str, Any]", fields)
        name = fields.get("path")
        if name is None and kind == "image_url":
            url = fields.get("url")
            is_path = isinstance(url, str) and not url.lower().startswith(_ADDRESSES)
            name = url if is_path else None
        if name is None:
            return cast("Any", part)
        if not isinstance(name, str) or not name:
            raise DatasetError(f"{location}: {kind}.path must be a path, got {name!r:.60}")
        data = self._read(name, location)
        others = {key: value for key, value in fields.items() if key not in ("path", "url")}
        return {**whole, kind: {**encode(data, name, location), **others}}

    def _read(self, name: str, location: str) -> bytes:
        if self.folder is None:
            raise DatasetError(
                f"{location}: {name!r} is a path, and the dataset is not on this machine",
                hint="use an https address or a data URI",
            )
        folder = self.folder.resolve()
        path = (folder / name.removeprefix("file://")).resolve()
        if not path.is_relative_to(folder):
            raise DatasetError(
                f"{location}: {name!r} leads out of the dataset's folder",
                hint="put the file beside the dataset, or in a folder below it",
            )
        try:
            if not path.is_file():
                raise DatasetError(f"{location}: there is no file {name!r} in the dataset's folder")
            size = path.stat().st_size
            if size > self.max_mib * _MIB:
                raise DatasetError(
                    f"{location}: {name} has {size / _MIB:.1f} MiB, more than "
                    f"dataset.max_file_mib={self.max_mib:g}",
                    hint=f"make it smaller, or dataset.max_file_mib={size // _MIB + 1}",
                )
            return path.read_bytes()
        except OSError as error:
            raise DatasetError(f"{location}: cannot read {name}: {error.strerror}") from None


#: Of a dataset that is not on this machine.
NO_FILES = ContentFiles(None, 0.0)


def _image(data: bytes, name: str, location: str) -> dict[str, Any]:
    for mime, begins in (
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("image/jpeg", b"\xff\xd8\xff"),
        ("image/gif", b"GIF8"),
    ):
        if data.startswith(begins):
            return {"url": _data_uri(mime, data)}
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return {"url": _data_uri("image/webp", data)}
    raise DatasetError(f"{location}: {name} is no PNG, JPEG, GIF or WebP image")


def _audio(data: bytes, name: str, location: str) -> dict[str, Any]:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        kind = "wav"
    elif data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0):
        kind = "mp3"
    else:
        raise DatasetError(f"{location}: {name} is no WAV or MP3 recording")
    return {"data": base64.b64encode(data).decode(), "format": kind}


def _file(data: bytes, name: str, location: str) -> dict[str, Any]:
    if not data.startswith(b"%PDF-"):
        raise DatasetError(
            f"{location}: {name} is no PDF file", hint="put a text into a text part instead"
        )
    return {"filename": Path(name).name, "file_data": _data_uri("application/pdf", data)}


def _data_uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


_Encode = Callable[[bytes, str, str], dict[str, Any]]
_ENCODERS: dict[str, _Encode] = {"image_url": _image, "input_audio": _audio, "file": _file}
