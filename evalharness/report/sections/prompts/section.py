"""The prompts whose repeats agree least, and all their outputs."""

from __future__ import annotations

from evalharness.analysis.agreement.least_stable import UnstableCell, least_stable
from evalharness.process.text import plural
from evalharness.report.build.context import BuildContext
from evalharness.report.build.prompts import UnstablePrompt, unstable_prompts
from evalharness.report.section import PageContext, PagePart, ReportData, Section
from evalharness.report.sections.prompts.prompt_view import PromptView, prompt_view
from evalharness.report.words.format_numbers import percent
from evalharness.report.words.markdown_text import escape_text

_TASK = "prompts"
_MAX_MARKDOWN_PROMPTS = 5


def _build_prompts(context: BuildContext) -> list[UnstablePrompt]:
    run, frame = context.run_data.run, context.run_data.frame
    return unstable_prompts(run, frame, LEAST_STABLE.of(context))


def _markdown(report: ReportData) -> list[str]:
    lines = [
        f"- {escape_text(prompt.prompt_id, 80)}: {plural(prompt.distinct, 'different output')}, "
        f"{percent(prompt.worst[0].agreement)} same text under "
        f"{escape_text(prompt.worst[0].label, 80)}"
        for prompt in report[UNSTABLE_PROMPTS][:_MAX_MARKDOWN_PROMPTS]
    ]
    return ["**Least stable prompts**\n\n" + "\n".join(lines)] if lines else []


def _view(context: PageContext) -> list[PromptView] | None:
    report = context.report
    worst = {cell.prompt_id: cell for cell in reversed(report[LEAST_STABLE])}
    prompts = report[UNSTABLE_PROMPTS]
    return [prompt_view(prompt, worst.get(prompt.prompt_id)) for prompt in prompts] or None


_TEMPLATE = """\
<p class="lead">Identical outputs are grouped. <span class="first">▮</span> marks where an output leaves the commonest one of the prompt. Any other prompt: <code>evalharness show {{ run_argument }} PROMPT</code> on the console, with <code>--html FILE</code> as a page.</p>
{% for p in view %}<details class="prompt"{% if loop.index <= 3 %} open{% endif %}>
<summary><code><bdi>{{ p.prompt_id }}</bdi></code> {{ p.headline }}{% if p.errors %}, {{ p.errors }} error{{ '' if p.errors == 1 else 's' }}{% endif %}</summary>
<div class="pair">
<div>
{{ m.question(p) }}
{{ m.cells(p, 'least stable under', false) }}
{{ m.compared(p) }}
</div>
<div>
<p class="kicker">all settings, commonest first</p>
{{ m.outputs(p) }}
{% if p.more > 0 %}<p class="note">and {{ p.more }} more: <code>evalharness show {{ run_argument }} {{ p.prompt_id }}</code></p>{% endif %}
</div>
</div>
</details>{% endfor %}"""  # noqa: E501 — a paragraph is one line of the page

LEAST_STABLE: Section[list[UnstableCell]] = Section(
    "least_stable",
    list[UnstableCell],
    lambda context: least_stable(context.run_data.frame),
    stage="fork",
    task=_TASK,
    title="the prompts under one setting whose repeats agree least, at most twenty",
)
UNSTABLE_PROMPTS: Section[list[UnstablePrompt]] = Section(
    "unstable_prompts",
    list[UnstablePrompt],
    _build_prompts,
    stage="fork",
    task=_TASK,
    title="the prompts of `least_stable` with their outputs, each once",
    markdown=_markdown,
    page=PagePart(
        anchor="prompts",
        link="Prompts",
        heading="Least stable prompts",
        template=_TEMPLATE,
        view=_view,
    ),
)
