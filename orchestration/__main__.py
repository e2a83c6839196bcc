"""`python -m orchestration` is `journey-gaps`."""

from orchestration.cli import main

if __name__ == "__main__":
    main()
