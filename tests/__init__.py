"""The suite. A package, so that support code is ``tests.harness`` to pytest, mypy and spawned children alike."""
