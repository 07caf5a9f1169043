"""Values that stand in files: ``@prompts/terse.txt`` in a configuration is the file's content.

``@file`` is read for the texts ``system`` and ``template`` and for the objects ``tools`` and
``response_format`` (JSON, or YAML by the name's ending). ``@@`` at the beginning is one ``@`` of
the text itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalharness.config.strict_yaml import YamlError, parse_yaml
from evalharness.config.value_texts import value_hash
from evalharness.errors import ConfigError
from evalharness.process.text import closest

TEXT_KEYS = ("system", "template")
OBJECT_KEYS = ("tools", "response_format")


class FileValue(NamedTuple):
    """A value and the file that it was read from; ``file`` None: it was given as it is.

    ``sha256`` is of the file's bytes, or of the value: a text's UTF-8, else canonical JSON.
    """

    value: Any
    file: str | None
    sha256: str


def read_value(key: str, shown_key: str, value: Any, root: Path | None) -> FileValue:
    """Read ``@file`` where the key takes files; any other value as it is.

    A text's last line break is dropped, as in templates: editors add it.

    Args:
        key: the parameter or axis (``system``).
        shown_key: the configuration key for messages (``sweep.system``).
        value: as configured.
        root: folder that a relative name starts from; None is the working directory.

    Raises:
        ConfigError: no such file, not UTF-8, empty, or no JSON or YAML where an object belongs.
    """
    is_name = isinstance(value, str) and value.startswith("@")
    if not is_name or key not in (*TEXT_KEYS, *OBJECT_KEYS):
        return _given(value)
    if value.startswith("@@"):
        return _given(value[1:])
    name = value[1:].strip()
    content = _read_bytes(shown_key, name, root or Path())
    text = _decode(shown_key, name, content)
    sha256 = hashlib.sha256(content).hexdigest()
    if key in TEXT_KEYS:
        return FileValue(text.removesuffix("\n").removesuffix("\r"), name, sha256)
    return FileValue(_parse(shown_key, name, text), name, sha256)


def _given(value: Any) -> FileValue:
    return FileValue(value, None, value_hash(value))


def _read_bytes(shown_key: str, name: str, root: Path) -> bytes:
    path = root / name
    if path.exists() and not path.is_file():
        raise ConfigError(f"`{shown_key}`: {name} is no file")
    if not name or not path.is_file():
        raise ConfigError(f"`{shown_key}`: there is no file {name!r}", hint=_hint(name, path))
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"`{shown_key}`: cannot read {name}: {reason}") from None


def _decode(shown_key: str, name: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"`{shown_key}`: {name}:{line}: not valid UTF-8") from None
    if not text.strip():
        raise ConfigError(f"`{shown_key}`: the file {name} is empty")
    return text


def _hint(name: str, path: Path) -> str:
    folder = path.parent
    names = sorted(p.name for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
    near = closest(path.name, names)
    if near is not None:
        return f"did you mean @{Path(name).with_name(near).as_posix()}?"
    return (
        "a relative name starts in the working directory; a text that begins with @ is written @@"
    )


def _parse(shown_key: str, name: str, text: str) -> Any:
    try:
        if name.lower().endswith((".yaml", ".yml")):
            return parse_yaml(text)
        return msgspec.json.decode(text)
    except YamlError as error:
        raise ConfigError(f"`{shown_key}`: {name}:{error.line or 1}: {error.message}") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"`{shown_key}`: {name} is no JSON: {error}") from None
