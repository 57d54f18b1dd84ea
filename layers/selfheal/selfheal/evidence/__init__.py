"""Evidence: what AWS knows now about a target and may not know any more after the next step. One source a file.

A source is a function without arguments that answers `Found`, or raises a selfheal error that says why it can't. All
of them run side by side (`gathering`), none longer than the whole; what is missing is named with its reason.
"""
