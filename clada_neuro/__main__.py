"""``python -m clada_neuro`` is the command line."""

from clada_neuro.cli.main import main

if __name__ == "__main__":
    main()
