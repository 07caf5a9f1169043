"""The chat-completions protocol: request bodies, the client, and the meaning of responses.

::

    request.py          a setting and messages → one canonical body
    client.py           posts a body through a transport (``evalharness.http``) → a Reply; adds the
                        key to the request and redacts it in the reply
    response.py         an Exchange → exactly one Reply (pure), by way of
      response_fast_path.py, response_fields.py   a JSON body
      stream_response.py, sse.py, stream_merge.py, stream_fast_path.py   a stream of events
      error_classification.py   failures and error bodies
      retention.py              what is stored of a response
    log_redaction.py    keeps keys out of log records and tracebacks
"""
