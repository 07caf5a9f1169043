"""OpenAI's Responses API (``/responses``).

Fields and events are those of OpenAI's OpenAPI document (2026-08-21) and of its Python client.
``docs/protocol-responses.md`` says what becomes of what.
"""
