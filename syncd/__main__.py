"""`python -m syncd`: the command line, for where the `syncd` script is not on the path."""

from syncd.cli import main

if __name__ == "__main__":
    main()
