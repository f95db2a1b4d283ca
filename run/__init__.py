"""One run, in Python: what the command line, notebooks and benchmarks all stand on."""
