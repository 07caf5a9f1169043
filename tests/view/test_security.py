"""What is refused, on real sockets: foreign hosts, missing tokens, changes that are not allowed."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest

from evalharness.view.security import POLICY
from evalharness.view.server import open_server
from evalharness.view.settings import ViewSettings
from tests.report.runs import PAYLOADS
from tests.view.conftest import Serve, ServedView, write_scored_run


class Reply(NamedTuple):
    """What came back for a request that was written by hand."""

    status: int
    headers: dict[str, str]
    body: str


def _ask(
    served: ServedView, target: str = "/", method: str = "GET", body: str = "", **headers: str
) -> Reply:
    """Send a request as it is: no client cleans its path or its host."""
    connection = http.client.HTTPConnection("127.0.0.1", served.settings.port, timeout=60)
    names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    connection.putrequest(method, target, skip_host="host" in names)
    for name, value in names.items():
        if value:
            connection.putheader(name, value)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body.encode() or None)
    answer = connection.getresponse()
    reply = Reply(
        answer.status,
        {name.lower(): value for name, value in answer.getheaders()},
        answer.read().decode(),
    )
    connection.close()
    return reply


@pytest.fixture
def served(work: Path, view_server: Serve) -> ServedView:
    """One run, on loopback, with nothing allowed."""
    write_scored_run("r")
    return view_server()


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "127.0.0.2", "user@127.0.0.1",
     "localhost.", "[::1", "192.168.0.1", "a b", "localhost:99999999"],
)  # fmt: skip
def test_a_foreign_host_is_refused(served: ServedView, host: str) -> None:
    """A name that somebody made lead here (DNS rebinding) reads nothing."""
    reply = _ask(served, host=host.format(port=served.settings.port))
    assert reply.status in (400, 421)
    assert "href=" not in reply.body


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "LOCALHOST"]
)
def test_own_names_are_served(served: ServedView, host: str) -> None:
    """Whatever loopback is called."""
    assert _ask(served, host=host.format(port=served.settings.port)).status == 200


def test_no_host_at_all_is_refused(served: ServedView) -> None:
    """As HTTP/1.0 allows."""
    assert _ask(served, host="").status in (400, 421)


@pytest.mark.parametrize(
    "target",
    ["/", "/?q=x", "/nowhere", "/run/r", "/run/none", "/compare", "/static/view.css",
     "/static/none.css", "/static/../app.py", "/run/r/nothing"],
)  # fmt: skip
def test_every_answer_has_the_policy(served: ServedView, target: str) -> None:
    """Errors and refusals, too."""
    for reply in (_ask(served, target), _ask(served, target, host="evil.example")):
        assert reply.headers["content-security-policy"] == POLICY
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
    assert "unsafe" not in POLICY


def test_a_page_that_fails_has_the_policy(
    served: ServedView, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The traceback is on the terminal, and not on the page."""

    def fail(*_: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr("evalharness.view.runs.ViewedRuns.rows", fail)
    reply = _ask(served)
    assert reply.status == 500
    assert reply.headers["content-security-policy"] == POLICY
    assert "secret" not in reply.body
    assert "secret of the inside" in capfd.readouterr().err


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_is_changed_unless_that_was_allowed(served: ServedView, method: str) -> None:
    """Read-only is the default, on loopback too."""
    assert _ask(served, "/run/r/marks", method, "{}").status == 403


def test_a_change_needs_the_token_of_our_pages(work: Path, view_server: Serve) -> None:
    """Another page of the same browser can send a form, but does not know the token."""
    write_scored_run("r")
    served = view_server(marks=True)
    own = f"http://127.0.0.1:{served.settings.port}"
    token = _csrf(served)
    for headers in ({}, {"x_csrf_token": "wrong"}, {"x_csrf_token": "é"}, {"cookie": f"x={token}"}):
        assert _ask(served, "/run/r/marks", "POST", "{}", **headers).status == 403, headers
    for origin in ("http://evil.example", "null", f"{own}.evil.example"):
        reply = _ask(served, "/run/r/marks", "POST", "{}", x_csrf_token=token, origin=origin)
        assert reply.status == 403, origin
    accepted = _ask(served, "/nowhere", "POST", "{}", x_csrf_token=token, origin=own)
    assert accepted.status == 404  # it came through


def test_the_token_is_on_no_page_of_a_server_that_changes_nothing(served: ServedView) -> None:
    """And a page may not be read by others."""
    reply = _ask(served)
    assert "csrf" not in reply.body
    assert "access-control-allow-origin" not in reply.headers


def _csrf(served: ServedView) -> str:
    page = _ask(served).body
    return page.partition('name="csrf-token" content="')[2].partition('"')[0]


# ── another host ─────────────────────────────────────────────────────────────────────────────────


def test_another_host_asks_for_the_token(work: Path, view_server: Serve) -> None:
    """The link has it; its cookie admits what comes after, and no address carries it on."""
    write_scored_run("r")
    served = view_server(host="0.0.0.0")
    token = served.settings.token
    assert token is not None
    assert token in served.link
    for target in ("/", "/run/r", "/static/view.css", "/?token=wrong", "/?token=", "/?token=é"):
        reply = _ask(served, quote(target, safe="/?="))
        assert reply.status == 403, target
        assert reply.headers["content-security-policy"] == POLICY
    assert _ask(served, cookie="evalharness_view_1=wrong").status == 403
    with httpx.Client(base_url=served.url) as client:
        first = client.get(f"/run/r?q=1&token={token}")
        assert first.status_code == 303
        assert first.headers["location"] == "/run/r?q=1"
        assert "HttpOnly" in first.headers["set-cookie"]
        assert "SameSite=lax" in first.headers["set-cookie"]
        assert client.get("/run/r").status_code == 200
    for path in ("/run/a%2Fb/record/t%2F0%3F", "/run/50%25/records", "/run/%7E1/%C3%A4%0A"):
        reply = _ask(served, f"{path}?token={token}")
        assert reply.headers["location"] == path


def test_the_token_leads_to_no_other_host(work: Path, view_server: Serve) -> None:
    """A path of two slashes would be one."""
    served = view_server(host="0.0.0.0")
    reply = _ask(served, f"//evil.example/?token={served.settings.token}")
    assert reply.status == 303
    assert reply.headers["location"] == "/evil.example/"


def test_the_token_does_not_replace_that_of_changes(work: Path, view_server: Serve) -> None:
    """A link with it that another page sends as a form changes nothing."""
    served = view_server(host="0.0.0.0", marks=True)
    reply = _ask(served, f"/run/r/marks?token={served.settings.token}", "POST", "{}")
    assert reply.status == 403


def test_loopback_needs_no_token_and_another_host_has_one() -> None:
    """Two servers have two tokens."""
    tokens = []
    for host in ("127.0.0.1", "0.0.0.0", "0.0.0.0"):
        server = open_server(ViewSettings(host=host))
        tokens.append(server.settings.token)
        server.close_listener()
    assert tokens[0] is None
    assert tokens[1] != tokens[2]


# ── names of runs ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    ["..", "../outside", "%2e%2e", "..%2foutside", "%2e%2e%2foutside", "r/../../outside", "~0/../outside",
     "~9/r", "./r", ".", "r%00", "%2fetc", "~1/r", "outside", "../results/../outside"],
)  # fmt: skip
def test_an_address_is_never_a_path(work: Path, view_server: Serve, path: str) -> None:
    """A run beside the results root, and everything else on the disk, is not served."""
    write_scored_run("r")
    write_scored_run("outside")
    Path("results/outside").rename("outside")
    served = view_server("results")
    for rest in ("", "/sections"):
        reply = _ask(served, f"/run/{path}{rest}")
        assert reply.status == 404, path
    assert _ask(served, f"/static/{path}").status == 404


def test_hostile_names_and_notes_are_text(work: Path, view_server: Serve) -> None:
    """Every name a folder can have, and every note, is shown and leads to its own page."""
    names = [text.replace("/", "∕").replace("\x00", "")[:60] for text in PAYLOADS[:9]]
    names += ["~1", "a b", "50%", "q?x=1&y=2#z", "ä€😀", ".hidden", "-rf", "a\nb", "..."]
    write_scored_run("r", prompts=2)
    for index, name in enumerate(names):
        folder = Path("results", name)
        folder.mkdir()
        manifest = json.loads(Path("results/r/run.json").read_text())
        (folder / "run.json").write_text(json.dumps(manifest))
        note = {"note": PAYLOADS[index % len(PAYLOADS)], "tags": [PAYLOADS[-1 - index % 5]]}
        (folder / "notes.json").write_text(json.dumps(note))
    served = view_server("results")
    page = httpx.get(served.url).text
    assert "<script>window" not in page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    links = [part.partition('"')[0] for part in page.split('<th scope="row"><a href="')[1:]]
    assert len(links) == len(names) + 1
    for link in links:
        assert httpx.get(served.url + link.replace("&amp;", "&")).status_code == 200, link
