"""Is activity more similar after a longer shared prefix, in text and in random tokens?

    python analyses/05_synergy_prefix.py

Writes results/synergy_prefix/ at full size. With options (those of `clada-neuro synergy prefix`) it is a trial that
writes to out/synergy_prefix instead. What is finished is kept in out/, so the same command goes on where it stopped.
"""

import sys

from _shared.results import results_folder

from clada_neuro.cli.main import main

FULL = ["--out", str(results_folder(__file__)), "--work", "out/synergy_prefix/work"]

if __name__ == "__main__":
    sys.argv[1:] = ["synergy", "prefix", *(sys.argv[1:] or FULL)]
    main()
