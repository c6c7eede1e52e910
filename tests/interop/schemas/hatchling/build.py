"""Stands in for the build backend of what requirements.txt names: says what that is called, and builds nothing.

pip asks the backend for the name of whatever it downloads as source. The real one would be some more packages, at no pinned versions.
"""

from pathlib import Path


def prepare_metadata_for_build_wheel(directory, config_settings=None):
    about = Path(directory, "jsonschema.dist-info")
    about.mkdir()
    (about / "METADATA").write_bytes(Path("PKG-INFO").read_bytes())
    return about.name
