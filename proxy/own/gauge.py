"""Reads what this process uses: processor time, memory, energy where the system shows it. It must never fail for want of one."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from estimators.own import OwnUse
from proxy.clock import Clock

_log = logging.getLogger("grammage.own")
POWERCAP: Final = Path("/sys/class/powercap")
BYTES_PER_GB: Final = 1e9
J_PER_UJ: Final = 1e-6
_BUSY: Final = (0, 1, 2, 5, 6)
"""Of the first line of /proc/stat: user, nice, system, irq, softirq. Idle, waiting and stolen time are nobody's work here."""


@dataclass(frozen=True, slots=True)
class _Reading:
    cpu_s: float
    wall_s: float
    memory_gb: float
    host_busy_s: float | None
    packages_uj: dict[Path, int]


class Gauge:
    """What this process used between two looks. Belongs to one thread. The first look reaches back to the start of the process's time.

    proc, powercap: where Linux shows processes and energy counters (RAPL); elsewhere memory is 0 and power is modelled.
    """

    def __init__(self, clock: Clock, *, proc: Path = Path("/proc"), powercap: Path = POWERCAP) -> None:
        self._clock = clock
        self._proc = proc
        self._powercap = powercap
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._packages = self._find_packages()
        self._last = _Reading(0.0, clock.perf() - clock.process_cpu(), 0.0, None, {})

    @property
    def is_measuring(self) -> bool:
        """Whether the host's energy counters can be read."""
        return bool(self._packages)

    def look(self) -> OwnUse:
        """What was used since the last look; memory is taken to have been held all that time."""
        now, last = self._read(), self._last
        self._last = now
        cpu_s, wall_s = max(now.cpu_s - last.cpu_s, 0.0), max(now.wall_s - last.wall_s, 0.0)
        use = OwnUse(cpu_s=cpu_s, wall_s=wall_s, memory_gb_s=now.memory_gb * wall_s)
        package_j = self._share_j(last, now, cpu_s)
        if package_j is None:
            return use
        return OwnUse(
            cpu_s=use.cpu_s,
            wall_s=use.wall_s,
            memory_gb_s=use.memory_gb_s,
            measured_cpu_s=use.cpu_s,
            measured_wall_s=use.wall_s,
            measured_memory_gb_s=use.memory_gb_s,
            package_j=package_j,
        )

    def _read(self) -> _Reading:
        return _Reading(self._clock.process_cpu(), self._clock.perf(), self._memory_gb(), self._host_busy_s(), self._energies())

    def _memory_gb(self) -> float:
        try:
            pages = int((self._proc / "self/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):  # no Linux
            return 0.0
        return pages * self._page_bytes / BYTES_PER_GB

    def _host_busy_s(self) -> float | None:
        try:
            ticks = (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:]
            return sum(int(ticks[at]) for at in _BUSY) * self._tick_s
        except (OSError, IndexError, ValueError):  # as above
            return None

    def _find_packages(self) -> dict[Path, int]:
        """Counters of whole processors (`intel-rapl:0`, not their parts `intel-rapl:0:0`), each with the value at which it begins anew."""
        found: dict[Path, int] = {}
        for folder in sorted(self._powercap.glob("*-rapl:*")) if self._powercap.is_dir() else ():
            if folder.name.count(":") != 1:
                continue
            try:
                int((folder / "energy_uj").read_text())
                found[folder / "energy_uj"] = int((folder / "max_energy_range_uj").read_text())
            except (OSError, ValueError) as error:
                _log.info("the energy counter %s cannot be read, the proxy's own power is modelled: %s", folder.name, error)
                return {}
        return found

    def _energies(self) -> dict[Path, int]:
        """The counters of now; none where one of them fails: a part would pass for the whole."""
        found: dict[Path, int] = {}
        for file in self._packages:
            try:
                found[file] = int(file.read_text())
            except (OSError, ValueError):  # gone or forbidden since: this time is modelled
                return {}
        return found

    def _share_j(self, last: _Reading, now: _Reading, cpu_s: float) -> float | None:
        """Share of the processors' energy, by its share of their busy time: what runs bears what idles. None: not measured."""
        if not self._packages or now.host_busy_s is None or last.host_busy_s is None:
            return None
        if not (now.packages_uj and last.packages_uj):
            return None
        used_uj = sum(
            uj - last.packages_uj[file] if uj >= last.packages_uj[file] else uj + self._packages[file] - last.packages_uj[file]
            for file, uj in now.packages_uj.items()
        )
        busy_s = max(now.host_busy_s - last.host_busy_s, cpu_s)
        return used_uj * J_PER_UJ * cpu_s / busy_s if busy_s > 0 else 0.0
