"""Streamed responses: events, and the message that their pieces make."""
