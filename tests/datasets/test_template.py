"""Templates render exactly, fail by name, and cannot take the process with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import DatasetConfig
from evalharness.datasets import Renderer, read_prompts, resolve_template
from evalharness.datasets.sandbox_client import SandboxClient
from evalharness.errors import DatasetError
from evalharness.records import Prompt


def prompt(text: str | None = "2+2?", **values) -> Prompt:
    messages = None if text is None else [{"role": "user", "content": text}]
    return Prompt(prompt_id="q1", source="a.jsonl:7", **{"messages": messages, **values})


def text_of(template: str, row: Prompt, **options) -> str:
    [message] = Renderer(template, None, **options).messages(row)
    assert message["role"] == "user"
    return message["content"]


def failure(template: str, row: Prompt | None = None, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        Renderer(template, None, **options).messages(row or prompt())
    return str(caught.value)


def test_without_template_messages_are_the_rows_own():
    """The fast path changes and copies nothing."""
    row = prompt()
    assert Renderer(None, None).messages(row) is row.messages


def test_system_prompt_comes_first():
    """The system prompt is put before the row's messages, as it is."""
    assert Renderer(None, "Be {{ brief }}").messages(prompt()) == [
        {"role": "system", "content": "Be {{ brief }}"},
        {"role": "user", "content": "2+2?"},
    ]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_two_system_prompts_are_a_conflict(role):
    """A row with a system message of its own under a configured one names both places."""
    row = prompt(messages=[{"role": role, "content": "x"}, {"role": "user", "content": "y"}])
    assert Renderer(None, None).messages(row) is row.messages
    with pytest.raises(DatasetError, match=rf"a\.jsonl:7.*{role} message.*\(dataset\.system\)"):
        Renderer(None, "s").messages(row)


def test_template_sees_prompt_id_and_fields():
    """prompt, id, each field, and the mapping of all fields are there; nothing is escaped."""
    row = prompt(fields={"lang": "<fr>", "odd name": 1, "items": "i"})
    template = "{{ id }}|{{ prompt }}|{{ lang }}|{{ fields['odd name'] }}|{{ fields.items }}"
    assert text_of(template, row) == "q1|2+2?|<fr>|1|i"


def test_fields_alone_make_a_prompt(tmp_path):
    """A row of fields becomes a prompt through the template, also when the template is swept."""
    (tmp_path / "a.csv").write_text("city,land\nBern,CH\n")
    template = "Capital of {{ land }}?"
    for config, swept in [
        (DatasetConfig(path="a.csv", template=template), ()),
        (DatasetConfig(path="a.csv"), (template,)),
    ]:
        [row] = read_prompts(config, root=tmp_path, templates=swept)
        assert row.messages is None
        assert text_of(template, row) == "Capital of CH?"
    with pytest.raises(DatasetError, match=r"a\.csv:2.*uses none of its fields.*city, land"):
        read_prompts(DatasetConfig(path="a.csv", template="hello {{ id }}"), root=tmp_path)
    with pytest.raises(DatasetError, match=r"a\.csv:2.*no template is set"):
        Renderer(None, None).messages(row)


def test_template_takes_the_place_of_the_last_user_message():
    """Earlier turns stay; the last user text is what the template calls prompt."""
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "sum?", "name": "ann"},
    ]
    assert Renderer("Q: {{ prompt }}", None).messages(prompt(messages=turns)) == [
        *turns[:2],
        {"role": "user", "content": "Q: sum?", "name": "ann"},
    ]
    parts = [{"role": "user", "content": [{"type": "image_url"}]}]
    assert "parts" in failure("x", prompt(messages=parts))


def test_template_files_are_read_by_name(tmp_path):
    """@file.j2 is read from the file, and errors call it by its name."""
    (tmp_path / "t.j2").write_text("one\n{{ missing }}\n")
    assert resolve_template("@t.j2", tmp_path) == "one\n{{ missing }}\n"
    assert "t.j2 line 2" in failure("@t.j2", root=tmp_path)
    with pytest.raises(DatasetError, match=r"cannot read no\.j2"):
        Renderer("@no.j2", None, root=tmp_path)
    (tmp_path / "t.j2").write_bytes(b"a\n\xff")
    with pytest.raises(DatasetError, match=r"t\.j2:2: not valid UTF-8"):
        Renderer("@t.j2", None, root=tmp_path)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a\n{% if %}", ["dataset.template line 2", "malformed"]),
        ("a\n\n{{ lag }}", ["line 3", "'lag' is undefined", "a.jsonl:7", "did you mean lang"]),
        ("{{ target }}", ["'target' is undefined", "must not reach the model"]),
        ("{{ 1 / 0 }}", ["line 1", "ZeroDivisionError", "a.jsonl:7"]),
        ("{{ ''.__class__.__mro__ }}", ["unsafe"]),
        ("{{ fields.update({'a': 1}) }}", ["line 1"]),
        ("{% include '/etc/passwd' %}", ["line 1"]),
        ("{{ [1, 2] | random }}", ["random"]),
        ("{% if lang == 'fr' %}x{% endif %} ", ["empty text", "a.jsonl:7"]),
    ],
)
def test_template_errors_name_line_and_row(template, words):
    """A template that fails says where in the template and at which row."""
    message = failure(template, prompt(fields={"lang": "en"}, target=4))
    assert [word for word in words if word not in message] == []


DOUBLING = (
    "{% set s = namespace(x='a') %}{% for i in range(60) %}{% set s.x = s.x ~ s.x %}{% endfor %}"
)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**9 }}",
        "{{ ('a' * n) * n * n }}",
        "{{ '%1000000000d' % n }}",
        "{{ '{:1000000000}'.format(n) }}",
        "{{ 'a' | center(10**10) }}",
        "{{ range(n * n * n) | list }}",
        DOUBLING,
        "{% for i in range(n) %}{{ 'abcdefghij' * 200 }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    ],
)
def test_hostile_templates_are_bounded(template):
    """Whatever asks for more memory, depth or output than a prompt needs is one error."""
    message = failure(template, prompt(fields={"n": 1000}))
    assert "dataset.template" in message
    assert text_of("{{ prompt }}", prompt()) == "2+2?"  # and the next template works


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ (n ** (n ** 7)) > 0 }}",  # one long call in C, which no exception can interrupt
    ],
)
def test_endless_work_is_ended_by_the_kernel(template):
    """A row that takes too long is ended, also inside a single C call."""
    client = SandboxClient()
    try:
        row = {"n": 10}
        values, failed = client.run("render", "{{ n }}", [row])
        assert (values, failed) == (["10"], None)
        values, failed = client.run("render", template, [row], cpu_s=0.2)
        assert (values, failed.kind) == ([], "time")
        assert client.run("render", "{{ n }}", [row]) == (["10"], None)
    finally:
        client.close()


def test_the_row_that_kills_the_child_is_found():
    """In a batch, the rows before the deadly one have their values, and that one is named."""
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    template = "{% if n %}" + loops + "{% endif %}x"
    client = SandboxClient()
    try:
        values, failed = client.run(
            "render", template, [{"n": i == 3} for i in range(6)], cpu_s=0.2
        )
        assert values == ["x"] * 3
        assert failed.kind == "time"
    finally:
        client.close()


def test_output_cap_counts_bytes():
    """The cap is in bytes of UTF-8 and exact."""
    row = prompt(fields={"n": 4})
    assert text_of("{{ 'é' * n }}", row, max_bytes=8) == "éééé"
    assert "more than 7 bytes" in failure("{{ 'é' * n }}", row, max_bytes=7)


def test_prepare_finds_the_first_bad_row_and_serves_the_rest():
    """prepare renders all rows ahead, so that errors come before anything is sent."""
    rows = [Prompt(prompt_id=f"q{i}", fields={"x": i}, source=f"a.jsonl:{i}") for i in range(600)]
    renderer = Renderer("{{ x }}", None)
    renderer.prepare(rows)
    assert [renderer.messages(r)[0]["content"] for r in rows] == [str(i) for i in range(600)]
    rows[500] = Prompt(prompt_id="q500", fields={"y": 1}, source="a.jsonl:500")
    with pytest.raises(DatasetError, match=r"'x' is undefined \(rendering a\.jsonl:500\)"):
        Renderer("{{ x }}", None).prepare(rows)


def test_changed_prompt_is_not_served_from_the_cache():
    """Texts are kept for a prompt object, not merely for its id."""
    renderer = Renderer("{{ x }}", None)
    for x in ("a", "b"):
        [message] = renderer.messages(prompt(None, fields={"x": x}))
        assert message["content"] == x


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))
def test_values_render_as_they_are(text):
    """Field values reach the prompt unchanged, whatever characters they hold."""
    assert text_of("{{ x }}", prompt(None, fields={"x": text})) == text


def test_the_child_sees_no_secrets_and_ends_with_its_parent(tmp_path):
    """The rendering process gets no key from the environment, and does not outlive its parent."""
    script = tmp_path / "parent.py"
    script.write_text(
        "from evalharness.datasets import sandbox_client\n"
        "w = sandbox_client.shared_sandbox()\n"
        "assert w.run('render', 'x', [{}]) == (['x'], None)\n"
        "pid = w._process.pid\n"
        "print(pid, b'hunter2' in open(f'/proc/{pid}/environ', 'rb').read(), flush=True)\n"
        "import os, signal\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc")
    env = {**os.environ, "SOME_API_KEY": "hunter2"}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=env)
    # The child's stdout is a pipe of its own, so this returns when the parent is dead; the child
    # goes once it has read the end of its stdin. The suite's timeout is the only clock here.
    out, _ = parent.communicate()
    pid, leaked = out.split()
    assert leaked == b"False"
    while _running(int(pid)):
        os.sched_yield()


def _running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
