"""botocore without the code that writes documentation: each import of a client would read it, and nobody asks for it.

A client's methods get texts that are made only when `help()` is called; what makes them is half of what importing a
client reads. In the layer these texts are empty.
"""

import re
from pathlib import Path

from .errors import BuildError

_KNOWN = ("ClientMethodDocstring", "PaginatorDocstring", "WaiterDocstring")
_EMPTY = '''"""In a layer nobody asks for help(): the texts of methods are empty."""


class LazyLoadedDocstring(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        super().__init__()
'''


def leave_out_docs(packages: Path) -> None:
    """Take the documentation out of botocore in the folder ``packages``; what else uses its modules keeps them.

    Raises:
        BuildError: botocore is not as it is known here.
    """
    docs = packages / "botocore" / "docs"
    source = (docs / "docstring.py").read_text()
    found = tuple(sorted(re.findall(r"^class (\w+)\(LazyLoadedDocstring\)", source, re.MULTILINE)))
    names = re.search(r"^DEPRECATED_SERVICE_NAMES = .+$", (docs / "__init__.py").read_text(), re.MULTILINE)
    if found != _KNOWN or names is None:
        raise BuildError(f"botocore/docs is not as {Path(__file__).name} knows it; its docstring.py has {found}")
    classes = (f"\n\nclass {name}(LazyLoadedDocstring):\n    pass\n" for name in found)
    (docs / "docstring.py").write_text(_EMPTY + "".join(classes))
    (docs / "__init__.py").write_text(f"{names[0]}\n")  # boto3 asks for it; the rest of it imports everything
