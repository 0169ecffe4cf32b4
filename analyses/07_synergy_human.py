"""Do activity and its product with surprisal explain human N400 and P600 amplitudes beyond surprisal?

    python analyses/07_synergy_human.py

Writes results/synergy_human/ at full size. With options (those of `clada-neuro synergy human`) it is a trial that
writes to out/synergy_human instead. What is finished is kept in out/, so the same command goes on where it stopped.
"""

import sys

from _shared.results import results_folder

from clada_neuro.cli.main import main

FULL = ["--out", str(results_folder(__file__)), "--work", "out/synergy_human/work"]

if __name__ == "__main__":
    sys.argv[1:] = ["synergy", "human", *(sys.argv[1:] or FULL)]
    main()
