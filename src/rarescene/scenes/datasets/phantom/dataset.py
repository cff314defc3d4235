"""Phantom scenes as a data set: drawn when asked for, or read from a folder.

| written | opened |
| --- | --- |
| `phantom:videos=12,frames=80,size=64,seed=0` | drawn on demand; each may be left out |
| `phantom:frames=20,height=64,width=96` | the same where frames are not square |
| `phantom:videos=60,frames=8,first=101` | other videos, video101 to video160 |
| `phantom:videos=12,classes=sisvse` | gastrectomies with the 32 classes of SISVSE |
| `phantom:/data/phantom` | what `rarescene phantom` wrote, whatever the layout |
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import expanded
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes.datasets.open import list_scenes, refuse_option
from rarescene.scenes.datasets.phantom.config import LICENCE, PhantomConfig
from rarescene.scenes.datasets.phantom.render import render
from rarescene.scenes.datasets.phantom.schedule import plan
from rarescene.scenes.datasets.sisvse import FOLDS, MASKS
from rarescene.scenes.faults import Listing
from rarescene.scenes.scene import Scene, SceneRecord, SceneSet
from rarescene.scenes.store import MANIFEST


def phantom_scenes(config: PhantomConfig) -> SceneSet:
    """Return the phantom scenes of a configuration.

    Groups are "video01", "video02", …, scenes "video01_frame_00000", …; of a gastrectomy they have the names
    that SISVSE gives, and three folds. A scene is a pure function of the configuration and its place, so the
    reader may be called from any thread, in any order.
    """
    areas, operation = plan(config).area, config.operation
    records = tuple(
        SceneRecord(
            name=_scene_name(config, group, frame),
            group=group,
            order=frame,
            details={"phantom": True, "video": video, "place": place, "seed": config.seed}
            | _folds(config, video),
        )
        for place, video in enumerate(config.numbers)
        for group in [group_name(config, video)]
        for frame in range(config.frames)
    )

    def read(record: SceneRecord) -> Scene:
        video = int(record.details["video"])
        planned = areas[int(record.details["place"]) * config.frames + record.order]
        image, mask = render(
            operation, config.seed, video, record.order, planned, (config.height, config.width)
        )
        return Scene(image, mask, record)

    return SceneSet("phantom", operation.table, records, read, LICENCE)


def group_name(config: PhantomConfig, video: int) -> str:
    """Return the name of a video, numbered from 1: video01, or as a case of SISVSE, R001."""
    if config.classes == "sisvse":
        return f"R{video + 1:03d}"
    return f"video{video + 1:0{max(2, len(str(config.numbers.stop)))}d}"


def _scene_name(config: PhantomConfig, group: str, frame: int) -> str:
    """Return the name of a scene; that of SISVSE says case, channel, part of the video, and the time."""
    if config.classes != "sisvse":
        return f"{group}_frame_{frame:05d}"
    seconds, rest = divmod(frame, 30)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{group}_ch1_video_00_{hours:02d}-{minutes:02d}-{seconds % 60:02d}-{rest:02d}"


def _folds(config: PhantomConfig, video: int) -> dict[str, dict[str, str]]:
    """Return where a video lies in three folds, as in SISVSE: a quarter of the cases is tested on in each."""
    if config.classes != "sisvse":
        return {}
    return {"folds": {str(fold): "val" if video % 4 == fold - 1 else "train" for fold in FOLDS}}


def list_phantom(path: str, **options: str) -> Listing:
    """List phantom scenes: those of the options where there is no path, else those that lie in the folder.

    Raises:
        ConfigError: an option that is none, or that does not go with a folder.
    """
    if not path:
        return Listing(_drawn(options))
    if "=" in path:
        refuse_option(path.partition("=")[0], PHANTOM)
    if options:
        what = f"{', '.join(options)}: phantom scenes in a folder take no options"
        raise ConfigError(what, "Give either the folder, or options of scenes that are drawn on demand.")
    root = expanded(path)
    if (root / MANIFEST).is_file():
        layout = "set"
    elif (root / MASKS).is_dir():
        layout = "sisvse"
    else:
        layout = "folder" if (root / "images").is_dir() else "cholecseg8k"
    return list_scenes(f"{layout}:{path}")


def _drawn(options: dict[str, str]) -> SceneSet:
    """Return phantom scenes that are drawn on demand; their name says all that they depend on."""
    given: dict[str, Any] = {"videos": 12, "frames": 80, "size": 64, "seed": 0}
    for name, text in options.items():
        try:
            given[name] = text if name == "classes" else int(text)
        except ValueError:
            remedy = "Write for instance phantom:videos=12,frames=80,size=64,seed=0,classes=sisvse."
            raise ConfigError(f"'{name}={text}' is no number of a phantom data set", remedy) from None
    size = given.pop("size")
    config = PhantomConfig(**{"height": size, "width": size} | given)
    made = f"{config.videos},frames={config.frames},height={config.height},width={config.width}"
    kind = "" if config.classes == "cholecseg8k" else f",classes={config.classes}"
    kind += "" if config.first == 1 else f",first={config.first}"
    return replace(phantom_scenes(config), name=f"phantom:videos={made},seed={config.seed}{kind}")


PHANTOM = DatasetMethod(
    name="phantom",
    summary="phantom scenes, drawn on demand or written by rarescene phantom",
    example="rarescene check phantom:videos=12,frames=80,size=64,seed=0",
    list=list_phantom,
    options=("videos", "frames", "size", "height", "width", "seed", "classes", "first"),
    folder=False,
)
