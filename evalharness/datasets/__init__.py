"""Files to prompts: loading, selecting, and rendering to messages.

:func:`load_prompts` reads and checks a dataset; :class:`Renderer` makes the messages of a request
from a prompt; :func:`prompt_digest` names everything of a prompt that shapes its requests.
"""

from evalharness.datasets.prompts import prompt_digest
from evalharness.datasets.read import load_prompts
from evalharness.datasets.template import Renderer, resolve_template

__all__ = ["Renderer", "load_prompts", "prompt_digest", "resolve_template"]
