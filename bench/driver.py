# SPDX-License-Identifier: Apache-2.0
"""bench/run, which is a program, as a module for those that measure in the same way."""
import importlib.machinery
import importlib.util
import os


def _load():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")
    loader = importlib.machinery.SourceFileLoader("bench_run", path)
    spec = importlib.util.spec_from_loader("bench_run", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


run = _load()
