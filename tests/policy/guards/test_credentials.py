"""Secrets are found by their form, and what only resembles them is not.

Every secret here is put together when the test runs, so that no scanner of repositories finds one in this file.
"""

import base64
import json

import pytest

from portkey_mcp.policy.guards import credentials
from portkey_mcp.policy.guards.credentials import keys, private_keys, tokens

MIXED = "aB3dE5gH7jK9mN1pQ4sT6vW8yZ0bC2eF4hJ6lM8oP1rS3uV5xY7zA9cD2fG4iK6nR8"
HEX = "0123456789abcdef" * 4
UPPER = "ABCDEFGH234567JKLMNOPQRS"


def b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


JWT = ".".join([b64({"alg": "HS256", "typ": "JWT"}), b64({"sub": "1", "name": "Ada"}), MIXED[:43]])
JWE = ".".join([b64({"alg": "dir", "enc": "A256GCM"}), "", MIXED[:16], MIXED[:40], MIXED[:22]])
LINES = "\n".join([MIXED[:64]] * 5 + [MIXED[:20] + "=="])


def pem(kind: str = "", body: str = LINES) -> str:
    return f"-----BEGIN {kind}PRIVATE" + f" KEY-----\n{body}\n-----END {kind}PRIVATE" + " KEY-----"


SECRETS = [
    ("AWS access key", "AK" + "IA" + UPPER[:16]),
    ("AWS access key", "AS" + "IA" + UPPER[:16]),
    ("GitHub token", "gh" + "p_" + MIXED[:36]),
    ("GitHub token", "gh" + "o_" + MIXED[:36]),
    ("GitHub token", "gh" + "s_" + MIXED[:60]),
    ("GitHub token", "github" + "_pat_" + MIXED[:22] + "_" + MIXED[:59]),
    ("GitLab token", "gl" + "pat-" + MIXED[:20]),
    ("Slack token", "xo" + "xb-123456789012-123456789012-" + MIXED[:24]),
    ("Slack token", "xo" + "xe.xoxp-1-" + MIXED[:40]),
    ("Slack token", "xa" + "pp-1-A0123456789-1234567890-" + HEX),
    ("Stripe key", "sk" + "_live_" + MIXED[:24]),
    ("Stripe key", "rk" + "_live_" + MIXED[:24]),
    ("Stripe secret", "wh" + "sec_" + MIXED[:32]),
    ("Google key", "AI" + "za" + MIXED[:33] + "-_"),
    ("Google secret", "GOC" + "SPX-" + MIXED[:28]),
    ("Google token", "ya" + "29." + MIXED[:40]),
    ("OpenAI key", "sk" + "-" + MIXED[:48]),
    ("OpenAI key", "sk" + "-proj-" + MIXED[:40] + "_" + MIXED[:40]),
    ("Anthropic key", "sk" + "-ant-api03-" + MIXED + "-AA"),
    ("npm token", "np" + "m_" + MIXED[:36]),
    ("PyPI token", "py" + "pi-AgEI" + MIXED + MIXED),
    ("SendGrid key", "S" + "G." + MIXED[:22] + "." + MIXED[:43]),
    ("Twilio key", "S" + "K" + HEX[:32]),
    ("Telegram token", "123456789" + ":AA" + MIXED[:33]),
    ("gateway key", "p" + "k_" + MIXED[:38] + "-_"),
]


@pytest.mark.parametrize(("label", "secret"), SECRETS, ids=[f"{label} {n}" for n, (label, _) in enumerate(SECRETS)])
@pytest.mark.parametrize("around", ["{}", "key={}", '{{"token": "{}"}}', "use {}, please", "({})", "`{}`.", "a\n{}\nb"])
def test_a_key_is_found_whole_wherever_it_stands(label: str, secret: str, around: str) -> None:
    text = around.format(secret)
    assert [(found.label, text[found.start : found.end]) for found in keys(text)] == [(label, secret)]


@pytest.mark.parametrize(
    ("label", "secret", "text"),
    [
        ("AWS secret key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY", "aws_secret_access_key = {}"),
        ("AWS secret key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY", '"SecretAccessKey": "{}"'),
        ("AWS secret key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY", 'AWS_SECRET_ACCESS_KEY="{}"'),
        ("Azure key", MIXED[:66] + MIXED[:20] + "==", "AccountName=x;AccountKey={};EndpointSuffix=y"),
        ("Slack webhook", "T0123ABCD/B0123ABCD/" + MIXED[:24], "https://hooks.slack.com/services/{}"),
        ("Telegram token", "123456789" + ":AA" + MIXED[:33], "https://api.example.org/bot{}/getMe"),
        ("password", "s3cr3t!", "postgres://ada:{}@db.example.org/x"),
        ("password", "s3cr3t", "redis://:{}@[::1]:6379"),
        ("credential", MIXED[:40], "Authorization: Bearer {}"),
        ("credential", MIXED[:40], '{{\\"authorization\\": \\"Basic {}\\"}}'),
        ("credential", MIXED[:40], "curl -H 'AUTHORIZATION: token {}' x"),
    ],
)
def test_a_secret_without_a_form_is_found_by_its_name(label: str, secret: str, text: str) -> None:
    text = text.format(secret)
    assert [(found.label, text[found.start : found.end]) for found in keys(text)] == [(label, secret)]


@pytest.mark.parametrize(
    "text",
    [
        "risk-adjusted-returns-of-the-last-12-quarters-and-more",
        "the task-0123456789abcdef0123456789abcdef0123456789 is done",
        "xoxo, and a SKU SK123; a disk-0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "x" + "gh" + "p_" + MIXED[:36],
        "gh" + "p_" + "too_short",
        "AK" + "IA" + "lowercase0123456",
        "pk_users_email_address_and_some_more_word",
        "pk_this_is_the_name_of_a_primary_key_cons",
        "pk_" + "live_" + MIXED[:24],
        "commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12 of 123e4567-e89b-12d3-a456-426614174000",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY",
        "postgres://ada:$PASSWORD@db/x, redis://:<password>@h, http://u:{pw}@h, amqp://u:***@h",
        "https://example.org:8080/a@b and http://[::1]:8080/x",
        "Authorization: Bearer YOUR_ACCESS_TOKEN",
        "Authorization: Bearer <token>",
        "secret access key: ask Ada",
        "12:AA, 123456789:AAshort",
        "npm_config_registry, npm_lifecycle_event_and_something_longer_still",
    ],
)
def test_what_resembles_a_key_is_none(text: str) -> None:
    assert list(keys(text)) == []


@pytest.mark.parametrize("token", [JWT, JWE, JWT.rpartition(".")[0] + "."], ids=["signed", "encrypted", "unsigned"])
@pytest.mark.parametrize("around", ["{}", "Bearer {}", '"{}"', "see {}, please", "jwt={}&x=1"])
def test_a_web_token_is_found_whole(token: str, around: str) -> None:
    text = around.format(token)
    assert [text[found.start : found.end] for found in tokens(text)] == [token]


@pytest.mark.parametrize(
    "text",
    [
        "eyJ is how they begin",
        "eyJabc.def",
        b64({"typ": "x"}) + "." + b64({"a": 1}) + ".sig",
        "x" + JWT,
        "eyJhbGciOi.com.example",
        "eyJ-.-.-",
    ],
)
def test_what_resembles_a_web_token_is_none(text: str) -> None:
    assert list(tokens(text)) == []


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_is_found_from_its_first_dash_to_its_last(kind: str) -> None:
    for key in (pem(kind), pem(kind).replace("\n", "\\n"), pem(kind).replace("\n", "\r\n")):
        text = f"before {key} after"
        assert [text[found.start : found.end] for found in private_keys(text)] == [key]


def test_a_private_key_of_pgp_is_found() -> None:
    text = "-----BEGIN PGP PRIVATE" + " KEY BLOCK-----\n\n" + LINES + "\n-----END PGP PRIVATE" + " KEY BLOCK-----"
    assert [(found.start, found.end) for found in private_keys(text)] == [(0, len(text))]


def test_a_private_key_that_was_cut_off_is_found_as_far_as_it_goes() -> None:
    cut = pem().partition("\n-----END")[0]
    text = f"{cut}\n\nThis was it."
    (found,) = private_keys(text)
    assert text[: found.end].startswith(cut)


def test_a_key_without_an_end_does_not_reach_into_the_next_one() -> None:
    text = pem().partition("\n-----END")[0] + "\n. Words in between. " + pem()
    first, second = private_keys(text)
    assert "Words" not in text[first.start : first.end]
    assert text[second.start : second.end] == pem()


@pytest.mark.parametrize(
    "text",
    [
        "A file that begins with -----BEGIN PRIVATE" + " KEY----- is a key.",
        pem().replace("PRIVATE", "PUBLIC"),
        pem().replace("PRIVATE KEY", "CERTIFICATE"),
        "PRIVATE KEY-----",
    ],
)
def test_what_is_no_private_key_is_none(text: str) -> None:
    assert list(private_keys(text)) == []


def test_every_label_is_known() -> None:
    assert {label for label, _ in SECRETS} | {"JWT", "private key"} <= credentials.LABELS
