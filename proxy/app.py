"""Builds the house: which rooms there are, which path leads where, what is opened at start and closed at the end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from config.providers import Door
from config.settings import Settings
from config.tables import Tables
from proxy.alternative.iterations import Counts
from proxy.alternative.made import Way
from proxy.alternative.worth import ways_from, worth_from
from proxy.auth import Doorkeeper
from proxy.budgets.furnish import Furnisher
from proxy.call import Caller
from proxy.clock import Clock
from proxy.consult import policies_from
from proxy.erasing import Eraser
from proxy.front import Front
from proxy.http_client import close_session, fetch, open_session, tls_context
from proxy.intensity.keeper import Keeper
from proxy.keys.desk import Desk
from proxy.keys.keyring import Keyring
from proxy.keys.limits import LIMIT_HEADERS, Limiter
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.roller import Roller
from proxy.ledger.spool import Spool, spool_path
from proxy.ledger.store import Store
from proxy.ledger.weighing_store import RulesInForce
from proxy.ledger.writer import LedgerWriter
from proxy.log import CallLog, LineWriter, set_level
from proxy.meters.board import Board
from proxy.metrics import Metrics
from proxy.objects.origins import Origins
from proxy.observe.receive import receiver_from
from proxy.own.opening import host_of, own_weight
from proxy.policy.candidates import SIMULATED_PATTERN, Candidates, candidates_from, unmatched_candidate, unmatched_foreign
from proxy.policy.latency import Latencies
from proxy.policy.policies import Policies
from proxy.readiness import Readiness
from proxy.replicas.breakers import SharedBreakers
from proxy.replicas.mark import config_mark
from proxy.reuse.opening import reuse_store
from proxy.reuse.room import Reuse
from proxy.rooms import Rooms
from proxy.secret import hashing_secret
from proxy.shadow import Shadows, shadow_scales
from proxy.simulate.door import SimulatedUpstream
from proxy.simulate.socket_door import SimulatedSockets
from proxy.tag import OUR_HEADERS
from proxy.tracing.opening import open_tracer
from proxy.tracing.tracer import Tracer
from proxy.upstream.base import Upstream
from proxy.upstream.litellm_door import LiteLLMUpstream
from proxy.upstream.socket import SocketDoor
from proxy.upstream.wire import WireUpstream
from proxy.upstream.wire_socket import WireSockets
from proxy.web import Deployed, WebRooms, create_web
from proxy.weigh import Scales, WeighingRules

if TYPE_CHECKING:
    from proxy.crew.seat import Seat  # loaded where several workers serve

_log = logging.getLogger("grammage.app")
MIB = 1024 * 1024
EXPOSED_HEADERS = (*OUR_HEADERS, "x-request-id", "request-id", "retry-after", "retry-after-ms", *LIMIT_HEADERS)


NEED_A_RESTART = ("ledger", "tags", "admin", "tracing")


def over_reload(before: Settings, after: Settings) -> Settings:
    """The settings after a reload: those that need a restart stay as they were."""
    kept = {name: getattr(before, name) for name in NEED_A_RESTART}
    server = after.server.model_copy(update={name: getattr(before.server, name) for name in ("listen", "base_path", "workers")})
    return after.model_copy(update={**kept, "server": server})


class App:
    """The whole proxy as one ASGI application. `start` and `stop` frame its life on one event loop."""

    def __init__(
        self, settings: Settings, tables: Tables, *, clock: Clock, version: str, log_writer: LineWriter, seat: "Seat | None" = None
    ) -> None:
        """seat: its place among several workers on one address, None where it is alone."""
        self._seat = seat
        self._settings = settings
        self._tables = tables
        self._clock = clock
        self._version = version
        self._log_writer = log_writer
        self._store = Store(settings.ledger.url)
        self._metrics = (Metrics if seat is None else seat.metrics)(settings, tables, version=version, built_in_aliases=_built_in(settings))
        self.draining: Callable[[], bool] = lambda: False
        self.readiness: Readiness
        self._rooms: Rooms
        self._front: ASGIApp
        self._admin: ASGIApp
        self._writer: LedgerWriter
        self._meters: Board | None = None
        self._intensity: Keeper | None = None
        self._waits_for_litellm = False
        self._keyring = Keyring(self._store.keys())
        self._limiter = Limiter(settings.redis)
        self._reuse: Reuse | None = None
        self._furnisher = Furnisher(settings.redis, self._store.budgets(), tables, clock)
        self._closing: set[asyncio.Task[None]] = set()
        self._origins = Origins()
        self._latencies = Latencies()
        self._counts = Counts(self._store.iterations().made, clock.perf, shared=settings.redis is not None or seat is not None)
        self._policies: Policies | None = None
        self._tracer: Tracer | None = None
        self._breakers = SharedBreakers(settings.redis, clock)

    async def start(self) -> None:
        """Opens the ledger, the client session and the doors. Raises StartError."""
        self._tracer = await asyncio.to_thread(open_tracer, self._settings.tracing, self._version)
        self._store.upgrade()
        ledger = self._settings.ledger
        spool = Spool(spool_path(self._store.path), int(ledger.spool_reserve_mb * MIB))
        self._writer = LedgerWriter(
            self._store,
            spool,
            durability=ledger.durability,
            queue_calls=ledger.queue_calls,
            on_failure=ledger.on_failure,
            clock=self._clock,
            kept=None if self._seat is None else self._seat.kept(self._metrics),
        )
        tls = tls_context()
        self._session = open_session(tls)
        self._writer.start()
        every_s = ledger.rollup_every_s if self._seat is None or self._seat.is_first else None
        self._roller = Roller(ledger.url, every_s, ledger.retention.calls, self._clock)
        self._roller.start()
        self._own = own_weight(self._settings, self._tables, self._store.own(), self._clock)
        self._shadows = Shadows(self._writer)
        self._shadows.start()
        self._expose()
        self._litellm = LiteLLMUpstream()
        self.readiness = Readiness(
            ledger=self._writer,
            draining=lambda: self.draining(),
            loads=lambda: self._waits_for_litellm and self._litellm.is_loading,
            lacks=lambda: self._litellm.is_missing,
            reload_failed=lambda: not self._metrics.reload_ok,
        )
        self._wire = WireUpstream(self._session, tls)
        self._doors: dict[Door, Upstream] = {
            "wire": self._wire,
            "litellm": self._litellm,
            "simulated": SimulatedUpstream(clock=self._clock),
        }
        self._wire_sockets = WireSockets(self._session)
        self._socket_doors: dict[Door, SocketDoor] = {
            "wire": self._wire_sockets,
            "simulated": SimulatedSockets(clock=self._clock),
        }
        await self._keyring.start()
        if self._seat is not None and self._settings.redis is None:
            self._seat.refuse_limits(holder.caller for holder in self._keyring.holders.values())
        if self._settings.auth_mode == "keys" and not self._settings.keys and not self._keyring.holders:
            _log.warning("nobody may call yet: `auth: keys` is set and there is no key; `grammage keys create NAME` makes one")
        if self._settings.redis is not None and self._settings.user_hash_secret is None and self._store.path is None:
            _log.warning("user_hash_secret is not set: replicas that make one each take the same caller for different ones; set it")
        self._enter(self._settings, ways_from(self._settings))
        await asyncio.gather(*self._closing)
        if self._rooms.budgets is not None:
            await self._rooms.budgets.open()
        self._waits_for_litellm = self._litellm.is_loading

    def _expose(self) -> None:
        """What rooms hold is told to whoever reads metrics."""
        self._metrics.watch_ledger(self._writer)
        self._metrics.watch_shadows(self._shadows)
        self._metrics.watch_reuse(lambda: None if self._reuse is None else self._reuse.size_bytes())
        self._metrics.watch_log(self._log_writer)
        if self._tracer is not None:
            self._metrics.watch_tracing(self._tracer)
        self._metrics.watch_own(self._own.sums)
        self._metrics.watch_budgets(lambda: self._rooms.budgets)
        self._metrics.watch_intensity(lambda: self._intensity)
        self._metrics.watch_breakers(lambda: self._rooms.breakers.passings(self._clock.perf()))

    async def stop(self) -> None:
        """Flushes the ledger and closes what start opened."""
        if self._meters is not None:
            await self._meters.close()
        if self._intensity is not None:
            await self._intensity.close()
        await asyncio.gather(*self._closing)
        await self._keyring.close()
        await self._limiter.close()
        await self._furnisher.close()
        await self._breakers.close()
        if self._reuse is not None:
            await self._reuse.close()
        await self._litellm.close()
        await self._shadows.close()
        await asyncio.to_thread(self._roller.close)
        await asyncio.to_thread(self._own.close)
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)
        await self._writer.close()
        await self._wire.close()
        await self._wire_sockets.close()
        await close_session(self._session)
        self._store.close()

    def reload(self, settings: Settings, ways: Mapping[str, Way]) -> None:
        """Takes over new settings for the calls to come; those under way keep theirs. Address, ledger and metric labels need a restart.

        ways: the alternatives of the settings, their files read: that takes too long for the event loop.
        """
        self._enter(over_reload(self._settings, settings), ways)
        self._own.move(host_of(settings, self._tables.places))
        set_level(settings.log.level)
        if changed := [name for name in NEED_A_RESTART if getattr(settings, name) != getattr(self._settings, name)]:
            _log.warning("%s: what the configuration says there now is taken over at the next start", ", ".join(changed))

    @property
    def metrics(self) -> Metrics:
        """What is exposed to Prometheus."""
        return self._metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._front(scope, receive, send)

    def _enter(self, settings: Settings, ways: Mapping[str, Way]) -> None:
        intensity = self._keeper(settings)
        rooms = self._build(settings, intensity, ways)
        if rooms.candidates.need_translation(tuple(settings.translate)):
            self._litellm.need()
        front: ASGIApp = Front(rooms, create_web(self._web_rooms(rooms)), self._beside(rooms))
        origins = settings.server.cors.origins
        if origins:
            front = CORSMiddleware(front, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED_HEADERS)
        admin = create_web(self._web_rooms(rooms), trusted=True)
        self._change_meters(rooms.meters)
        self._change_intensity(intensity)
        self._rooms, self._front, self._admin = rooms, front, admin
        self._in_background(asyncio.to_thread(self._keep_rules, _rules_in_force(settings, self._clock.now_ms())))
        self._admin = create_web(self._web_rooms(rooms), trusted=True)

    def _beside(self, rooms: Rooms) -> dict[str, ASGIApp]:
        """What is served beside the calls and our own API, by path."""
        receiver = receiver_from(rooms, self._store.crossings(), lambda: bool(self._keyring.holders), self._metrics.observe_spans)
        return {} if receiver is None else {receiver.path: receiver}

    def _change_meters(self, meters: Board | None) -> None:
        """The new meters begin, the old ones end; a reload begins their accounts anew."""
        old, self._meters = self._meters, meters
        if meters is not None:
            meters.start()
        if old is not None:
            self._close_in_background(old)

    def _keeper(self, settings: Settings) -> Keeper | None:
        """The live sources of the settings; sources that stay keep what they know, and are not asked anew for it."""
        sources = settings.intensity.sources
        return Keeper(sources, partial(fetch, self._session), self._clock, self._intensity) if sources else None

    def _change_intensity(self, intensity: Keeper | None) -> None:
        old, self._intensity = self._intensity, intensity
        if old is not None:
            old.cancel()
            self._close_in_background(old)
        if intensity is not None:
            intensity.start()

    def _keep_rules(self, rules: RulesInForce) -> None:
        """Lets the ledger know by what its calls are weighed from now on, where that is new."""
        try:
            self._store.weighing().keep(rules)
        except LedgerUnavailable as error:
            _log.warning("the ledger could not be told the rules of weighing, a reweigh will take those before them: %s", error)

    def _close_in_background(self, room: Board | Keeper | Reuse) -> None:
        self._in_background(room.close())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _reused(self, settings: Settings, secret: bytes) -> Reuse | None:
        """The room of answers that are kept; the same one over reloads, None while no policy has any use for it."""
        if not any(policy.mode == "enforce" and policy.apply.reuse is not None for policy in settings.policies):
            if self._reuse is not None:
                self._close_in_background(self._reuse)
            self._reuse = None
        elif self._reuse is None:
            store = reuse_store(self._settings.redis, self._clock)
            self._reuse = Reuse(secret, store, now_ms=self._clock.now_ms, count=self._metrics.observe_reuse)
        return self._reuse

    def _board(self, candidates: Candidates) -> Board | None:
        rows = (*candidates.exact.values(), *(row for _, row in candidates.patterns))
        metered = [candidate for row in rows for candidate in row if candidate.meter is not None]
        return Board(metered, partial(fetch, self._session), self._clock) if metered else None

    def _build(self, settings: Settings, intensity: Keeper | None, ways: Mapping[str, Way]) -> Rooms:
        candidates = candidates_from(settings, self._tables.places)
        rules = _weighing_rules(settings)
        scales = Scales(self._tables, rules)
        secret = hashing_secret(settings, self._store.path)
        self._metrics.describe_config(config_mark(settings, secret))
        policies = self._policies = policies_from(settings, self._tables, candidates, scales, self._policies)
        return Rooms(
            settings=settings,
            tables=self._tables,
            clock=self._clock,
            doorkeeper=Doorkeeper(settings, secret, self._keyring, self._clock.now_ms),
            candidates=candidates,
            unmatched=unmatched_candidate(settings, candidates, self._tables.places),
            unmatched_foreign=unmatched_foreign(settings, candidates, self._tables.places),
            scales=scales,
            reuse=self._reused(settings, secret),
            policies=policies,
            latencies=self._latencies if policies is not None and policies.times else None,
            budgets=self._furnisher.budgets(settings),
            worth=worth_from(settings, ways, self._tables, self._counts),
            doors=self._doors,
            socket_doors=self._socket_doors,
            recorder=self._writer,
            observer=self._metrics,
            call_log=CallLog(self._log_writer),
            metadata_tags=tuple(settings.metadata_tags),
            meters=self._board(candidates),
            intensity=intensity,
            shadows=self._shadows,
            archive=self._store,
            origins=self._origins,
            limiter=self._limiter,
            tracer=self._tracer,
            breakers=self._breakers.furnish(settings, candidates),
            shadow_scales=shadow_scales(settings.weighing.shadow, self._tables, rules),
        )

    async def admin(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Our own API for `admin.listen`, where whoever can reach it may read all figures; as the newest settings have it."""
        await self._admin(scope, receive, send)

    def _web_rooms(self, rooms: Rooms) -> WebRooms:
        return WebRooms(
            render_metrics=self._metrics.render,
            find_call=self._store.find,
            authorise=_authoriser(rooms),
            unready=self._unready,
            noted=self.readiness.noted,
            deployed=_deployed(rooms.candidates),
            usual_output_tokens=rooms.scales.usual_output_tokens,
            tables=self._tables,
            settings=rooms.settings,
            version=self._version,
            desk=Desk(self._store.keys(), self._clock.now_ms, [key.name for key in rooms.settings.keys]),
            assets=self._store.assets(),
            eraser=self._eraser(rooms.settings),
            keys_changed=self._keys_changed,
            keys_are_issued=lambda: bool(self._keyring.holders),
            now_ms=self._clock.now_ms,
        )

    def _eraser(self, settings: Settings) -> Eraser:
        secret = hashing_secret(settings, self._store.path)
        return Eraser(settings.ledger.url, secret, lambda: self._reuse, self._origins, self._clock)

    async def look_at_keys(self) -> None:
        """Reads the issued keys anew where they have changed."""
        await self._keyring.refresh()

    async def _keys_changed(self) -> None:
        await self._keyring.refresh()
        if self._seat is not None:
            self._seat.tell_keys_changed()

    def _unready(self) -> tuple[str, ...]:
        """Why calls should go elsewhere; of several workers, none is ready before all are."""
        reasons = self.unready_alone()
        return reasons if reasons or self._seat is None or self._seat.is_crew_ready() else ("workers_not_ready",)

    def write_down(self) -> None:
        """Lets other workers know the state of this one."""
        if self._seat is not None:
            self._seat.write_down(self._metrics)

    def unready_alone(self) -> tuple[str, ...]:
        """Why this process should get no calls now, whatever others say."""
        return self.readiness.unready()


def _weighing_rules(settings: Settings) -> WeighingRules:
    weighing = settings.weighing
    return WeighingRules(operating_prior=weighing.operating_prior, profile=weighing.profile, methods=tuple(weighing.methods))


def _rules_in_force(settings: Settings, since_ms: int) -> RulesInForce:
    weighing = settings.weighing
    methods = tuple(weighing.methods)
    return RulesInForce(since_ms=since_ms, operating_prior=weighing.operating_prior, profile=weighing.profile, methods=methods)


def _built_in(settings: Settings) -> Iterable[str]:
    return () if settings.models or settings.upstream else (SIMULATED_PATTERN,)


def _authoriser(rooms: Rooms) -> Callable[[Any], Caller]:
    return lambda scope: rooms.doorkeeper.identify(scope["headers"])


def _deployed(candidates: Candidates) -> Callable[[str], Deployed | None]:
    def first(alias: str) -> Deployed | None:
        row = candidates.of(alias)
        if not row:
            return None
        return Deployed(row[0].weigh_as or row[0].model or alias, row[0].place, row[0].hardware, row[0].operating_prior)

    return first
