"""Files to prompts: reading, selecting, and rendering to messages.

:func:`read_prompts` reads and checks a dataset; :class:`Renderer` makes the messages of a request
from a prompt; :func:`prompt_digest` hashes everything of a prompt that shapes its requests.
"""

from evalharness.datasets.prompts import prompt_digest
from evalharness.datasets.read import read_prompts
from evalharness.datasets.template import Renderer, resolve_template

__all__ = ["Renderer", "prompt_digest", "read_prompts", "resolve_template"]
