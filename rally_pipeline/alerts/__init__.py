"""Alerts: what is wrong now, who is told of it, once, and when it is over.

``problems.py`` says what is wrong now; ``book.py`` what of it has been told (table ``ops_alert``); ``delivery.py``
tells it to the targets of ``targets.py``; ``evaluate.py`` does one after the other. Belongs here: that. Does not belong
here: when it is done (`orchestration/alert_sensor.py`), or mending anything.
"""
