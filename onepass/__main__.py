"""Entry point of `python -m onepass`."""

from .command_line import main

raise SystemExit(main())
