"""Django: ``"recost.frameworks.django"`` in ``INSTALLED_APPS``, and settings of ``init()`` in a dict named ``RECOST``.

    RECOST = {"api_key": "rc-…", "project_id": "shop"}

``django.apps.apps.get_app_config("recost").handle`` is the handle.
"""
