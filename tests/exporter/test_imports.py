from __future__ import annotations

import subprocess
import sys
from typing import Final

_EACH_FIRST: Final = """
import importlib, pkgutil, sys
import mobilecv.quantisation as package
names = [each.name for each in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
assert len(names) > 15
for name in names:
    for known in [each for each in sys.modules if each.partition(".")[0] == "mobilecv"]:
        del sys.modules[known]
    importlib.import_module(name)
"""


def test_every_module_of_quantisation_can_be_the_first_one_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _EACH_FIRST], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
