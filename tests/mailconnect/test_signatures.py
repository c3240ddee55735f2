"""A signature."""

import pytest

from mailconnect.signatures import clean, first_signature

OUTLOOK = """<html><head><style>p {margin:0}</style></head><body dir="ltr">
<div class="elementToProof">Hi Dana,<br>are you free on Monday?</div>
<div class="elementToProof" id="Signature"><div style="font-family: Calibri; position: fixed">
<p>Alice Archer&nbsp;&amp; Co</p><img src="https://demo.example/logo.png"><br>
<a href="https://demo.example" onclick="steal()">demo.example</a></div></div>
<div id="appendonsend"></div><hr><div id="divRplyFwdMsg">From: Bob</div>
<div id="x_Signature">Bob Baker</div></body></html>"""


def test_is_found_in_a_mail_that_outlook_wrote() -> None:
    found = first_signature(["<p>No signature here</p>", OUTLOOK])

    assert "Alice Archer&nbsp;&amp; Co" in found
    assert '<a href="https://demo.example">demo.example</a>' in found
    assert "Bob" not in found
    assert "Dana" not in found


def test_is_found_in_a_mail_from_a_phone() -> None:
    found = first_signature(['<p>Yes</p><div id="ms-outlook-mobile-signature"><p>Alice</p></div><p>after</p>'])

    assert found == "<div><p>Alice</p></div>"


@pytest.mark.parametrize(
    "body",
    [
        '<p>Thanks</p><div id="divRplyFwdMsg">From: Bob</div><div id="Signature">Bob Baker</div>',
        '<div id="x_Signature">Bob Baker</div>',
        '<div id="Signature">&nbsp; <br></div>',
        "",
    ],
)
def test_of_somebody_else_or_without_text_is_none(body: str) -> None:
    assert first_signature([body]) == ""


def test_keeps_no_script_no_event_and_no_layout_tricks() -> None:
    cleaned = clean(
        '<p onclick="x()" style="color: red; position: fixed">Alice</p><script>x()</script>'
        '<a href="javascript:x()">a</a><iframe src="https://x"></iframe><img src="data:image/png;base64,AA">'
    )

    assert cleaned == '<p style="color:red">Alice</p><a>a</a><img>'


def test_that_outlook_left_unclosed_does_not_swallow_the_machine() -> None:
    assert first_signature(['<div id="Signature"><b>Alice']) == "<div><b>Alice</b></div>"
