"""Twenty labelled ImageNet photographs and the thousand class names, taken out of packages that carry them as data."""

import csv
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from hedgerow.errors import PeerError, UsageError
from hedgerow.models.fetch.packages import Parcel, obtain
from hedgerow.models.home import holds, write_whole

INDEX_FILE = "labels.csv"  # columns: file, label (ImageNet-1k class index)

PHOTOGRAPHS = Parcel(
    "foolbox",
    "3.3.4",
    {
        "foolbox/data/imagenet_00_243.jpg": "28b7b933c8028c6e20bf74a86a709eda42ce99f14c8742cb657cb386f08a4c9d",
        "foolbox/data/imagenet_01_559.jpg": "5f03b0c74dff01b5b4195d0beabcae2a625a406e6917957ab9c455b5b7dea6d6",
        "foolbox/data/imagenet_02_438.jpg": "ccef0734c1a65549c6cb5adb0f5d9b1c0b2e2104aba50a9e5f9202dc6d4532ed",
        "foolbox/data/imagenet_03_990.jpg": "c7f0b2f1e9ee39d8f900759e8983afa2e4a2d7de090060e8bb947f6e90cace5f",
        "foolbox/data/imagenet_04_949.jpg": "a7f62f3c1d214de4718c7253871ab38209283249e131faf65b8f2b7fdc970669",
        "foolbox/data/imagenet_05_853.jpg": "8a449436c61da867528b1f4efaf8ae832ab9c9201705eae0d3af1353fbdac131",
        "foolbox/data/imagenet_06_609.jpg": "fb061102a4e58b3ed942bb2a4f9542e1e1acdc8f225ef95498e93889290e192f",
        "foolbox/data/imagenet_07_609.jpg": "2c297ad1e5c4804a647e9b34bc02ee2fc348b05a4d49050d170fb61c948efa5c",
        "foolbox/data/imagenet_08_915.jpg": "c6a3411a3987799f0de45adc142f00ca412c3e14073c635e2adfae1f3913180c",
        "foolbox/data/imagenet_09_455.jpg": "ace3716b60ac5843269b270e17020e4f8138440cd30ef3487f7d6e54da9745a4",
        "foolbox/data/imagenet_10_541.jpg": "f325c71d9f4290ee45e99bd7ad42f4bffe513b1450ad21e7bd61c7cb137395d9",
        "foolbox/data/imagenet_11_630.jpg": "892dff58fc528fe63d2df0c783aa3eca2342637798578ce01763fbc0553eda01",
        "foolbox/data/imagenet_12_741.jpg": "6c256e17545b25bbf2e06cf6513ff48d049583569515ac4d4c3a52aea804a529",
        "foolbox/data/imagenet_13_471.jpg": "52ed0e738b90d27afcabc3e92c81ae637f160c2d9f75b93a65211005ab5dcd81",
        "foolbox/data/imagenet_14_129.jpg": "ad9371d813bf24b0365ee2f78f28c08718ee7c5975f060caa16c3f264e828139",
        "foolbox/data/imagenet_15_99.jpg": "4b588649cd835d4c65521727ebee03d9621baff1f54d3e8a53a26b53d983ec2e",
        "foolbox/data/imagenet_16_251.jpg": "ce3440a3b7beb6ca3009817504c44d39fa789e7c2f70a2eef7e2f9cc9a87b129",
        "foolbox/data/imagenet_17_22.jpg": "b432341845620e9cfd67d848c4783c32dd6eaddad45513866b17180d2b09fcf5",
        "foolbox/data/imagenet_18_317.jpg": "b9412f92f0b1c3faede45b55a44940977daa744f2040118d0538cf597fca785d",
        "foolbox/data/imagenet_19_305.jpg": "e1f58f00e2e47ce930d7ecab0e46a78316054f68c10d0742e87c1cc092324556",
    },
    licence="MIT (package); photographs from ImageNet, for evaluation",
)

_SYNSETS = "timm/data/_info/imagenet_synsets.txt"  # WordNet id of each class, in class order
_LEMMAS = "timm/data/_info/imagenet_synset_to_lemma.txt"  # WordNet id, tab, names
CLASS_NAMES = Parcel(
    "timm",
    "1.0.15",
    {
        _SYNSETS: "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15",
        _LEMMAS: "1b8babda187421a4bde0c9c5a197c36f6bdda962f7ca11ffb2813806cbb2178f",
    },
    licence="Apache-2.0 (package); WordNet 3.0 names",
)
CLASS_NAMES_SHA256 = (
    "4eb3da435cf544e4a6f390f62c84cb9c9bb68cf8b14e97f8a063452382e5efd2"  # of the label file made from them
)


def fetch_photographs(directory: Path, *, force: bool = False) -> Path:
    """Put the photographs and their index (INDEX_FILE, written last) into `directory`; return the index's path."""
    index = directory / INDEX_FILE
    digests = {PurePosixPath(member).name: digest for member, digest in PHOTOGRAPHS.members.items()}
    table = _index_text(digests).encode()
    wanted = {name: (directory / name, digest) for name, digest in digests.items()}
    whole = all(holds(path, digest) for path, digest in wanted.values())
    if not force and whole and holds(index, hashlib.sha256(table).hexdigest()):
        return index
    for member, data in obtain(PHOTOGRAPHS).items():
        write_whole(directory / PurePosixPath(member).name, data)
    write_whole(index, table)
    return index


def fetch_class_names(path: Path, *, force: bool = False) -> Path:
    """Write the thousand class names to `path`, one a line in class order; return it."""
    if force or not holds(path, CLASS_NAMES_SHA256):
        data = class_names_text(obtain(CLASS_NAMES)).encode()
        if hashlib.sha256(data).hexdigest() != CLASS_NAMES_SHA256:
            raise PeerError(f"the class names of {CLASS_NAMES.requirement} are not the expected ones; not used")
        write_whole(path, data)
    return path


def class_names_text(members: Mapping[str, bytes]) -> str:
    """One line per class, in class order, from the two lists of CLASS_NAMES."""
    lines = members[_LEMMAS].decode().splitlines()
    names = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return "".join(f"{names[synset]}\n" for synset in members[_SYNSETS].decode().split())


def read_index(index: Path) -> list[tuple[Path, int]]:
    """(picture, class index) of each row of an index file with the columns file, label; UsageError when malformed."""
    try:
        rows = list(csv.DictReader(index.read_text(encoding="utf-8").splitlines()))
        return [(index.parent / row["file"], int(row["label"])) for row in rows]
    except OSError as error:
        raise UsageError(f"cannot read {index}: {error.strerror or error}") from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise UsageError(f"{index} is not a table with the columns file,label ({error})") from error


def _index_text(names: Mapping[str, str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "label"))
    writer.writerows((name, int(PurePosixPath(name).stem.rsplit("_", 1)[1])) for name in sorted(names))
    return text.getvalue()
