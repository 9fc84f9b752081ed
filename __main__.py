"""``python -m triport``: the same as the ``triport`` command."""

from .cli import main

if __name__ == "__main__":
    main()
