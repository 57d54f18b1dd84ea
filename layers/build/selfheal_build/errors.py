"""What a build can fail with."""


class BuildError(Exception):
    """A build step that cannot go on; the message says what to do about it."""


class InstallFailed(BuildError):
    """Neither uv nor pip could install a file of requirements."""


class CompiledExtension(BuildError):
    """A layer holds machine code, so one artefact would no longer serve both architectures."""


class UnknownService(BuildError):
    """A service named for the layer is not one that botocore knows."""


class MissingRoot(BuildError):
    """botocore's bundle of certificates lacks a root that AWS's endpoints are signed by."""


class OverBudget(BuildError):
    """A layer weighs more than it may."""


class BytecodeFailed(BuildError):
    """The target's interpreter refuses a source that is about to be deployed."""
