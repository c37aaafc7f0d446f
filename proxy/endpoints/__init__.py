"""The table of metered endpoints: adding one is one file and one line here. Everything else under /v1 passes through."""

from proxy.endpoints.chat import CHAT
from proxy.endpoints.completions import COMPLETIONS
from proxy.endpoints.embeddings import EMBEDDINGS
from proxy.endpoints.images import IMAGES
from proxy.endpoints.moderations import MODERATIONS
from proxy.endpoints.responses import RESPONSES
from proxy.endpoints.speech import SPEECH

ENDPOINTS = (CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS, IMAGES, SPEECH, MODERATIONS)
ENDPOINT_BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}
