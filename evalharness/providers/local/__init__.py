"""The local provider: a real small model on llama.cpp in a child process; no key, no network.

:mod:`.weights` finds the model file, :mod:`.download` fetches it once, :mod:`.server` is the child,
:mod:`.lifecycle` starts it.
"""
