"""What a Celery worker opens: ``dagster-celery worker start -A rally_pipeline.orchestration.celery_app``.

Holds nothing but the call that makes the application, under the settings of the environment, so that no URL with a
password need stand in a file.
"""

from __future__ import annotations

from rally_pipeline.orchestration.executors import celery_app
from rally_pipeline.settings import load_settings

app = celery_app(load_settings())
