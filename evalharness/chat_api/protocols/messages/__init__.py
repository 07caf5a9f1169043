"""Anthropic's Messages (``/messages``)."""
