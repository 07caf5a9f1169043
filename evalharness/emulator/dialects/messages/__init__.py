"""The Messages API of Anthropic: ``POST /v1/messages``."""
