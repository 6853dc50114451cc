"""What a model consists of, and the inference code that travels within it.

::

    model.safetensors              the weights of every network, and what a mask compares with
    model.json                     what they are, where they come from, what they take and give
    resolved_preset.json           the settings of their training
    code/serve.py                  our own image's server
    code/inference.py              handlers of SageMaker's PyTorch inference toolkit
    code/requirements.txt          what AWS's image may lack
    code/batchrl/... code/presets/...
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchrl.contract.errors import InputError

DESCRIPTION_NAME = "model.json"
WEIGHTS_NAME = "model.safetensors"
# The name of the folder is the toolkit's.
CODE_FOLDER = "code"
SERVER = "serve.py"
HANDLERS = "inference.py"
REQUIREMENTS = "requirements.txt"
ONNX_SUFFIX = ".onnx"
PACKAGES: Mapping[str, tuple[str, ...]] = {"batchrl": (".py",), "presets": (".py", ".yaml")}


@dataclass(frozen=True)
class InferenceCode:
    """Scripts and library.

    Args:
        scripts: folder of the scripts.
        packages: folder of each import package.
    """

    scripts: Path
    packages: Mapping[str, Path]

    @classmethod
    def below(cls, folder: Path) -> InferenceCode:
        """Code whose parts lie beside each other."""
        return cls(folder, {name: folder / name for name in PACKAGES})

    @classmethod
    def own(cls) -> InferenceCode:
        """The code that this process runs with."""
        library = Path(__file__).parents[1]
        spec = importlib.util.find_spec("presets")
        found = Path(spec.origin).parent if spec is not None and spec.origin is not None else library.parent / "presets"
        return cls(library.parent, {"batchrl": library, "presets": found})

    @property
    def has_server(self) -> bool:
        """Whether the archive holds a server of its own."""
        return (self.scripts / SERVER).is_file()

    def files(self) -> dict[str, Path]:
        """All files by their paths in a model's code, sorted."""
        found = {name: path for name in (SERVER, HANDLERS) if (path := self.scripts / name).is_file()}
        for package, suffixes in PACKAGES.items():
            folder = self.packages[package]
            for path in folder.rglob("*"):
                if path.suffix in suffixes and path.is_file():
                    found[f"{package}/{path.relative_to(folder).as_posix()}"] = path
        return dict(sorted(found.items()))

    def same_as(self, other: InferenceCode) -> bool:
        """Whether all files are the same, to the byte."""
        ours, theirs = self.files(), other.files()
        return ours.keys() == theirs.keys() and all(
            ours[name].read_bytes() == theirs[name].read_bytes() for name in ours
        )


def refuse_onnx(name: str) -> None:
    """Refuse a file where a model is wanted, whose name says that it is for other programs.

    Raises:
        InputError: it is.
    """
    if name.lower().endswith(ONNX_SUFFIX):
        raise InputError(
            f"{name} is an ONNX file: batchrl writes these and does not read them.",
            "Give what it was exported from: a training job's name, its checkpoints or its model.tar.gz.",
        )


def digest(contents: Mapping[str, bytes]) -> str:
    """The sha256 of files by their names: of lines ``<sha256>  <name>``, as sha256sum writes them, sorted by name."""
    lines = (f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
