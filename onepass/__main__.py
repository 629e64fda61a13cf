"""Entry point of `python -m onepass`."""

from .report import main

raise SystemExit(main())
