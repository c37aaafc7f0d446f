"""The table of metered endpoints: adding one is one file and one line here. Everything else under /v1 passes through."""

from proxy.endpoints.chat import CHAT
from proxy.endpoints.completions import COMPLETIONS
from proxy.endpoints.embeddings import EMBEDDINGS

ENDPOINTS = (CHAT, COMPLETIONS, EMBEDDINGS)
ENDPOINT_BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}
