"""The wait that the headers of a reply ask for."""

import math
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.throttle.retry_after import parse_retry_after

NOW = 1_800_000_000
NOW_NS = NOW * 10**9


def http_date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _spent(**resets: str) -> dict[str, str]:
    """Headers of Anthropic with nothing left of some limits until they are reset."""
    headers = {f"anthropic-ratelimit-{name}-reset": at for name, at in resets.items()}
    left = {f"anthropic-ratelimit-{name}-remaining": "0" for name in resets}
    return {**headers, **left, "anthropic-ratelimit-requests-limit": "50"}


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
        # Anthropic's: the moment at which what is used up is whole again.
        (_spent(requests=rfc3339(NOW + 40)), 40.0),
        (_spent(requests=rfc3339(NOW + 40), **{"input-tokens": rfc3339(NOW + 50)}), 50.0),
        (_spent(**{"output-tokens": rfc3339(NOW + 9), "tokens": rfc3339(NOW + 8)}), 9.0),
        (_spent(requests="2027-01-15T03:00:20-05:00"), 20.0),
        ({**_spent(requests=rfc3339(NOW + 3630)), "date": http_date(NOW + 3600)}, 30.0),
        ({**_spent(requests=rfc3339(NOW + 40)), "retry-after": "7"}, 7.0),
        # What counts as absent.
        (
            {**_spent(requests=rfc3339(NOW + 40)), "anthropic-ratelimit-requests-remaining": "1"},
            None,
        ),
        ({"anthropic-ratelimit-requests-reset": rfc3339(NOW + 40)}, None),
        (_spent(requests="2027-01-15T08:00:20"), None),
        (_spent(requests="soon"), None),
        (_spent(requests=rfc3339(NOW - 1)), None),
        (_spent(requests="9999-12-31T23:59:59-23:59"), None),
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
