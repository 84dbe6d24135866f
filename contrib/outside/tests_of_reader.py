"""The second implementation's test helpers, under a name that does not clash with other packages called `tests`."""

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).resolve().parent.parent / "reader" / "tests" / "writer.py"
_spec = importlib.util.spec_from_file_location("tests_of_reader.writer", _path)
writer = importlib.util.module_from_spec(_spec)
sys.modules["tests_of_reader.writer"] = writer
_spec.loader.exec_module(writer)
