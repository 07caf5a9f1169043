"""Conditional writes to an object store: create an object, or replace the one that was read.

Of several writers at once exactly one succeeds: the store itself decides. pyarrow has no such
write, so S3 is asked through obstore. On a shared path (``file://``) a lock file decides.
"""

from __future__ import annotations

import configparser
import fcntl
import hashlib
import importlib
import importlib.util
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import SplitResult, parse_qs

from evalharness.store.folder import durable_files

# Seconds of one request, and of each byte of a large object (200 kB/s); whether another request is
# made is decided by RemoteFolder.
_TIMEOUT_S = 10.0
_TIMEOUT_S_PER_BYTE = 5e-6
_SMALL_BYTES = 2**20
_LOCK_SUFFIX = ".lock"


class Versioned(NamedTuple):
    """The content of an object, and what names this version of it to :meth:`replace`."""

    content: bytes
    version: str


class ConditionalStore(Protocol):
    """One folder; names are relative to it. All methods raise OSError when the store fails."""

    def read(self, name: str, *, expected_bytes: int = 0) -> Versioned | None:
        """An object; None if there is none. More time is given for an expected large one."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write a new object; False, and nothing is changed, if there is one of this name."""
        ...

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """Replace an object; False, and nothing is changed, if it is not that version any more."""
        ...


class PathStore:
    """A folder on a shared path."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str, *, expected_bytes: int = 0) -> Versioned | None:
        """See :class:`ConditionalStore`."""
        try:
            content = (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        return Versioned(content, hashlib.sha256(content).hexdigest())

    def create(self, name: str, content: bytes) -> bool:
        """See :class:`ConditionalStore`."""
        return self._write_if(name, content, None)

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """See :class:`ConditionalStore`."""
        return self._write_if(name, content, version)

    def _write_if(self, name: str, content: bytes, version: str | None) -> bool:
        with self._lock(name):
            existing = self.read(name)
            if (None if existing is None else existing.version) != version:
                return False
            durable_files.write_bytes_durably(self._root / name, content)
            return True

    @contextmanager
    def _lock(self, name: str) -> Generator[None]:
        target = self._root / name
        durable_files.make_folder(target.parent)
        # Hidden, so that no listing of the folder shows it. It stays: a file that is removed while
        # another process waits for its lock would be two locks.
        path = target.with_name(f".{target.name}{_LOCK_SUFFIX}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, durable_files.FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class S3Store:
    """A folder of a bucket.

    Args:
        parts: of its URL, as :func:`.addresses.check_url` gives them.
        region: of the bucket.
    """

    def __init__(self, parts: SplitResult, region: str | None) -> None:
        # Imported here, since a run on a path needs none of it.
        stores: Any = importlib.import_module("obstore.store")
        self._errors: Any = importlib.import_module("obstore.exceptions")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        settings: dict[str, Any] = _profile_keys()
        has_keys = bool(settings) or "AWS_ACCESS_KEY_ID" in os.environ
        if region is not None:
            settings["region"] = region
        endpoint = options.get("endpoint_override")
        if endpoint is not None:
            scheme = options.get("scheme", "https")
            settings["endpoint"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        client: dict[str, Any] = {"allow_http": True, "connect_timeout": f"{_TIMEOUT_S:.0f}s"}
        if options.get("tls_verify_certificates", "true").lower() in ("false", "0"):
            client["allow_invalid_certificates"] = True
        if "tls_ca_file_path" in options:
            client["root_certificate"] = Path(options["tls_ca_file_path"]).read_bytes()
        self._parts, self._settings, self._client = parts, settings, client
        self._stores = stores
        self._provider = None if has_keys else _boto3_keys()
        self._small = self._open(_TIMEOUT_S)

    def _open(self, timeout_s: float) -> Any:
        return self._stores.S3Store(
            self._parts.netloc,
            prefix=self._parts.path.strip("/") or None,
            client_options={**self._client, "timeout": f"{timeout_s:.0f}s"},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=10)},
            credential_provider=self._provider,
            **self._settings,
        )

    def _store(self, size: int) -> Any:
        """The client for an object of this many bytes."""
        if size <= _SMALL_BYTES:
            return self._small
        return self._open(_TIMEOUT_S + size * _TIMEOUT_S_PER_BYTE)

    def read(self, name: str, *, expected_bytes: int = 0) -> Versioned | None:
        """See :class:`ConditionalStore`."""
        try:
            answer = self._store(expected_bytes).get(name)
            return Versioned(bytes(answer.bytes()), str(answer.meta["e_tag"]))
        except FileNotFoundError:
            return None
        except self._errors.BaseError as error:
            raise _os_error(error) from error

    def create(self, name: str, content: bytes) -> bool:
        """See :class:`ConditionalStore`."""
        return self._put(name, content, "create")

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """See :class:`ConditionalStore`."""
        return self._put(name, content, {"e_tag": version})

    def _put(self, name: str, content: bytes, mode: Any) -> bool:
        try:
            self._store(len(content)).put(name, content, mode=mode)
        except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
            return False
        except FileNotFoundError:
            if mode == "create":  # the bucket is gone
                raise
            return False
        except self._errors.BaseError as error:
            raise _os_error(error) from error
        return True


def _os_error(error: Exception) -> OSError:
    """The store's error in its first line; the rest repeats how the client was made."""
    return OSError((str(error).splitlines() or [type(error).__name__])[0])


def _profile_keys() -> dict[str, Any]:
    """Keys of the profile that ``AWS_PROFILE`` names, which obstore does not read by itself."""
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    home = Path.home() / ".aws"
    profile = os.environ.get("AWS_PROFILE", "default")
    files = configparser.RawConfigParser()
    files.read(
        [
            os.environ.get("AWS_CONFIG_FILE", home / "config"),
            os.environ.get("AWS_SHARED_CREDENTIALS_FILE", home / "credentials"),
        ]
    )
    for section in (profile, f"profile {profile}"):
        if files.has_option(section, "aws_secret_access_key"):
            return {
                option.removeprefix("aws_"): files.get(section, option)
                for option in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
                if files.has_option(section, option)
            }
    return {}


def _boto3_keys() -> Any:
    """Whatever boto3 finds (a login, an assumed role), where it is installed; else None.

    Then obstore looks for a role of the machine.
    """
    if importlib.util.find_spec("boto3") is None or "AWS_PROFILE" not in os.environ:
        return None
    provider: Any = importlib.import_module("obstore.auth.boto3")
    return provider.Boto3CredentialProvider()
