"""All batch endpoints of one server."""

from __future__ import annotations

import random

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from evalharness.emulator.batches.batch_runner import BatchRunner
from evalharness.emulator.batches.endpoint_guard import EndpointGuard
from evalharness.emulator.batches.lost_answer import LostAnswer
from evalharness.emulator.batches.message_batches import MessageBatches, message_error
from evalharness.emulator.batches.openai_batches import OpenAIBatches
from evalharness.emulator.batches.openai_files import OpenAIFiles
from evalharness.emulator.delivery.connection import Connections
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.validation.error_bodies import error_response


class BatchService:
    """The batches of both forms; ``app`` is what serves their lines."""

    def __init__(self, app: ASGIApp, options: EmulatorOptions, connections: Connections) -> None:
        self._options = options
        self._connections = connections
        self._random = random.Random(f"evalharness emulator lost creates {options.seed}")
        runner = BatchRunner(app, options)
        guard = EndpointGuard(
            options,
            "batch",
            lambda problem, path, request_id: error_response(problem, options, path, request_id),
        )
        files = OpenAIFiles(guard)
        batches = OpenAIBatches(options, guard, files, runner, self._answer)
        messages = MessageBatches(
            options, EndpointGuard(options, "message batch", message_error), runner, self._answer
        )
        self.routes: list[Route] = [*files.routes(), *batches.routes(), *messages.routes()]

    def _answer(self, response: Response) -> Response:
        """The response to a batch's creation, or none at all."""
        lost = self._random.random() < self._options.batch_lost_create
        return LostAnswer(self._connections) if lost else response
