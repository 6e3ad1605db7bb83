"""Puts this folder on the import path, so that specs may name ``toys:Toy`` like any importable component."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
