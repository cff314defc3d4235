"""GAUDA dropped into somebody else's LightningModule by a callback, on phantom scenes.

Run it with `python examples/gauda_lightning.py`, after `pip install "lightning>=2.6.6"`; it takes under a
minute on a processor. Lightning's checkpoints hold the callback's state, so a resumed training goes on with
the same synthetic batch.
"""

from __future__ import annotations

from typing import Any

import lightning
import torch
from phantom_pairs import ask, draw, held_out, images, masks, never_shown, table
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from rarescene.augmentation import Gauda, GaudaConfig
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.segmenters import UNetEnsembleConfig, build_segmenter


class SomebodysModule(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.segmenter = build_segmenter(UNetEnsembleConfig(members=3, widths=(8, 16, 32)), len(table))

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return self.segmenter.loss(*batch)

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("right", (self.segmenter.predict(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


class GaudaCallback(lightning.Callback):
    def __init__(self, gauda: Gauda) -> None:
        self.gauda, self.state_dict, self.load_state_dict = gauda, gauda.state_dict, gauda.load_state_dict

    def on_train_batch_start(self, trainer: Any, module: Any, batch: list[Tensor], index: int) -> None:
        seeds = [derive_seed(trainer.global_step, place) for place in range(len(batch[0]))]
        mixed = self.gauda.mix(Batch(*batch, seeds))
        batch[0].copy_(mixed.images)
        batch[1].copy_(mixed.masks)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        decided = self.gauda.refresh(module.segmenter, [held_out])
        print(f"step {trainer.global_step}: drew {decided['drawn']} of {', '.join(decided['classes'])}")


training = DataLoader(TensorDataset(images, masks), batch_size=12, shuffle=True)
validation = DataLoader(TensorDataset(held_out.images, held_out.masks), batch_size=16)
callback = GaudaCallback(Gauda(GaudaConfig(size=8, exclude=never_shown), table, ask, draw))
trainer = lightning.Trainer(
    accelerator="cpu", max_epochs=3, callbacks=[callback], logger=False, num_sanity_val_steps=0
)
trainer.fit(SomebodysModule(), training, validation)
