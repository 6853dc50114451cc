"""The keys of a job in its bucket: one layout, local and in the cloud (contract A8, A9, A13).

::

    s3://<bucket>/<prefix>/<job>/output/model.tar.gz        contents of /opt/ml/model
                                 output/output.tar.gz       contents of /opt/ml/output/data
                                 output/intermediate/...    synced while the job runs
                                 checkpoints/...            synced while the job runs, both ways
    s3://<bucket>/<prefix>/source/<sha256>/sourcedir.tar.gz
    s3://<bucket>/<prefix>/datasets/<sha256>/...
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from batchrl.contract.errors import InputError, shortened
from batchrl.contract.paths import CODE_ARCHIVE_NAME, MODEL_ARCHIVE_NAME, OUTPUT_ARCHIVE_NAME

CHECKPOINT_PATTERN = "epoch_{epoch:04d}.pt"
LATEST_NAME = "latest.json"
BEST_NAME = "best.json"
# What a text begins with that means an S3 URL and no path.
S3_SCHEME = "s3://"
DATASETS = "datasets"
SOURCE = "source"
# Bucket and key of a file that was uploaded by its content, up to what its user calls it.
_DATASET = re.compile(rf"(?:{S3_SCHEME})?[\w.-]+/(?:[^\s/]+/)*?{DATASETS}/[0-9a-f]{{64}}/")


@dataclass(frozen=True)
class S3Url:
    """A bucket and a key (or key prefix) in it.

    Args:
        bucket: name of the bucket.
        key: key without a leading slash; may be empty.
    """

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, url: str) -> S3Url:
        """Read ``s3://bucket/key``.

        Raises:
            InputError: the text is no such URL.
        """
        scheme, separator, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not separator or not bucket:
            raise InputError(f"'{shortened(url)}' is not an S3 URL.", "Write s3://bucket/key.")
        return cls(bucket, key)

    @classmethod
    def parse_place(cls, url: str) -> S3Url:
        """Read ``s3://bucket/prefix`` as a place that files are written below; existing keys may be odder than that.

        Raises:
            InputError: the text is no such URL, or a part of its prefix is empty.
        """
        place = cls.parse(url)
        if "//" in f"/{place.key}":
            raise InputError(
                f"'{shortened(url)}' has an empty part between two slashes.", "Write s3://bucket/prefix/prefix."
            )
        return place

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"

    def __truediv__(self, part: str) -> S3Url:
        """The URL one level down; ``part`` may hold slashes of its own."""
        base = self.key.rstrip("/")
        return S3Url(self.bucket, f"{base}/{part}" if base else part)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class JobLayout:
    """Where one job's results lie.

    Args:
        output_path: the request's ``S3OutputPath``.
        job_name: name of the job.
    """

    output_path: S3Url
    job_name: str

    @property
    def job(self) -> S3Url:
        """Prefix of everything that the job writes."""
        return self.output_path / self.job_name

    @property
    def output(self) -> S3Url:
        """Prefix of its archives and intermediate files."""
        return self.job / "output"

    @property
    def model_archive(self) -> S3Url:
        """The archive of ``/opt/ml/model``."""
        return self.output / MODEL_ARCHIVE_NAME

    @property
    def output_archive(self) -> S3Url:
        """The archive of ``/opt/ml/output/data``."""
        return self.output / OUTPUT_ARCHIVE_NAME

    @property
    def intermediate(self) -> S3Url:
        """Prefix of what is synced while the job runs."""
        return self.output / "intermediate"

    @property
    def checkpoints(self) -> S3Url:
        """Prefix of the checkpoints, unless the job names another."""
        return self.job / "checkpoints"


@dataclass(frozen=True)
class BucketLayout:
    """Where content that several jobs share lies, named by its sha256.

    Args:
        base: bucket and prefix that hold everything of ours.
    """

    base: S3Url

    def source_archive(self, sha256: str) -> S3Url:
        """The code archive of a content."""
        return self.base / SOURCE / sha256 / CODE_ARCHIVE_NAME

    def dataset(self, sha256: str) -> S3Url:
        """Prefix of a data set of a content."""
        return self.base / DATASETS / sha256


def without_dataset(text: str) -> str:
    """A text for people: files that were uploaded by their content have their users' names, not those of objects."""
    return _DATASET.sub("", text)
