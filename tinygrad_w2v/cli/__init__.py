"""The command line: ``tinygrad-w2v`` once installed, or ``python -m tinygrad_w2v``.

Results go to standard output, messages and progress to standard error. docs/command-line.md tells
all.
"""

from .commands import main as main, parser as parser
