"""The wait that the headers of a reply ask for."""

import math
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.throttle.retry_after import parse_retry_after

NOW = 1_800_000_000
NOW_NS = NOW * 10**9


def http_date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9.0),
        ({"retry-after": http_date(NOW + 90)}, 90.0),
        # Our clock is an hour behind the server's: its own Date counts.
        ({"retry-after": http_date(NOW + 3_630), "date": http_date(NOW + 3_600)}, 30.0),
        ({"retry-after": http_date(NOW + 90), "date": "rubbish"}, 90.0),
        # Not the RFC's, and written all the same.
        ({"retry-after": "30s"}, 30.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after": str(NOW + 45)}, 45.0),
        ({"retry-after": "3, 7"}, 7.0),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360.0),
        ({"x-ratelimit-reset-tokens": "20ms", "x-ratelimit-remaining-tokens": "0"}, 0.02),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s", "x-ratelimit-remaining-tokens": "0"}, 3723.5),
        ({"x-ratelimit-reset": "12", "x-ratelimit-remaining": "0"}, 12.0),
        ({"x-ratelimit-reset": str(NOW + 45), "x-ratelimit-remaining": "0"}, 45.0),
        ({"x-ratelimit-reset": str((NOW + 45) * 1000), "x-ratelimit-remaining": "0"}, 45.0),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "5s",
                "x-ratelimit-remaining-tokens": "0",
            },
            5.0,
        ),
        # What counts as absent.
        ({}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": str(NOW)}, None),
        ({"retry-after": http_date(NOW - 5)}, None),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "3"}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, None),
        ({"x-ratelimit-reset": "", "x-ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-reset": str(NOW - 45), "x-ratelimit-remaining": "0"}, None),
    ],
)
def test_what_the_headers_ask_for(headers, seconds):
    """Each form is read as meant, and nonsense counts as absent."""
    wait = parse_retry_after(headers, NOW_NS)
    assert wait == (None if seconds is None else pytest.approx(seconds))


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "retry-after",
                "retry-after-ms",
                "date",
                "x-ratelimit-reset",
                "x-ratelimit-remaining",
                "x-ratelimit-reset-tokens",
                "x-ratelimit-remaining-tokens",
            ]
        ),
        st.one_of(st.text(max_size=80), st.text("0123456789:., GMTadhms+-", max_size=40)),
    )
)
def test_any_bytes_give_a_sane_wait_or_none(headers):
    """No header value raises, and what comes out is a finite positive time."""
    wait = parse_retry_after(headers, NOW_NS)
    assert wait is None or (math.isfinite(wait) and 0 < wait <= 31 * 86_400)
