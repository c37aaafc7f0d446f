"""Runs `grammage serve` as a child on embedded defaults, for the length of a campaign or longer. It must never leave the child behind."""

import asyncio
import contextlib
import sys
import tempfile
import urllib.error
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from config.load import CONFIG_VARIABLE, UPSTREAM_VARIABLE
from proxy.errors import StartError

_READY_S = 60.0
_ASK_EVERY_S = 0.1
_DRAIN_S = 130.0
_TAIL_LINES = 40
_LONGEST_LINE = 1 << 20
_LEDGER_VARIABLE = "GRAMMAGE_DEMO_LEDGER"
_ANNOUNCED = "grammage listens on"
"""How `serve` says that the address is its own."""


class Served:
    """A proxy that runs as a child of this process. `forward`: pass its messages on to our standard error from now on."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url
        self.forward = False
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._announced = False

    async def listen(self) -> None:
        """Reads what the child says until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self.tail.append(text)
            self._announced = self._announced or text.startswith(_ANNOUNCED)
            if self.forward:
                sys.stderr.write(text + "\n")

    async def until_ready(self) -> None:
        """Waits until the child, not another proxy on its port, answers /readyz. Raises StartError with its words when it does not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READY_S):
                while self.process.returncode is None:
                    if self._announced and await asyncio.to_thread(_answers, self.url + "/readyz"):
                        return
                    await asyncio.sleep(_ASK_EVERY_S)
        raise StartError("\n".join(["the proxy did not start; it said:", *self.tail]))

    async def stop(self) -> None:
        """Ends the child the way an operator would, waiting for it to drain; kills it when it does not."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), _DRAIN_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@contextlib.asynccontextmanager
async def serve_child(*, host: str, port: int, ledger_url: str, environ: Mapping[str, str]) -> AsyncIterator[Served]:
    """A proxy on embedded defaults, ready to be called; it has drained when the block is left."""
    with tempfile.TemporaryDirectory(prefix="grammage-") as folder:
        settings = Path(folder) / "demo.yaml"
        settings.write_text(
            f'version: 1\nserver: {{listen: "{host}:{port}"}}\nledger: {{url: "${{{_LEDGER_VARIABLE}}}"}}\n', encoding="utf-8"
        )
        kept = {name: value for name, value in environ.items() if name != UPSTREAM_VARIABLE}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "proxy.cli.main", "serve"),
            env={**kept, CONFIG_VARIABLE: str(settings), _LEDGER_VARIABLE: ledger_url},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LONGEST_LINE,
        )
        served = Served(process, f"http://{host}:{port}")
        listening = asyncio.ensure_future(served.listen())
        try:
            await served.until_ready()
            yield served
        finally:
            await served.stop()
            await listening


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
