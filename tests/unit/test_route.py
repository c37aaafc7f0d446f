"""What a path means, for every base URL that clients are told; our own pages stay ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.endpoints import COUNTERS, ENDPOINTS
from proxy.route import address_of

# method, path -> operation (None: not metered), dialect, path of the dialect, model in the path
LEADS = {
    ("POST", "/v1/chat/completions"): ("chat", "openai", "/v1/chat/completions", None),
    ("POST", "/chat/completions"): ("chat", "openai", "/v1/chat/completions", None),
    ("POST", "//v1//chat/completions/"): ("chat", "openai", "/v1/chat/completions", None),
    ("POST", "/v1/v1/chat/completions"): ("chat", "openai", "/v1/chat/completions", None),
    ("GET", "/files/file-1/content"): (None, "openai", "/v1/files/file-1/content", None),
    ("GET", "/models"): (None, "openai", "/v1/models", None),
    ("GET", "/v1/chat/completions"): (None, "openai", "/v1/chat/completions", None),
    ("GET", "/v1/odd//path/"): (None, "openai", "/v1/odd//path/", None),
    ("POST", "/openai/deployments/gpt-4o/chat/completions"): ("chat", "openai", "/v1/chat/completions", "gpt-4o"),
    ("POST", "/openai/deployments/emb/embeddings"): ("embeddings", "openai", "/v1/embeddings", "emb"),
    ("POST", "/openai/deployments/tts/audio/speech"): ("audio", "openai", "/v1/audio/speech", "tts"),
    ("POST", "/openai/deployments/im/images/edits"): ("images", "openai", "/v1/images/edits", "im"),
    ("POST", "/openai/v1/responses"): ("responses", "openai", "/v1/responses", None),
    ("POST", "/openai/responses"): ("responses", "openai", "/v1/responses", None),
    ("GET", "/openai/models"): (None, "openai", "/v1/models", None),
    ("POST", "/v1/messages"): ("messages", "anthropic", "/v1/messages", None),
    ("POST", "/messages"): ("messages", "anthropic", "/v1/messages", None),
    ("POST", "/v1/v1/messages"): ("messages", "anthropic", "/v1/messages", None),
    ("POST", "/anthropic/v1/messages"): ("messages", "anthropic", "/v1/messages", None),
    ("POST", "/anthropic/messages"): ("messages", "anthropic", "/v1/messages", None),
    ("POST", "/anthropic/v1/messages/count_tokens"): ("count_tokens", "anthropic", "/v1/messages/count_tokens", None),
    ("POST", "/v1/messages/batches"): (None, "anthropic", "/v1/messages/batches", None),
    ("POST", "/v1beta/models/g-2:generateContent"): ("generate_content", "gemini", "/v1beta/models/{model}:generateContent", "g-2"),
    ("POST", "/v1/models/g-2:generateContent"): ("generate_content", "gemini", "/v1/models/{model}:generateContent", "g-2"),
    ("POST", "/v1alpha/tunedModels/t:generateContent"): ("generate_content", "gemini", "/v1alpha/tunedModels/{model}:generateContent", "t"),
    ("POST", "/v1/models/o/l:8b:streamGenerateContent"): (
        "stream_generate_content", "gemini", "/v1/models/{model}:streamGenerateContent", "o/l:8b",
    ),
    ("POST", "/models/g:countTokens"): ("count_tokens", "gemini", "/v1beta/models/{model}:countTokens", "g"),
    ("POST", "/v1beta/models/e:batchEmbedContents"): ("batch_embed_contents", "gemini", "/v1beta/models/{model}:batchEmbedContents", "e"),
    ("POST", "/v1beta/models/e:predict"): (None, "gemini", "/v1beta/models/e:predict", None),
    ("GET", "/v1/models/ft:gpt-4o:org::id"): (None, "openai", "/v1/models/ft:gpt-4o:org::id", None),
    ("GET", "/v1beta/models"): (None, "gemini", "/v1beta/models", None),
    ("POST", "/upload/v1beta/files"): (None, "gemini", "/upload/v1beta/files", None),
}  # fmt: skip
OURS = ("/", "/metrics", "/livez", "/readyz", "/openapi.json", "/admin", "/admin/keys", "/v1", "/v1beta", "/docs", "/openai", "/anthropic")


@pytest.mark.parametrize(("method", "path"), LEADS, ids=lambda part: part)
def test_a_path_leads_to_its_row(method: str, path: str) -> None:
    operation, dialect, normal, model = LEADS[method, path]
    address = address_of(method, path)
    assert address is not None
    assert (address.endpoint and address.endpoint.operation, address.dialect, address.path, address.model) == (
        operation,
        dialect,
        normal,
        model,
    )


@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_our_own_pages_stay_ours(method: str, path: str) -> None:
    assert address_of(method, path) is None


@pytest.mark.parametrize(
    ("path", "raw", "sent"),
    [
        ("/v1/files/a b", b"/v1/files/a%20b", b"/v1/files/a%20b"),
        ("/files/a/b", b"/files/a%2Fb", b"/v1/files/a%2Fb"),
        ("/openai/files/a b", b"/openai/files/a%20b", b"/v1/files/a%20b"),
        ("/openai/deployments/m/audio/x", b"/openai/deployments/m/audio/x", b"/v1/audio/x"),
        ("/anthropic/v1/messages/batches/é", b"/anthropic/v1/messages/batches/%C3%A9", b"/v1/messages/batches/%C3%A9"),
        ("/openai/v1/files/", b"/openai/v1/files", b"/v1/files"),
    ],
)
def test_what_a_base_url_put_before_a_path_falls_away_and_the_callers_bytes_stay(path: str, raw: bytes, sent: bytes) -> None:
    address = address_of("GET", path)
    assert address is not None
    assert address.raw(raw) == sent


def test_every_row_can_be_reached() -> None:
    for row in (*ENDPOINTS, *COUNTERS):
        address = address_of("POST", row.path.replace("{model}", "some-model"))
        assert address is not None
        assert address.endpoint is row


@given(st.text(max_size=60), st.sampled_from(["GET", "POST", "DELETE"]))
def test_no_path_is_an_error(path: str, method: str) -> None:
    address = address_of(method, "/" + path)
    assert address is None or address.path.startswith("/")
