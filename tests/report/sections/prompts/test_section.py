"""The least stable prompts in Markdown and on the page."""

from __future__ import annotations

from evalharness.report.build.prompt_variants import outcomes_by_setting
from evalharness.report.build_report import Report
from evalharness.report.section import PageContext, ReportData
from evalharness.report.sections.prompts.prompt_view import PromptView, prompt_page_view
from evalharness.report.sections.prompts.section import LEAST_STABLE, UNSTABLE_PROMPTS


def _views(report: ReportData) -> list[PromptView] | None:
    assert UNSTABLE_PROMPTS.page is not None
    views: list[PromptView] | None = UNSTABLE_PROMPTS.page.view(PageContext(report, {}, 0))
    return views


def test_each_unstable_prompt_is_described_once(sweep: Report) -> None:
    """Least stable first, with its cells among the least stable and without their texts."""
    cells, prompts = sweep.data[LEAST_STABLE], sweep.data[UNSTABLE_PROMPTS]
    assert [p.prompt_id for p in prompts] == list(dict.fromkeys(c.prompt_id for c in cells))
    assert sum(len(prompt.worst) for prompt in prompts) == len(cells)
    for prompt in prompts:
        own = [cell for cell in cells if cell.prompt_id == prompt.prompt_id]
        assert [w.setting_id for w in prompt.worst] == [cell.setting_id for cell in own]
        assert [w.counts for w in prompt.worst] == [cell.counts for cell in own]


def test_the_two_commonest_outputs_are_compared_under_the_worst_setting(sweep: Report) -> None:
    views = _views(sweep.data)
    assert views is not None
    for view in views:
        cell = next(c for c in sweep.data[LEAST_STABLE] if c.prompt_id == view.prompt_id)
        assert view.under == f" under {cell.label}"
        assert view.diff_of == tuple(f"{top.count}× ({top.status})" for top in cell.top)
        first = "".join(piece.text for piece in view.diff if piece.kind != "added")
        assert first == cell.top[0].text
        assert [variant.marked for variant in view.variants][:2] == [False, True]


def test_a_page_of_its_own_shows_every_output_and_setting(hostile: Report) -> None:
    """Errors are counted by setting there; the two commonest outputs of all are compared."""
    prompt = hostile.data[UNSTABLE_PROMPTS][0]
    view = prompt_page_view(prompt, outcomes_by_setting(hostile.frame, prompt.prompt_id))
    assert [cell.errors for cell in view.cells] == [0, 1, 0]
    assert (len(view.variants), view.more) == (len(prompt.variants), 0)
    assert (view.under, view.errors) == ("", 1)


def test_markdown_lists_five_prompts(sweep: Report) -> None:
    assert UNSTABLE_PROMPTS.markdown is not None
    [block] = UNSTABLE_PROMPTS.markdown(sweep.data)
    heading, _, *lines = block.split("\n")
    assert heading == "**Least stable prompts**"
    assert len(lines) == 5
    first = sweep.data[UNSTABLE_PROMPTS][0]
    assert lines[0].startswith(f"- {first.prompt_id}: {first.distinct} different outputs, ")


def test_a_stable_run_has_no_unstable_prompts() -> None:
    assert UNSTABLE_PROMPTS.markdown is not None
    stable = ReportData({"least_stable": [], "unstable_prompts": []})
    assert UNSTABLE_PROMPTS.markdown(stable) == []
    assert _views(stable) is None
