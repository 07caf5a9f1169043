"""What answers the requests of a run."""

from __future__ import annotations

from typing import Protocol

from evalharness.records import Prompt, Reply


class Client(Protocol):
    """What answers requests: a chat API or a function."""

    async def complete(
        self,
        body: bytes,
        client_request_id: str,
        *,
        prompt: Prompt | None = None,
        keep_chunk_times: bool = False,
    ) -> Reply:
        """Send one request; whatever comes of it is one classified reply.

        Args:
            body: canonical JSON of the request.
            client_request_id: the attempt's id; its number stands after the last dot.
            prompt: the dataset row, for a function; a server gets the body alone.
            keep_chunk_times: keep the arrival time of every content chunk.
        """
        ...
