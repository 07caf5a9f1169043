"""Two providers: the keys of a file of ``configs/provider/``, and a function that answers."""

from typing import Any

ACME = {
    "kind": "remote",
    "model": "acme-small",
    "base_url": "https://api.acme.example/v1",
    "api_key_env": "ACME_API_KEY",  # the name of the variable, never the key
    "profile": {"ranges": {"temperature": [0, 1]}, "max_stop": None},
}


async def echo(prompt: str, params: dict[str, Any]) -> str:
    """Answer a prompt; see docs/python.md for tokens, costs, streams and errors."""
    return f"{prompt} Please."
