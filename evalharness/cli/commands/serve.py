"""``evalharness serve local|emulator``: an OpenAI-compatible endpoint for other programs."""

from __future__ import annotations

from msgspec import structs

from evalharness.errors import EXIT_OK
from evalharness.providers.local.lifecycle import DEFAULT, serve


def serve_local(*, port: int, model_path: str | None, parallel: int) -> int:
    """Serve the embedded model (or any GGUF file) on loopback until Ctrl-C."""
    config = structs.replace(DEFAULT, model_path=model_path, parallel=parallel)
    serve(config, port=port)
    return EXIT_OK
