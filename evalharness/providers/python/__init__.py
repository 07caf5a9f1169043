"""A Python function as a provider: an SDK, an agent, a model in this process.

::

    reference.py   finds the function that ``provider.call`` names, and a hash of its code
    call.py        what the function is given and what it may return
    exceptions.py  which error a raised exception is
    client.py      calls it for each attempt and makes the reply
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from evalharness.errors import ConfigError

if TYPE_CHECKING:
    from evalharness.config.models import ProviderConfig


def check(config: ProviderConfig) -> None:
    """Find what can be found before anything is called.

    Raises:
        ConfigError: there is no such function, or it does not take a prompt.
    """
    from evalharness.providers.python.client import FunctionClient

    FunctionClient(function(config), timeout_s=1.0)


def identity(config: ProviderConfig) -> str:
    """Which code answers; see :func:`.reference.function_identity`."""
    from evalharness.providers.python.reference import function_identity

    return function_identity(_reference(config))


def function(config: ProviderConfig) -> Callable[..., Any]:
    """The function that ``provider.call`` names."""
    from evalharness.providers.python.reference import find_function

    return find_function(_reference(config))


def _reference(config: ProviderConfig) -> str:
    if config.call is None:
        raise ConfigError(
            "`provider.call` has no value",
            hint="provider.call=my_module:my_function, from the file my_module.py",
        )
    return config.call
