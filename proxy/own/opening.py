"""Opens the room: where the proxy's own machine stands by the configuration, and what weighs it. It must never guess a place."""

from dataclasses import replace

from config.places import Places
from config.ranges import Range
from config.settings import Settings
from config.tables import Tables
from estimators.own import OwnHost
from proxy.clock import Clock
from proxy.own.gauge import Gauge
from proxy.own.weight import Keeps, OwnWeight


def host_of(settings: Settings, places: Places) -> OwnHost:
    """The host: a named zone or region, else the provider's default or the world, with a range as wide."""
    told = settings.server.host
    place = places.resolve(told.provider, region=told.region, zone=settings.server.zone)
    if told.pue is not None:
        place = replace(place, pue=Range(told.pue, told.pue, told.pue))
    return OwnHost(place=place, w_per_core=told.watts_per_core, reserved_cores=told.reserved_cores)


def own_weight(settings: Settings, tables: Tables, keeper: Keeps, clock: Clock) -> OwnWeight:
    """What weighs this process, begun."""
    own = OwnWeight(
        Gauge(clock),
        keeper,
        host_of(settings, tables.places),
        tables.factors,
        profile=settings.weighing.profile,
        every_s=settings.server.host.sample_s,
        clock=clock,
    )
    own.start()
    return own
