"""A drawing is rebuilt from what is allowed."""

from __future__ import annotations

from evalharness.report.html.svg import clean_svg


def test_a_drawing_is_rebuilt_from_what_is_allowed() -> None:
    """Elements and attributes that are not for drawing are dropped, with all they hold."""
    drawn = clean_svg(
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()"><script>x()</script>'
        '<style>*{}</style><g class="k" aria-label="a"><a href="x"><path d="M0,0" fill="#000"/></a>'
        '<path d="M0.123456,9" stroke="#123456" style="x" clip-path="url(#c)"/>'
        '<text fill="url(http://x)">a &lt;b&gt;</text></g></svg>',
        "n",
    )
    assert drawn == (
        '<svg aria-hidden="true"><g><path d="M0.1,9" stroke="#123456" clip-path="url(#n-c)" />'
        "<text>a &lt;b&gt;</text></g></svg>"
    )
