"""What SageMaker demands of the role that a job acts as."""

from __future__ import annotations

import json

MANAGED_POLICY = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
TRUST_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
