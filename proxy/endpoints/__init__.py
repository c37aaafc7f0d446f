"""The table of metered endpoints: adding one is one file and one line here. Everything else under /v1 passes through."""

from proxy.endpoints.chat import CHAT
from proxy.endpoints.completions import COMPLETIONS
from proxy.endpoints.embeddings import EMBEDDINGS
from proxy.endpoints.images import IMAGE_EDITS, IMAGE_VARIATIONS, IMAGES
from proxy.endpoints.moderations import MODERATIONS
from proxy.endpoints.responses import RESPONSES
from proxy.endpoints.speech import SPEECH
from proxy.endpoints.transcriptions import TRANSCRIPTIONS, TRANSLATIONS

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
)
ENDPOINT_BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}
