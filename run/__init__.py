"""One run, in Python: what the command line, notebooks and benchmarks all stand on."""

from ..plugins import load_plugins

load_plugins()  # before anything is made of the registries
