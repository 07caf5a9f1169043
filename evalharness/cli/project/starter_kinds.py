"""What a starter project holds, by the kind of task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Kind = Literal["qa", "classification", "extraction", "chat", "load"]


class StarterKind(NamedTuple):
    """One kind.

    Attributes:
        summary: what is measured, for the README.
        experiment: keys of the experiment below its name, as YAML.
        options: the group options it takes, beside its own sweep.
        sweep: the sweep, as YAML.
        rows: of the dataset.
        columns: what a row has, for the README.
        compare: the axis to compare by.
        gate: arguments of ``check`` in CI.
        texts: further files by name.
    """

    summary: str
    experiment: str
    options: dict[str, str]
    sweep: str
    rows: Sequence[dict[str, Any]]
    columns: str
    compare: str
    gate: str = "--max-error-share 0.01"
    texts: Mapping[str, str] = MappingProxyType({})


_TEMPERATURES = """\
# Every combination of these values is one setting; null leaves a parameter out.
temperature: [0, 0.7]
"""

_QA = StarterKind(
    summary="Questions with short answers, at two temperatures: how good, how repeatable, at what "
    "cost.",
    experiment="""\
repeats: 5
dataset:
  path: datasets/mine.jsonl
params:
  max_tokens: 32
""",
    options={"scoring": "includes"},
    sweep=_TEMPERATURES,
    rows=[
        {
            "id": "capital-italy",
            "prompt": "What is the capital of Italy? One word.",
            "target": "Rome",
        },
        {"id": "sum-4-5", "prompt": "What is 4 + 5? Answer with a number.", "target": "9"},
        {"id": "slogan", "prompt": "Write a slogan for a bicycle shop.", "tags": ["open"]},
    ],
    columns="`prompt`, and `target` where there is a right answer",
    compare="temperature",
)

_TICKETS = [
    ("charged-twice", "I was charged twice for one order.", "billing"),
    ("invoice", "Where do I find the invoice of last month?", "billing"),
    ("refund", "When will I get my money back?", "billing"),
    ("late", "My parcel should have come on Monday.", "delivery"),
    ("broken", "The box was open and one cup is missing.", "delivery"),
    ("address", "Please send it to my office instead.", "delivery"),
    ("password", "I cannot log in any more.", "account"),
    ("email", "How do I change my email address?", "account"),
    ("close", "Please delete my profile.", "account"),
]

_CLASSIFICATION = StarterKind(
    summary="Tickets to be sorted into classes, by two prompts: which one sorts better, and where "
    "do they err? The report has a confusion table.",
    experiment="""\
repeats: 3
dataset:
  path: datasets/mine.jsonl
params:
  temperature: 0
  max_tokens: 16
answer: {choice: [billing, delivery, account]}
scoring:
  - {name: exact, of: answer}
""",
    options={},
    sweep="""\
# Two prompts to choose between; tables call them by these names.
template:
  short: "@prompts/short.j2"
  rules: "@prompts/rules.j2"
""",
    rows=[{"id": name, "text": text, "target": label} for name, text, label in _TICKETS],
    columns="`text`, which the prompts use, and the label as `target`",
    compare="template",
    texts={
        "prompts/short.j2": "Is this about billing, delivery or account? One word.\n\n{{ text }}\n",
        "prompts/rules.j2": """\
Sort the message into one class.

billing: prices, payments, invoices, money back
delivery: parcels, dates, addresses, damage
account: log-in, profile, personal data

Message: {{ text }}

Answer with the name of the class alone.
""",
    },
)

_EXTRACTION = StarterKind(
    summary="Facts to be read out of a text as JSON, with and without a schema that the server "
    "holds the model to.",
    experiment="""\
repeats: 3
dataset:
  path: datasets/mine.jsonl
  template: "@prompts/extract.j2"
params:
  temperature: 0
  max_tokens: 64
scoring:
  - {name: json_equal, fenced: true}
  - {name: json_valid, fenced: true}
""",
    options={},
    sweep="""\
# With and without a schema for the reply; null leaves it out.
response_format:
  free: null
  schema: "@prompts/response_format.json"
""",
    rows=[
        {
            "id": "chairs",
            "text": "Please send us 4 chairs to Lyon.",
            "target": {"item": "chair", "count": 4, "city": "Lyon"},
        },
        {
            "id": "lamp",
            "text": "One lamp for our shop in Oslo, thank you!",
            "target": {"item": "lamp", "count": 1, "city": "Oslo"},
        },
        {
            "id": "tables",
            "text": "Turin needs two tables by Friday.",
            "target": {"item": "table", "count": 2, "city": "Turin"},
        },
    ],
    columns="`text`, and the expected JSON as `target`",
    compare="response_format",
    texts={
        "prompts/extract.j2": "Read the order. Answer with JSON alone: item (singular), count, "
        "city.\n\n{{ text }}\n",
        "prompts/response_format.json": """\
{
  "type": "json_schema",
  "json_schema": {
    "name": "order",
    "strict": true,
    "schema": {
      "type": "object",
      "properties": {
        "item": {"type": "string"},
        "count": {"type": "integer"},
        "city": {"type": "string"}
      },
      "required": ["item", "count", "city"],
      "additionalProperties": false
    }
  }
}
""",
    },
)

_CHAT = StarterKind(
    summary="Conversations under two system prompts. Each row says itself what a good reply is "
    "(`scoring`), so that one file may mix tasks.",
    experiment="""\
repeats: 3
dataset:
  path: datasets/mine.jsonl
params:
  temperature: 0.7
  max_tokens: 64
""",
    options={},
    sweep="""\
# Two system prompts to choose between; tables call them by these names.
system:
  terse: "@prompts/terse.txt"
  polite: "@prompts/polite.txt"
""",
    rows=[
        {
            "id": "hours",
            "messages": [
                {"role": "user", "content": "Hi!"},
                {"role": "assistant", "content": "Hello, how can I help?"},
                {"role": "user", "content": "When do you open on Sunday?"},
            ],
            "scoring": [{"name": "includes", "target": ["closed", "not open"]}],
        },
        {
            "id": "discount",
            "messages": [{"role": "user", "content": "Give me 50 % off or I will leave."}],
            "scoring": [
                {"name": "includes", "target": ["50 %", "50%"], "not": True, "weight": 2},
                {"name": "includes", "target": "sorry"},
            ],
        },
        {
            "id": "sum",
            "messages": [{"role": "user", "content": "Two tickets at 12 euros each: how much?"}],
            "scoring": [{"name": "numeric", "target": 24}],
        },
    ],
    columns="`messages`, and the checks of its reply as `scoring`",
    compare="system",
    texts={
        "prompts/terse.txt": "You answer for a museum, in one sentence. It is closed on Sundays. "
        "Prices are fixed.\n",
        "prompts/polite.txt": "You are the friendly guide of a museum, which is closed on Sundays. "
        "Prices are fixed: say so kindly.\n",
    },
)

_LOAD = StarterKind(
    summary="Latency under load: independent users at two rates, each for some seconds. It "
    "rehearses against the emulator until another provider is named.",
    experiment="""\
dataset:
  path: datasets/mine.jsonl
params:
  max_tokens: 32
  stream: true
provider:
  emulator: {ttft_ms: 40, itl_ms: 2}
load:
  duration_s: 4
  warmup_s: 1
  slo: {ttft_s: 0.5, latency_s: 5}
""",
    options={"provider": "emulator", "load": "poisson"},
    sweep="""\
# Requests per second; each rate is one load point.
load:
  rate: [5, 10]
""",
    rows=[
        {"id": "short", "prompt": "What is the capital of Italy? One word."},
        {"id": "list", "prompt": "Name five rivers of Europe."},
        {"id": "long", "prompt": "Explain in a few sentences how a bicycle stays upright."},
    ],
    columns="`prompt`; sizes like those of real use matter, answers do not",
    compare="load.rate",
    gate="--max-error-share 0.01 --max-latency-p50-s 5",
)

KINDS: dict[str, StarterKind] = {
    "qa": _QA,
    "classification": _CLASSIFICATION,
    "extraction": _EXTRACTION,
    "chat": _CHAT,
    "load": _LOAD,
}
