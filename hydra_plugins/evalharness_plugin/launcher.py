"""Launcher ``pooled``: all jobs of a multirun become one pool in one run folder.

Hydra accepts launchers only from the ``hydra_plugins`` namespace. Ours composes each job's
configuration as Hydra's own launchers do and hands the whole list to
:mod:`evalharness.cli.compose`, so that ``-m params.temperature=0,0.7 params.seed=1,2`` interleaves
its four settings like any sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


@dataclass
class PooledLauncherConf:
    """Hydra configuration of the launcher; it has no options."""

    _target_: str = "hydra_plugins.evalharness_plugin.launcher.PooledLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="pooled", node=PooledLauncherConf)


class PooledLauncher(Launcher):
    """Collects the jobs of a multirun and runs them as one."""

    def __init__(self) -> None:
        self._context: HydraContext | None = None
        self._config: DictConfig | None = None
        self._task: TaskFunction | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what :meth:`launch` needs."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run all jobs as one pool; every job returns the same run's objective."""
        from evalharness.cli.hydra_main import run_configs

        assert self._context is not None
        assert self._config is not None
        jobs: list[DictConfig] = []
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            job = self._context.config_loader.load_sweep_config(self._config, list(overrides))
            with open_dict(job):
                job.hydra.job.id = job.hydra.job.num = number
            jobs.append(job)
        HydraConfig.instance().set_config(jobs[0])
        value: Any = run_configs(jobs)
        return [
            JobReturn(
                overrides=list(overrides), cfg=job, status=JobStatus.COMPLETED, _return_value=value
            )
            for overrides, job in zip(job_overrides, jobs, strict=True)
        ]
