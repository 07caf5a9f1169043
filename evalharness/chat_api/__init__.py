"""The chat-completions protocol: what is asked, how it travels, what the answer means.

::

    request.py    parameters and messages → one canonical body
    transport/    one HTTP POST → an Exchange: everything observed, never an exception
    response.py   an Exchange → exactly one Reply (pure; uses sse.py and stream.py for streams)
    client.py     the three above, with the key added on the way out and removed on the way back
    secret.py     a key that does not print, and what removes it from texts
"""
