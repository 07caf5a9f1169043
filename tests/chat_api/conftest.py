"""Every transport on every event loop, as the tests of the transports have them."""

from __future__ import annotations

from tests.http.conftest import authority, ca_file, kind, opened, pytest_asyncio_loop_factories

__all__ = ["authority", "ca_file", "kind", "opened", "pytest_asyncio_loop_factories"]
