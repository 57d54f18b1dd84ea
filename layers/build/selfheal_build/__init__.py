"""Builds what is deployed: the environment, the three layers and the function folders.

Nothing in this package is deployed. :mod:`selfheal_build.environment` and what it imports use the standard
library only, since they run before there is an environment.
"""
