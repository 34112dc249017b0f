"""Paths without ids: what goes, what stays, and that it takes no time."""

from __future__ import annotations

import base64
import random
import string
import time
import uuid

import pytest

from recost.endpoint import normalize_path

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BASE62 = string.ascii_letters + string.digits
BASE36 = string.ascii_lowercase + string.digits

NAMES = """
/ // /a//b /a/ a * /services /services/ /hooks/catch/ /{id}/x /v1/{id}.json /v1/chat/completions
/v1/messages /v1/audio/transcriptions /v1/fine_tuning/jobs /v1/vector_stores/file_batches /v1 /v2beta1/x
/v1p1beta1/speech:recognize /api/v3/simple/price /1.1/statuses/update.json /oauth2/v2/userinfo
/v1/models/gpt-4o-2024-08-06 /v1/models/gpt-4-0613 /v1/models/text-embedding-ada-002
/models/claude-3-5-sonnet-20241022 /v1beta/models/gemini-1.5-pro-002:generateContent
/v1beta/models/gemini-2.5-flash:streamGenerateContent
/model/anthropic.claude-3-5-sonnet-20241022-v2:0/converse-stream
/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/invoke /models/meta-llama/Llama-3.1-8B-Instruct
/x/mixtral-8x22b-instruct /x/deepseek-r1-distill-qwen-32b /x/gpt-4o-mini
/openai/deployments/gpt-4o/chat/completions /v1/eleven_multilingual_v2
/sentence-transformers/all-MiniLM-L6-v2
/projects/my-project/locations/us-central1/publishers/google/models/gemini-2.0-flash-001:countTokens
/api/chat.postMessage /users.lookupByEmail /v1/ListObjectsV2 /getUserById /longrunningrecognize
/BulkUpsertCatalogObjects /google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent
/AWSCognitoIdentityProviderService /repos/octocat/hello-world /.well-known/openid-configuration
/.well-known/jwks.json /api/webhooks /mysql-connector /base64/encode /hmac_sha256 /i18n/en-US/k8s
/maps/api/geocode/json /report-2024 /txt2img /us-gov-west-1 /web3/erc20 /checkout/sessions /payment_methods
/conversations.history /distancematrix /autocomplete /internationalization
/stability-ai/stable-diffusion-xl /black-forest-labs/flux-1.1-pro /%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82
/caf%C3%A9
"""


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        # numbers
        ("/users/123", "/users/{id}"),
        ("/users/123/", "/users/{id}/"),
        ("/users/7/orders/42", "/users/{id}/orders/{id}"),
        ("/users/123.json", "/users/{id}.json"),
        ("/users/-5", "/users/{id}"),
        ("/users/%31%32%33", "/users/{id}"),
        ("/tel/+1-555-0100", "/tel/{id}"),
        ("/ssn/123-45-6789", "/ssn/{id}"),
        ("/geo/-73.99,40.73.json", "/geo/{id}.json"),
        ("/route/-73.99,40.73;-73.98,40.75", "/route/{id}"),
        ("/rates/2026-11-21", "/rates/{id}"),
        ("/order-12345", "/{id}"),
        ("/user-123/x", "/{id}/x"),
        ("/Products(123)", "/Products({id})"),
        ("/user:42", "/user:{id}"),
        ("/v1/endpoints/1234567890:predict", "/v1/endpoints/{id}:predict"),
        # UUIDs and hex
        ("/x/0f8fad5b-d9cb-469f-a165-70867728950e", "/x/{id}"),
        ("/x/0F8FAD5B-D9CB-469F-A165-70867728950E.pdf", "/x/{id}.pdf"),
        ("/x/{deadbeef-dead-beef-dead-beefdeadbeef}", "/x/{id}"),
        ("/commits/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commits/{id}"),
        ("/commits/9fceb02", "/commits/{id}"),
        ("/objects/507f1f77bcf86cd799439011", "/objects/{id}"),
        # tokens, bare or behind a prefix
        ("/v1/customers/cus_9s6XKzkNRiz8i3", "/v1/customers/{id}"),
        ("/v1/subscriptions/sub_1MowQVLkdIwHu7ixeraKm/items", "/v1/subscriptions/{id}/items"),
        ("/v1/threads/thread_abc123/runs", "/v1/threads/{id}/runs"),
        ("/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream", "/v1/text-to-speech/{id}/stream"),
        ("/watch/dQw4w9WgXcQ", "/watch/{id}"),
        ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{id}"),
        ("/articles/my-first-post-5f3c9a1b2d", "/articles/{id}"),
        ("/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", "/t/{id}"),
        ("/v1/token=Zm9vYmFyYmF6cXV4MTIz", "/v1/token={id}"),
        ("/arn:aws:iam::123456789012:role/admin", "/arn:aws:iam::{id}:role/admin"),
        ("/2010-04-01/Accounts/ACa1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6/Messages.json", "/{id}/Accounts/{id}/Messages.json"),
        # addresses
        ("/users/joe@example.com/posts", "/users/{id}/posts"),
        ("/users/joe%40example.com", "/users/{id}"),
        ("/users/joe%2540example.com", "/users/{id}"),
        # secrets in webhooks
        ("/bot123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11/sendMessage", "/{id}/sendMessage"),
        ("/bot123456%3Aabc/getMe", "/{id}/getMe"),
        ("/file/bot1:x/photos/a.jpg", "/file/{id}/photos/a.jpg"),
        ("/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "/services/{id}"),
        ("/services/word", "/services/{id}"),
        ("/gateway/42/services/a/b", "/gateway/{id}/services/{id}"),
        ("/hooks/catch/123456/abcde/", "/hooks/catch/{id}"),
        ("/api/webhooks/1234567890/aB3dE5fG7hJ9kLmNpQrStUvWxYz", "/api/webhooks/{id}/{id}"),
    ],
)
def test_ids_become_one_word(path, normal):
    assert normalize_path(path) == normal


@pytest.mark.parametrize("path", NAMES.split())
def test_names_stay_as_they_are(path):
    assert normalize_path(path) == path


def drawn(rng, alphabet, size):
    return "".join(rng.choice(alphabet) for _ in range(size))


def url_safe(rng, size):
    return base64.urlsafe_b64encode(rng.getrandbits(8 * size).to_bytes(size, "big")).decode().rstrip("=")


TOKENS = {
    "uuid": (lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)), 0),
    "hex 12": (lambda rng: f"{rng.getrandbits(48):012x}", 0.002),
    "hex 32": (lambda rng: f"{rng.getrandbits(128):032x}", 0),
    "number": (lambda rng: str(rng.getrandbits(rng.randrange(1, 64))), 0),
    "ulid": (lambda rng: drawn(rng, CROCKFORD, 26), 0),
    "base62 of 12": (lambda rng: drawn(rng, BASE62, 12), 0.02),
    "base62 of 14": (lambda rng: drawn(rng, BASE62, 14), 0.01),
    "base62 of 24": (lambda rng: drawn(rng, BASE62, 24), 0.001),
    "base36 of 16": (lambda rng: drawn(rng, BASE36, 16), 0.005),
    "base36 of 25": (lambda rng: drawn(rng, BASE36, 25), 0.001),
    "letters of 20": (lambda rng: drawn(rng, string.ascii_letters, 20), 0.005),
    "16 bytes, url-safe": (lambda rng: url_safe(rng, 16), 0.005),
    "32 bytes, url-safe": (lambda rng: url_safe(rng, 32), 0.001),
    "stripe": (lambda rng: f"cus_{drawn(rng, BASE62, 14)}", 0.01),
    "telegram": (lambda rng: f"bot{rng.getrandbits(32)}:{url_safe(rng, 26)}", 0),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_random_tokens_hardly_ever_pass_for_names(kind):
    make, missed_at_most = TOKENS[kind]
    rng = random.Random(kind)
    missed = [token for token in (make(rng) for _ in range(2000)) if normalize_path(f"/v1/x/{token}") != "/v1/x/{id}"]
    assert len(missed) <= 2000 * missed_at_most, missed[:5]


def test_words_hardly_ever_pass_for_tokens():
    """Names that people gave: modules and attributes of the standard library."""
    names = set(dir(string) + dir(base64) + dir(uuid) + dir(time) + dir(random) + dir(str) + dir(int) + dir(dict))
    for module in ("argparse", "asyncio", "http.client", "logging", "multiprocessing", "socket", "ssl", "subprocess"):
        names |= set(dir(__import__(module, fromlist=["x"])))
    names = {name.strip("_") for name in names if name.strip("_").isascii()}
    flagged = {name for name in names if normalize_path(f"/{name}") != f"/{name}"}
    assert len(names) > 800
    assert len(flagged) <= len(names) * 0.02, sorted(flagged)


def random_path(rng):
    pieces = [
        "v1",
        "users",
        "123",
        "a@b",
        "%40",
        "%3A",
        "bot1:",
        "services",
        "{id}",
        ":",
        ",",
        ";",
        "=",
        ".",
        "-",
        "_",
        "%",
    ]
    pieces += [
        "gpt-4o",
        "models",
        "0613",
        "é",
        "١٢٣",
        "\u0000",
        "\udcff",
        " ",
        "~",
        "(1)",
        "json",
        drawn(rng, BASE62, 9),
    ]
    return "".join(rng.choice(["/", "", ""]) + rng.choice(pieces) for _ in range(rng.randrange(12)))


def test_whatever_comes_it_neither_raises_nor_changes_a_second_time():
    rng = random.Random(11)
    for _ in range(5000):
        path = f"/{random_path(rng)}"
        normal = normalize_path(path)
        assert normalize_path(normal) == normal, path
        assert "@" not in normal
        assert normal.count("/") <= path.count("/")


@pytest.mark.parametrize(
    "unit", ["a", "1", "1a", "aA", ":a", "0-", "-", "%41", ".ab", "{id},", "a@", "/", "/1", "bot1", "=", "é"]
)
def test_time_is_linear_in_the_length(unit):
    """A hundred times longer takes about a hundred times as long; backtracking would take ten thousand times."""
    short, long = ("/" + unit * (size // len(unit)) + "!" for size in (2000, 200_000))
    quick = min(seconds(short + "x" * i) for i in range(5))  # each another string: answers are remembered
    assert seconds(long) < 1500 * quick + 0.05


def seconds(path):
    """Of processor time: another process must not make it look slow."""
    began = time.thread_time()
    normalize_path(path)
    return time.thread_time() - began
