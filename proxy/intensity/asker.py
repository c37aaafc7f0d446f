"""One configured source: asks its zones one after another, and keeps what it said. It must never let a failure change what is known."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from config.settings import LiveIntensity
from proxy.clock import Clock
from proxy.http_client import FetchError
from proxy.intensity import watttime
from proxy.intensity.backoff import is_refusal, is_too_many, next_publication_s, pause_s
from proxy.intensity.plausible import check
from proxy.intensity.reading import BadAnswer, Reading
from proxy.intensity.snapshot import Curve, merged
from proxy.intensity.sources import SOURCES
from proxy.policy.retry import rest_of

_log = logging.getLogger("grammage.intensity")
SPACING_S = 2.0
"""Between two questions to one source, which asks for that."""

LONGEST_SLEEP_S = 3600.0

Fetch = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[bytes]]
"""Asks (url, query parameters, headers) and returns the body. Raises FetchError."""


@dataclass(slots=True, kw_only=True)
class Line:
    """One thing that is asked for again and again. due_s: when next. problem: why the last time came to nothing, None where it did not."""

    zone: str
    page: str
    due_s: float = 0.0
    failures: int = 0
    problem: str | None = None


class Asker:
    """One source of the configuration and its curves, by zone. refused: readings that cannot be true, by reason."""

    def __init__(self, settings: LiveIntensity, fetch: Fetch, clock: Clock) -> None:
        self.settings = settings
        self._source = SOURCES[settings.kind]
        self._fetch = fetch
        self._clock = clock
        self._rests_until_s = 0.0
        self._session, self._session_ends_s = "", 0.0
        self.lines = tuple(Line(zone=zone, page=page) for page in self._source.PAGES for zone in settings.zones)
        self.refused: Counter[str] = Counter()
        self.failures: Counter[str] = Counter(dict.fromkeys(settings.zones, 0))
        source = self._source
        self.curves = {
            zone: Curve(source=settings.kind, zone=zone, kind=source.KIND, basis=source.BASIS, flow=source.FLOW) for zone in settings.zones
        }

    async def step(self) -> float:
        """Asks for what is due longest, if anything is; returns the seconds until there is more to do."""
        now_s = self._now_s()
        line = self._first()
        if max(line.due_s, self._rests_until_s) <= now_s:
            await self._ask(line)
        now_s, due_s = self._now_s(), max(self._first().due_s, self._rests_until_s)
        return min(max(due_s - now_s, SPACING_S), LONGEST_SLEEP_S)

    def _first(self) -> Line:
        return min(self.lines, key=lambda line: line.due_s)

    async def _ask(self, line: Line) -> None:
        try:
            readings = await self._told(line)
            self._take(line, readings)
        except (FetchError, BadAnswer) as error:
            self._failed(line, error)
            return
        if line.problem is not None:
            _log.info("intensity of %s from %s (%s) is told again", line.zone, self.settings.kind, line.page)
        line.failures, line.problem = 0, None
        every_s = max(self._source.PAGES[line.page], self.settings.interval_s or 0.0)
        line.due_s = next_publication_s(self._now_s(), every_s, self._name(line))

    async def _told(self, line: Line) -> tuple[Reading, ...]:
        base = (self.settings.url or self._source.BASE_URL).rstrip("/")
        token = await self._open_session(base) if self._source.NEEDS_SESSION else self.settings.token or ""
        page = self._source.page(line.page, line.zone, self._now_s(), token)
        return self._source.read(line.page, await self._fetch(base + page.path, page.query, page.headers), line.zone)

    async def _open_session(self, base: str) -> str:
        now_s = self._now_s()
        if now_s >= self._session_ends_s:
            page = watttime.sign_in(self.settings.user or "", self.settings.token or "")
            self._session = watttime.session_token(await self._fetch(base + page.path, page.query, page.headers))
            self._session_ends_s = now_s + watttime.SESSION_S
        return self._session

    def _take(self, line: Line, readings: tuple[Reading, ...]) -> None:
        """The curve with what can be true of the readings. Raises BadAnswer when that is nothing."""
        now_s, curve = self._now_s(), self.curves[line.zone]
        earliest_s = min((reading.at_s for reading in readings), default=now_s)
        checked = check(readings, self._source, now_s, curve.last_before(earliest_s))
        self.refused.update(checked.refused)
        if not checked.accepted:
            reasons = ", ".join(sorted(checked.refused)) or "no figure yet"
            raise BadAnswer(f"holds no reading that can be true ({reasons})")
        foretells = any(reading.state == "forecast" for reading in checked.accepted)
        told_s = now_s if foretells else curve.foretold_s
        self.curves[line.zone] = replace(curve, readings=merged(curve, checked.accepted, now_s), foretold_s=told_s)

    def _failed(self, line: Line, error: FetchError | BadAnswer) -> None:
        """Nothing is known anew; asked again later and later. Logged when it begins."""
        now_s = self._now_s()
        line.failures += 1
        self.failures[line.zone] += 1
        rest_s = rest_of(error.headers, self._clock.now()) if isinstance(error, FetchError) else None
        line.due_s = now_s + pause_s(line.failures, error, rest_s, self._name(line))
        if is_too_many(error):
            self._rests_until_s = line.due_s
        if is_refusal(error):
            self._session_ends_s = 0.0
        if line.problem is None:
            _log.warning("intensity of %s from %s (%s): it %s; what it said before stays", line.zone, self.settings.kind, line.page, error)
        line.problem = str(error)

    def _name(self, line: Line) -> str:
        return f"{self.settings.kind} {line.zone} {line.page}"

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1000
