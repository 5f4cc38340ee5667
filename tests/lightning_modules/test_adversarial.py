"""Training of a generator against a discriminator: what Lightning does of it equals a plain loop."""

import warnings
from collections.abc import Mapping
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from bench.callbacks import LearningRate
from lightning_modules.adversarial import AdversarialTraining
from lightning_modules.losses.adversarial import AdversarialLoss

STEPS, RATIO, BETAS = 6, 0.25, (0.0, 0.9)


def rate(step: int) -> float:
    """Return a learning rate that drops."""
    return 0.1 if step < 3 else 0.01


class Duel(AdversarialTraining):
    """Two linear maps; before step `judged_from` there is no discriminator."""

    discriminator_ratio = RATIO
    adam_betas = BETAS
    learning_rate = 0.1

    def __init__(self, updates: int = 1, judged_from: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maker, self.judge, self.fixed = nn.Linear(3, 3), nn.Linear(3, 1), nn.Linear(3, 3).requires_grad_(False)
        self.generator_updates = updates
        self.judged_from = judged_from
        self.objective = AdversarialLoss()

    def discriminators(self) -> Mapping[str, nn.Module]:
        return {"judge": self.judge}

    @property
    def judging(self) -> bool:
        return self.global_step >= self.judged_from

    def generate(self, batch: Tensor) -> Tensor:
        made: Tensor = self.maker(batch)
        return made

    def discriminator_loss(self, batch: Tensor, made: Tensor) -> dict[str, Tensor]:
        if not self.judging:
            return {}
        real, fake = self.objective.discriminator(self.judge(batch), self.judge(made.detach()))
        return {"loss": real + fake, "real": real}

    def generator_loss(self, batch: Tensor, made: Tensor) -> dict[str, Tensor]:
        distance = (self.fixed(made) - batch).abs().mean()
        fooled = self.objective.generator(self.judge(made)) if self.judging else made.new_zeros(())
        return {"loss": fooled + 10 * distance, "distance": distance}


def batches() -> Tensor:
    return torch.randn(STEPS, 4, 3, generator=torch.Generator().manual_seed(1))


def fit(duel: Duel, **settings: Any) -> pl.Trainer:
    """Train for as many steps as there are batches."""
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        trainer.fit(duel, DataLoader(TensorDataset(batches()), batch_size=None, collate_fn=lambda item: item[0]))
    return trainer


def loop(duel: Duel) -> None:
    """Train by a plain loop, the two networks in turn."""
    maker = torch.optim.Adam(duel.maker.parameters(), betas=BETAS)
    judge = torch.optim.Adam(duel.judge.parameters(), betas=BETAS)
    cross_entropy = nn.BCEWithLogitsLoss()
    one, none = torch.ones(4, 1), torch.zeros(4, 1)
    for step, batch in enumerate(batches()):
        maker.param_groups[0]["lr"], judge.param_groups[0]["lr"] = rate(step), RATIO * rate(step)
        judging = step >= duel.judged_from
        if judging:
            judge.zero_grad()
            wrong = cross_entropy(duel.judge(batch), one) + cross_entropy(duel.judge(duel.maker(batch).detach()), none)
            wrong.backward()
            judge.step()
        for _ in range(duel.generator_updates):
            maker.zero_grad()
            made = duel.maker(batch)
            loss = 10 * (duel.fixed(made) - batch).abs().mean()
            if judging:
                loss = loss + cross_entropy(duel.judge(made), one)
            loss.backward()
            maker.step()


@pytest.mark.parametrize(("updates", "judged_from"), [(1, 0), (2, 0), (1, 2)])
def test_it_is_a_plain_loop(updates: int, judged_from: int) -> None:
    trained, expected = Duel(updates, judged_from), Duel(updates, judged_from)
    trainer = fit(trained, callbacks=[LearningRate(rate)])
    loop(expected)
    assert trainer.global_step == STEPS
    assert set(trainer.logged_metrics) == {
        "train/loss",
        "train/distance",
        "train/discriminator_loss",
        "train/discriminator_real",
    }
    for name, parameter in trained.named_parameters():
        torch.testing.assert_close(parameter, expected.get_parameter(name), rtol=1e-5, atol=1e-6)
    assert all(each.requires_grad for each in trained.judge.parameters())


def test_a_loss_of_either_side_that_is_no_number_is_told() -> None:
    duel = Duel()
    found: list[float] = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            found.append(float(outputs["loss"]))

    duel.judge.weight.data.fill_(float("nan"))
    fit(duel, callbacks=[Look()])
    assert found
    assert not torch.tensor(found).isfinite().any()


def test_looking_at_the_loss_changes_nothing() -> None:
    duel = Duel().eval()
    before = {key: value.clone() for key, value in duel.state_dict().items()}
    parts = duel.generator_loss(batches()[0], duel.generate(batches()[0]))
    assert parts["loss"].isfinite()
    assert all(torch.equal(value, before[key]) for key, value in duel.state_dict().items())
