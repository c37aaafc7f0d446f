"""Runs the checks of some driver modules in this process: `python -m tests.clients.drivers.run MODULE... -- [CHECK...]`.

It must never run a check that was not asked for.
"""

import importlib
import sys

from tests.clients.drivers.checks import run

if __name__ == "__main__":
    cut = sys.argv.index("--")
    for module in sys.argv[1:cut]:
        importlib.import_module(f"tests.clients.drivers.{module}")
    run(sys.argv[cut + 1 :])
