"""The bench: what is fast, what is cheap, and beside what, measured in one run on one machine.

figure      what a figure is: rows, goals, a chart; its JSON
processes   CPU and wall time of whole processes, the measured ones in turn
peers       other people's tools, each in an environment of its own, pinned
chart       the drawing of one figure, in an environment of its own
page        docs/benchmarks.md from all figures
FIGURES     the modules that measure, in the order of the page; `python -m tests.bench NAME` runs one

Figures are never asserted: machines differ and are noisy. A goal that was missed is written down as missed.
"""

FIGURES = ("cold_start", "alarm_to_contained", "calls", "storm", "drain", "sweep", "cost")
