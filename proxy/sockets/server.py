"""The server's side of a socket: uvicorn's protocol, which lets sockets drain as streams do. It must never log a header or a frame."""

import logging
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_log = logging.getLogger("grammage.websockets")
_log.setLevel(logging.WARNING)


def _is_news(entry: logging.LogRecord) -> bool:
    """False for the server's word that a handshake was not completed: it was refused, with an answer of its own."""
    return "without completing handshake" not in str(entry.msg)


_log.addFilter(_is_news)


class DrainingSocket(WebSocketsSansIOProtocol):
    """Leaves an open socket be when the server is told to end: its task is cancelled once the time to drain is over, and says why."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = self.conn.logger = _log
        self.conn.debug = False

    def shutdown(self) -> None:
        """Nothing yet where a socket stands; else as usual."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
