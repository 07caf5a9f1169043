"""The two forms of batch endpoints, by the name that ``provider.profile.batch.form`` has."""

from __future__ import annotations

from evalharness.batch.forms.anthropic import AnthropicBatches
from evalharness.batch.forms.openai import OpenAiBatches
from evalharness.batch.wire import BatchApi
from evalharness.config.batch import BatchForm

_FORMS: dict[BatchForm, BatchApi] = {
    form.name: form for form in (OpenAiBatches(), AnthropicBatches())
}


def get_form(name: BatchForm) -> BatchApi:
    """The form of a name."""
    return _FORMS[name]
