"""The batch endpoint of a provider: its form and its limits."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evalharness.config.number_types import Count

#: ``openai``: files and ``/batches``; ``anthropic``: ``/messages/batches``.
BatchForm = Literal["openai", "anthropic"]


class BatchRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a provider takes many requests at once, for answers within hours.

    Attributes:
        form: of its endpoints; None: ``anthropic`` where the protocol is ``messages``, else
            ``openai``.
        max_requests: of one batch.
        max_bytes: of one file of requests.
        max_request_bytes: of one line of it; None: no limit but the file's.
        max_enqueued_tokens: prompt tokens of a model that may wait at once, over all batches; None:
            none, or unknown (OpenAI's depends on the account: platform.openai.com, Limits).
        completion_window: asked for; only the ``openai`` form has one.
        discount: share of the ordinary price that a batch costs less; None is unknown.
    """

    form: BatchForm | None = None
    max_requests: Count = 50_000
    max_bytes: Count = 200_000_000
    max_request_bytes: Count | None = None
    max_enqueued_tokens: Count | None = None
    completion_window: str = "24h"
    discount: Annotated[float, Meta(ge=0, le=1)] | None = None

    def form_for(self, protocol: str) -> BatchForm:
        """The form that a provider of this protocol has."""
        return self.form or ("anthropic" if protocol == "messages" else "openai")
