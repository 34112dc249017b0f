"""A help desk that calls five API providers, sync and async, through requests, urllib3, httpx, httpx2, aiohttp
and the SDKs of OpenAI and Anthropic.

``app`` serves it (any WSGI server), ``calls`` is what it calls, ``providers`` where the providers are.
``scripts/demo`` runs it under Gunicorn against the stand-ins of ``examples.standins``.
"""
