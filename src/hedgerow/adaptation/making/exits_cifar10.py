"""The step "exits_cifar10" of `make adapt`: a residual network trained on CIFAR-10, with exits."""

from hedgerow.adaptation.exits.cifar import make

__all__ = ["make"]
