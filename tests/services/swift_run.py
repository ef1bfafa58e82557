"""Runs the four servers of one small Swift, imported once.

python -m services.swift_run FOLDER account=PORT container=PORT object=PORT
"""

import importlib
import os
import signal
import sys
from pathlib import Path

from services.tie import tie

PARTS = {
    "account": "swift.account.server",
    "container": "swift.container.server",
    "object": "swift.obj.server",
    "proxy": "swift.proxy.server",
}


def serve(part: str, settings: Path) -> None:
    """Become one of the servers, gone when the parent is."""
    tie(signal.SIGKILL)
    sys.argv = [part, str(settings)]
    importlib.import_module(PARTS[part]).main()


def draw(ring: str, port: int, folder: Path) -> None:
    """Write the map that tells a ring's names where they lie: one disk, one copy."""
    from swift.common.ring import RingBuilder  # type: ignore[import-untyped]

    where = {"ip": "127.0.0.1", "port": port, "device": "disk"}
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1, **where})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{ring}.ring.gz"))


def main(folder: Path, *rings: str) -> None:
    """Fork the servers; end when one of them does, and they with us."""
    for module in PARTS.values():
        importlib.import_module(module)
    for ring, _, port in (ring.partition("=") for ring in rings):
        draw(ring, int(port), folder)
    for part in PARTS:
        if os.fork() == 0:
            serve(part, folder / f"{part}.conf")
    os.wait()
    sys.exit("a server of Swift has ended")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
