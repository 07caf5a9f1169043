"""Batch endpoints: OpenAI's files and batches, and Anthropic's message batches.

::

    account.py          whose files and batches: everything belongs to one API key
    paging.py           one page of a list
    batch_job.py        one batch: its lines, what became of each, how far it is
    line_draws.py       what chance does to the lines, by seed
    batch_runner.py     carries a batch out, in the background, through the ordinary endpoints
    lost_answer.py      a create call that is carried out and never answered
    endpoint_guard.py   keys, refusals and ids, the same for every endpoint
    input_file.py       the file of an OpenAI batch: its lines, or why it is refused
    openai_files.py     /v1/files
    openai_objects.py   how OpenAI writes a batch and its output lines
    openai_batches.py   /v1/batches
    message_batches.py  /v1/messages/batches
    batch_service.py    all of them together
"""
