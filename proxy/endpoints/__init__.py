"""The table of metered endpoints: adding one is one file and one line here. Everything else under /v1 passes through."""

from proxy.endpoints.chat import CHAT
from proxy.endpoints.completions import COMPLETIONS
from proxy.endpoints.decisions import DECISIONS
from proxy.endpoints.embeddings import EMBEDDINGS
from proxy.endpoints.gemini import BATCH_EMBED, COUNT, EMBED, GENERATE, STREAM_GENERATE
from proxy.endpoints.images import IMAGE_EDITS, IMAGE_VARIATIONS, IMAGES
from proxy.endpoints.messages import COUNT_TOKENS, MESSAGES
from proxy.endpoints.moderations import MODERATIONS
from proxy.endpoints.responses import COMPACT, RESPONSES
from proxy.endpoints.speech import SPEECH
from proxy.endpoints.transcriptions import TRANSCRIPTIONS, TRANSLATIONS
from proxy.endpoints.videos import VIDEO_EDITS, VIDEO_EXTENSIONS, VIDEOS

ENDPOINTS = (
    CHAT,
    COMPLETIONS,
    RESPONSES,
    EMBEDDINGS,
    IMAGES,
    IMAGE_EDITS,
    IMAGE_VARIATIONS,
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    MODERATIONS,
    COMPACT,
    DECISIONS,
    VIDEOS,
    VIDEO_EDITS,
    VIDEO_EXTENSIONS,
    MESSAGES,
    GENERATE,
    STREAM_GENERATE,
    EMBED,
    BATCH_EMBED,
)
COUNTERS = (COUNT_TOKENS, COUNT)
"""Rows that only say how many tokens a request has: nothing is generated, nothing recorded."""

ENDPOINT_BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS if "{" not in endpoint.path}
"""Those whose path is always the same."""
