"""What is shown of a message's content."""

from __future__ import annotations

from evalharness.records import shown_content


def test_the_data_of_an_image_is_cut_short() -> None:
    """Texts stay whole; an address stays whole; megabytes of base64 are not printed."""
    text = {"type": "text", "text": "long " * 100}
    address = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    data = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    shown = shown_content([text, address, data])
    assert shown[:2] == [text, address]
    assert len(shown[2]["image_url"]["url"]) < 60
    assert shown_content("plain") == "plain"
    assert shown_content(None) is None
