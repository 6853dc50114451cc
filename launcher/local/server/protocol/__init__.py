"""The wire protocol of the AWS API: requests and answers, errors, signatures, validation against botocore's model."""
