"""Where the steps of a run are executed: in its process, in several, by Celery workers, in Kubernetes pods.

Steps in other processes share nothing but what is stored: the warehouse, ``RALLY_HOME`` (archive, inbox, published
files) and Dagster's storage must be the same for all of them; the pools `warehouse_writer` and `upstream_fetch` hold
across processes because Dagster's storage keeps them. Belongs here: the choice. Does not belong here: where a whole run
is launched, which is the instance's business (`instance.py`, `docs/deployment.md`).
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import dagster as dg

from rally_pipeline.errors import UsageError
from rally_pipeline.settings import Executor, Settings

if TYPE_CHECKING:
    from celery import Celery

#: Redis gives a task to a second worker if the first did not take it up for so long; a backfill may last.
_VISIBILITY_SECONDS = 12 * 3600
#: A run of Celery steps whose worker is gone waits for ever: the daemon ends it after so long.
MAX_RUNTIME_SECONDS = 6 * 3600


def executor_for(settings: Settings) -> dg.ExecutorDefinition:
    """The executor that the settings ask for; only that one's library is imported.

    Raises:
        UsageError: its library is not installed.
    """
    match settings.executor:
        case Executor.IN_PROCESS:
            # Steps are short and the warehouse has one writer: starting a process for each would cost more than it
            # gives.
            return dg.in_process_executor
        case Executor.MULTIPROCESS:
            return dg.multiprocess_executor
        case Executor.CELERY:
            _need("dagster_celery", settings, "celery")
            return _celery_executor(settings)
        case Executor.K8S:
            _need("dagster_k8s", settings, "kubernetes")
            from dagster_k8s import k8s_job_executor

            return k8s_job_executor


def run_tags_for(settings: Settings) -> dict[str, str]:
    """Tags of every run: how long it may take, where nobody else would notice that a step's process is gone."""
    return {"dagster/max_runtime": str(MAX_RUNTIME_SECONDS)} if settings.executor is Executor.CELERY else {}


def celery_app(settings: Settings) -> Celery:
    """The Celery application that executes steps, at the broker of the settings.

    Raises:
        UsageError: there is no broker, or Celery is not installed.
    """
    _need("dagster_celery", settings, "celery")
    from dagster_celery import make_app
    from dagster_celery.tasks import create_execute_job_task, create_resume_job_task, create_task

    untyped: Any = make_app
    app: Celery = untyped.make_app(_celery(settings).app_args())
    for create in (create_task, create_execute_job_task, create_resume_job_task):
        create(app)
    return app


def _celery_executor(settings: Settings) -> dg.ExecutorDefinition:
    # Dagster's own takes the URLs as config, which ends up in its storage: these stay in the environment.
    @dg.executor(
        name="celery",
        config_schema={},
        requirements=dg.multiple_process_executor_requirements(),
    )
    def executor(_context: dg.InitExecutorContext) -> Any:
        return _celery(settings)

    return executor


def _celery(settings: Settings) -> Any:
    from dagster._core.execution.retries import RetryMode
    from dagster_celery import defaults
    from dagster_celery.executor import CeleryExecutor

    broker, backend = settings.celery_urls
    if broker is None:
        raise UsageError("Celery workers need a broker. Fix: set RALLY_CELERY_BROKER_URL, e.g. redis://HOST:6379/0.")
    options = {**defaults.broker_transport_options, "visibility_timeout": _VISIBILITY_SECONDS}
    source = {
        "broker_transport_options": options,
        "result_backend_transport_options": options,
        # Results are the events of a step, which Dagster has stored by then.
        "result_expires": 24 * 3600,
        "broker_connection_retry_on_startup": True,
    }
    untyped: Any = CeleryExecutor
    return untyped(RetryMode.ENABLED, broker=broker, backend=backend, config_source=source)


def _need(module: str, settings: Settings, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UsageError(
            f"RALLY_EXECUTOR={settings.executor.value} needs {module.replace('_', '-')}, which is not installed. "
            f"Fix: install rally-pipeline[{extra}], or unset RALLY_EXECUTOR."
        )
