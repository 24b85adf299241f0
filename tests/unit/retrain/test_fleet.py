"""A hundred models registered together, one trainer of a minute a model: turns keep its queue short and fail nobody."""

from __future__ import annotations

from collections import Counter, deque

from schemas.training import TrainingCommand
from stream_app.core.kit.days import DAY_MS
from stream_app.core.retrain import RetrainRules
from stream_app.kafka.placement import partitions_for
from tests.machine.world import FLOORS
from tests.unit.retrain.bench import Bench, D, at, completeness, event, lifecycle, result, snapshot, tick

MINUTE_MS = 60_000
MODELS, PARTITIONS, DAYS = 100, 4, 45
RULES = RetrainRules(validation_floors=FLOORS, retrain_policies=("drift", "schedule"))


class Fleet:
    """Lanes of several partitions, and the one trainer and deployer that answer them all."""

    def __init__(self) -> None:
        self.benches = [Bench(RULES, partition=p) for p in range(PARTITIONS)]
        names = [f"conflict:tenant-{number}" for number in range(MODELS)]
        self.models = dict(zip(names, partitions_for([name.encode() for name in names], PARTITIONS), strict=True))
        self.active = dict.fromkeys(names, "v0")
        self.heard = [0] * PARTITIONS
        self.queue: deque[TrainingCommand] = deque()
        self.deploy: list[TrainingCommand] = []
        self.trained: Counter[str] = Counter()
        self.most = 0

    def tick(self, now: int) -> None:
        for bench in self.benches:
            bench.feed(tick(now))

    def take(self) -> bool:
        """Read new commands; whether there is work for the trainer, whose queue it is, or for the deployer."""
        found: list[TrainingCommand] = []
        for number, bench in enumerate(self.benches):
            sent = bench.of("training-commands")
            found += sent[self.heard[number] :]
            self.heard[number] = len(sent)
        self.queue.extend(c for c in found if c.command == "train")
        waiting = Counter(self.models[c.model] for c in self.queue)
        self.most = max([self.most, *waiting.values()])
        self.deploy += [c for c in found if c.command != "train"]
        return bool(self.queue or self.deploy)

    def minute(self, now: int) -> None:
        """A model is trained, and what was commanded to the deployer is done."""
        deploy, self.deploy = self.deploy, []
        for order in deploy:
            bench = self.benches[self.models[order.model]]
            version = str(order.candidate_version)
            bench.feed(result(order, "activated"), lifecycle(version, self.active[order.model], now, model=order.model))
            self.active[order.model] = version
        if self.queue:
            order = self.queue.popleft()
            self.trained[order.model] += 1
            name = f"v{self.trained[order.model]}"
            bench = self.benches[self.models[order.model]]
            bench.feed(result(order, "accepted"), result(order, "succeeded", candidate_version=name))
        self.tick(now)


def test_a_hundred_models_registered_together_are_trained_in_turns_and_none_fails() -> None:
    fleet = Fleet()
    for model, partition in fleet.models.items():
        fleet.benches[partition].feed(lifecycle("v0", None, at(D - 1), "observed", model))
    fleet.tick(at(D - 1))
    for day in range(D, D + DAYS):
        for model, partition in fleet.models.items():
            fleet.benches[partition].feed(
                completeness(day, model=model), snapshot(day - 1, model=model, version=fleet.active[model]),
                event("performance", day, "no_drift", model=model, version=fleet.active[model]),
            )  # fmt: skip
        now = at(day)
        fleet.tick(now)
        while fleet.take():  # until nothing is on its way: a day has enough minutes
            now += MINUTE_MS
            assert now < (day + 1) * DAY_MS
            fleet.minute(now)
    jobs = [job for bench in fleet.benches for job in bench.of("training-jobs")]
    assert {job.state for job in jobs} >= {"requested", "probation", "idle"}
    assert not [job for job in jobs if job.state in ("failed", "halted") or job.circuit == "open"]
    assert fleet.most <= RULES.retrain_at_once
    assert set(fleet.trained) == set(fleet.models), "every model had its turn"
    # a period of 20 days, the first less by 0 to 19: two or three in 45 days
    assert set(fleet.trained.values()) <= {2, 3}
