"""python -m graphwriter"""

from __future__ import annotations

from graphwriter.cli import main

main(prog_name="graphwriter")
