"""The laptop's stand-in for an AWS account: ministack with the mends of :mod:`local.emulator.mends`."""
