"""The descriptor pool of Hedgerow's messages, apart from protobuf's default one, where others use the same names."""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
