"""An object store: addresses without keys, writes that are whole, patience."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evalharness import errors
from evalharness.store.remote import object_store
from evalharness.store.remote.object_store import RemoteFolder


def run_of(store: str) -> str:
    base, _, query = store.partition("?")
    return f"{base}/r?{query}" if query else f"{base}/r"


def test_a_shared_path_that_refuses_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a store over the network is."""
    in_the_way = tmp_path / "shared" / ".x.tmp"  # where the file is written aside
    in_the_way.mkdir(parents=True)
    waits: list[float] = []

    def gone_the_third_time(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 3:
            in_the_way.rmdir()

    there = RemoteFolder(f"file://{tmp_path}/shared")
    there.retries = False
    with pytest.raises(errors.StorageError, match="/shared/x"):
        there.write("x", b"content")
    monkeypatch.setattr(object_store.time, "sleep", gone_the_third_time)
    there.retries = True
    there.write("x", b"content")
    assert waits == [0.5, 1.0, 2.0]
    assert there.read("x") == b"content"


def test_a_store_that_is_down_is_not_waited_for_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once all retries were of no use, others make one attempt, until one of them succeeds."""
    in_the_way = tmp_path / "shared" / ".x.tmp"
    in_the_way.mkdir(parents=True)
    waits: list[float] = []
    monkeypatch.setattr(object_store.time, "sleep", waits.append)
    shared = RemoteFolder(f"file://{tmp_path}/shared")
    for _ in range(3):
        with pytest.raises(errors.StorageError, match="/shared/x"):
            shared.write("x", b"content")
    assert len(waits) == len(object_store._WAITS_S)
    shared.write("y", b"content")
    with pytest.raises(errors.StorageError, match="/shared/x"):
        shared.write("x", b"content")
    assert len(waits) == 2 * len(object_store._WAITS_S)


@pytest.mark.parametrize("store", ["file", "s3"], indirect=True)
@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_file_that_cannot_be_read_to_its_end_leaves_nothing_there(store: str, good: int) -> None:
    """Half a part under the part's name would pass for one."""

    def chunks() -> Iterator[bytes]:
        for _ in range(good):
            yield b"chunk"
        raise OSError(5, "Input/output error")

    there = RemoteFolder(run_of(store))
    fs, root = there._fs()
    with pytest.raises((OSError, errors.StorageError), match="Input/output"):
        there._store(fs, f"{root}/records/part-000001.parquet", chunks())
    assert there.list_names() == []


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAX:hush/hush@bucket/x",
        "s3://AKIAX:hush/hush%40bucket/x",
        "s3://AKIAX%3Ahush%2Fhush%40bucket/x",
        "s3://AKIAX:hush",
        "s3://AKIAX:hush/x",
        "s3://bucket/x?endpoint_override=http://AKIAX:hush@host",
        "s3://bucket/x?endpoint_override=http%3A%2F%2FAKIAX%3Ahush%40host",
        "s3://bucket/x?secret_key=hush",
        "s3://bucket/x?region=eu-west-1&access_key=hush",
        "s3://AKIAX#hush",
        "s3://[AKIAX:hush/x",
        "s3://AKIAX:hush\u2100@b/x",
        "gs://AKIAX:hush/hush@bucket/x",
        "file://AKIAX:hush@host/x",
        "file:///x?secret_key=hush",
    ],
)
def test_a_key_is_found_anywhere_in_a_url(url: str) -> None:
    with pytest.raises(errors.ConfigError) as refused:
        object_store.check_url(url)
    assert "hush" not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://my.bucket-1/a b/c=1?endpoint_override=http://127.0.0.1:9000&scheme=http",
        "s3://bucket/x?region=eu-west-1&tls_ca_file_path=/etc/ca.pem",
        "file:///me@work/results",
    ],
)
def test_a_url_without_a_key_is_taken(url: str) -> None:
    assert object_store.check_url(url).geturl() == url
