"""The public names: listed, sorted, there; one version in both packages."""

from __future__ import annotations

import ergon_cli
import ergon_runtime


def test_public_names_are_sorted_and_there() -> None:
    names = ergon_runtime.__all__
    assert list(names) == sorted(names)
    assert [name for name in names if not hasattr(ergon_runtime, name)] == []


def test_version_is_the_same_in_both_packages() -> None:
    assert ergon_runtime.__version__ == ergon_cli.__version__
