"""What the request of a job names in S3: the only places that the job's own key opens.

===============================================  ==========================================  ==============
the request names                                what is opened                              for
===============================================  ==========================================  ==============
a channel (S3Prefix)                             every key that begins so (contract 48)      reading
code as an S3 URL (sagemaker_submit_directory)   that object                                 reading
S3OutputPath of a training job                   the folder <S3OutputPath>/<job>/            both
sagemaker_s3_output                              the folder of this job's intermediate files both
CheckpointConfig.S3Uri                           that folder                                 both
an input of a processing job                     every key that begins so                    reading
an output of a processing job                    that folder                                 both
a model: ModelDataUrl, or data that is Gzip      that object                                 reading
a model: data that is a prefix                   every key that begins so                    reading
===============================================  ==========================================  ==============

Input and output of a transform job are the platform's business and not the model server's, so they are not opened.
An S3 URL among other hyperparameters or variables opens nothing: data comes in channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import S3_OUTPUT, SUBMIT_DIRECTORY, decode_value
from batchrl.contract.layout import S3_SCHEME, JobLayout, S3Url

# Where the SDK tells model servers' toolkits that their code lies.
SUBMIT_VARIABLE = "SAGEMAKER_SUBMIT_DIRECTORY"
GZIP = "Gzip"


@dataclass(frozen=True)
class Place:
    """One object, or all whose keys begin alike.

    Args:
        bucket: its bucket.
        key: the key, or what the keys begin with; a folder's ends with a slash, a whole bucket's is empty.
        exact: whether it is the one object with this key.
    """

    bucket: str
    key: str
    exact: bool = False

    @classmethod
    def folder(cls, url: S3Url) -> Place:
        """All below a URL: ``run1`` opens ``run1/x`` and not ``run10/x``."""
        return cls(url.bucket, f"{url.key.rstrip('/')}/" if url.key.strip("/") else "")

    def holds(self, bucket: str, key: str) -> bool:
        """Whether an object is in it."""
        return bucket == self.bucket and (key == self.key if self.exact else key.startswith(self.key))

    def lists(self, bucket: str, prefix: str) -> bool:
        """Whether everything that a list of this prefix can name is in it; one object alone has no list."""
        return bucket == self.bucket and not self.exact and prefix.startswith(self.key)


@dataclass(frozen=True)
class Places:
    """What a job may read, and what it may read and write."""

    reads: tuple[Place, ...] = ()
    writes: tuple[Place, ...] = ()


def training_places(name: str, request: Mapping[str, Any]) -> Places:
    """What a training job's request names.

    Args:
        name: the job's name.
        request: CreateTrainingJob, as it was checked.
    """
    reads, writes = [], [Place.folder(JobLayout(S3Url.parse(request["OutputDataConfig"]["S3OutputPath"]), name).job)]
    for channel in request.get("InputDataConfig") or ():
        reads += _urls([((channel.get("DataSource") or {}).get("S3DataSource") or {}).get("S3Uri")], exact=False)
    hyperparameters = request.get("HyperParameters") or {}
    reads += _urls([decode_value(hyperparameters.get(SUBMIT_DIRECTORY, ""))], exact=True)
    for url in _parsed([decode_value(hyperparameters.get(S3_OUTPUT, ""))]):
        writes.append(Place.folder(JobLayout(url, name).intermediate))
    for url in _parsed([(request.get("CheckpointConfig") or {}).get("S3Uri")]):
        writes.append(Place.folder(url))
    return Places(tuple(reads), tuple(writes))


def processing_places(request: Mapping[str, Any]) -> Places:
    """What a processing job's request names.

    Args:
        request: CreateProcessingJob, as it was checked.
    """
    reads = _urls(
        [(one.get("S3Input") or {}).get("S3Uri") for one in request.get("ProcessingInputs") or ()], exact=False
    )
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    writes = [Place.folder(url) for url in _parsed([(one.get("S3Output") or {}).get("S3Uri") for one in outputs])]
    return Places(tuple(reads), tuple(writes))


def serving_places(models: Iterable[Mapping[str, Any]]) -> Places:
    """What the models of a transform job or an endpoint name.

    Args:
        models: the CreateModel requests.
    """
    reads: list[Place] = []
    for model in models:
        container = model.get("PrimaryContainer") or {}
        source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
        reads += _urls([container.get("ModelDataUrl")], exact=True)
        reads += _urls([source.get("S3Uri")], exact=source.get("CompressionType") == GZIP)
        reads += _urls([(container.get("Environment") or {}).get(SUBMIT_VARIABLE)], exact=True)
    return Places(tuple(reads))


def serving_role(models: Iterable[Mapping[str, Any]]) -> str:
    """The role that model servers of one key act for; nothing, which is never one that may call, where it is not one.

    Args:
        models: the CreateModel requests; a model need not name a role.
    """
    roles = {str(model.get("ExecutionRoleArn") or "") for model in models}
    return roles.pop() if len(roles) == 1 else ""


def _urls(texts: Iterable[object], *, exact: bool) -> list[Place]:
    return [Place(url.bucket, url.key, exact) for url in _parsed(texts)]


def _parsed(texts: Iterable[object]) -> Iterator[S3Url]:
    for text in texts:
        if isinstance(text, str) and text.startswith(S3_SCHEME):
            try:
                yield S3Url.parse(text)
            except InputError:  # the job fails on it later, in words of its own; nothing is opened for it
                continue
