"""``scripts/demo``: the whole path at work, from a captured call in any worker to a line in a file, and the proof.

``__main__`` tells the story; ``place`` is where it happens, ``server`` Gunicorn, ``load`` who visits the pages,
``accounts`` what was called against what was delivered.
"""
