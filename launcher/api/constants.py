"""What client and local cloud both know of SageMaker: names and limits, each in this one place."""

from __future__ import annotations

# Kinds of what runs; a name is unique within its kind.
TRAINING = "training"
TRANSFORM = "transform"
ENDPOINT = "endpoint"
PROCESSING = "processing"
TUNING = "tuning"

# The metric of train.py that holds the score by which a training chose its epoch.
SCORE = "score"

# Log groups of each kind (contract 117, 177); an endpoint has one of its own.
TRAINING_GROUP = "/aws/sagemaker/TrainingJobs"
TRANSFORM_GROUP = "/aws/sagemaker/TransformJobs"
PROCESSING_GROUP = "/aws/sagemaker/ProcessingJobs"
ENDPOINT_GROUPS = "/aws/sagemaker/Endpoints/"

# What a transform's output is called beside its input (contract 147).
OUTPUT_SUFFIX = ".out"

# Bytes of a model's environment (contract 194), and of one request to an endpoint (contract 182).
MAX_MODEL_ENVIRONMENT_BYTES = 32 * 1024
MAX_INVOCATION_BYTES = 6_291_456

# Header of an answer: what of the request was taken and changes nothing on the local cloud.
WITHOUT_EFFECT = "x-batchrl-without-effect"

CSV = "text/csv"
JSON = "application/json"
JSON_LINES = "application/jsonlines"
