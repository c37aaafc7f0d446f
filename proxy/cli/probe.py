"""Small looks at the machine: is a folder writable, a port free, a proxy alive. It must never leave anything behind."""

import http.client
import os
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from config.listen import parse_listen

PATIENCE_S = 5.0


def write_fault(file: Path) -> str | None:
    """Why `file` could not be written, else None; it is neither made nor touched."""
    if file.is_dir():
        return "is a folder"
    if file.exists() and not os.access(file, os.W_OK):
        return "may not be written"
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            return None
    except OSError as error:
        return f"its folder may not be written ({error.strerror})"


def port_fault(listen: str) -> str | None:
    """Why nobody could listen on host:port, else None."""
    host, port = parse_listen(listen)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        return str(error.strerror or error)
    return None


def reach_fault(host: str, port: int) -> str | None:
    """Why nothing at host:port takes a connection, else None; nothing is sent."""
    try:
        socket.create_connection((host, port), timeout=PATIENCE_S).close()
    except OSError as error:
        return str(error.strerror or error)
    return None


def ask(url: str, path: str) -> int | None:
    """The status that `url` answers to a GET of `path`; None when nothing answers in time. No proxy stands between."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    door = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = door(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    except (ValueError, http.client.InvalidURL):
        return None
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
