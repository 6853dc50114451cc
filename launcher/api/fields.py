"""What the local cloud does with each field of a request that it accepts: one decision a field, none is ignored.

========  ==============================================================================================================
done      carried out
moot      recorded; there is nothing here that it could change, so nothing is missing
told      recorded and without effect; the answer, the job's first status message and our client say so
refused   not here: the request is refused with the field and what to do instead
========  ==============================================================================================================

A table names fields or whole parts of a request by their dotted path, items of lists without their index. A field that
no entry covers is refused; ``tests/launcher/api/test_fields.py`` holds the tables against botocore's model.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Kind(enum.Enum):
    """See the module."""

    DONE = "done"
    MOOT = "moot"
    TOLD = "told"
    REFUSED = "refused"


@dataclass(frozen=True)
class Decision:
    """What is done with a field.

    Args:
        kind: see the module.
        why: the reason (moot, told), or what to do instead (refused).
        switch: the member below it that has to be true for it to be asked for.
        off: the member below it that says, where it is true, that it is not.
    """

    kind: Kind
    why: str = ""
    switch: str | None = None
    off: str | None = None


Table = Mapping[str, Decision]


def _done(*paths: str) -> Table:
    return dict.fromkeys(paths, Decision(Kind.DONE))


def _moot(why: str, *paths: str) -> Table:
    return dict.fromkeys(paths, Decision(Kind.MOOT, why))


def _told(why: str, *paths: str) -> Table:
    return dict.fromkeys(paths, Decision(Kind.TOLD, why))


def _refused(instead: str, *paths: str) -> Table:
    return dict.fromkeys(paths, Decision(Kind.REFUSED, instead))


LEAVE_OUT = "leave it out"
ENCRYPTION = "nothing is encrypted at rest on this computer"
NETWORK = "there is no VPC on this computer"
REGISTRY = "this computer's engine pulls images with its own login"
EXPERIMENTS = "there are no experiments on this computer"
MACHINES = "there are no machines of AWS on this computer"
_CAPTURE = "nothing is captured here; let the caller keep what it sends and gets"

_TRAINING: Table = {
    **_done("TrainingJobName", "HyperParameters", "RoleArn", "Tags", "Environment", "CheckpointConfig"),
    **_done("AlgorithmSpecification.TrainingImage", "AlgorithmSpecification.TrainingInputMode"),
    **_done("AlgorithmSpecification.MetricDefinitions", "EnableNetworkIsolation"),
    **_done("AlgorithmSpecification.ContainerEntrypoint", "AlgorithmSpecification.ContainerArguments"),
    **_refused("give a TrainingImage alone", "AlgorithmSpecification.AlgorithmName"),
    **_told("metrics are kept with the job alone", "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries"),
    **_told(REGISTRY, "AlgorithmSpecification.TrainingImageConfig"),
    **_done("InputDataConfig.ChannelName", "InputDataConfig.ContentType", "InputDataConfig.InputMode"),
    **_done("InputDataConfig.CompressionType", "InputDataConfig.RecordWrapperType"),
    **_done("InputDataConfig.DataSource.S3DataSource.S3DataType", "InputDataConfig.DataSource.S3DataSource.S3Uri"),
    **_done("InputDataConfig.DataSource.S3DataSource.S3DataDistributionType"),
    **_refused("use S3DataType S3Prefix without it", "InputDataConfig.DataSource.S3DataSource.AttributeNames"),
    **_refused("give InstanceType and InstanceCount", "InputDataConfig.DataSource.S3DataSource.InstanceGroupNames"),
    **_refused(LEAVE_OUT, "InputDataConfig.DataSource.S3DataSource.ModelAccessConfig"),
    **_refused("put the model into the object store", "InputDataConfig.DataSource.S3DataSource.HubAccessConfig"),
    **_refused("put its data into the object store", "InputDataConfig.DataSource.FileSystemDataSource"),
    **_refused("put its data into the object store", "InputDataConfig.DataSource.DatasetSource"),
    **_moot("files of a folder have no order", "InputDataConfig.ShuffleConfig"),
    **_done("OutputDataConfig.S3OutputPath", "OutputDataConfig.CompressionType"),
    **_told(ENCRYPTION, "OutputDataConfig.KmsKeyId", "ResourceConfig.VolumeKmsKeyId"),
    **_done("ResourceConfig.InstanceType", "ResourceConfig.InstanceCount"),
    **_moot("a job has the disk of this computer", "ResourceConfig.VolumeSizeInGB"),
    **_told("every job here starts at once, none keeps a machine", "ResourceConfig.KeepAlivePeriodInSeconds"),
    **_refused("give InstanceType and InstanceCount alone", "ResourceConfig.InstanceGroups"),
    **_refused(LEAVE_OUT, "ResourceConfig.TrainingPlanArn", "ResourceConfig.InstancePlacementConfig"),
    **_refused("give InstanceType and InstanceCount", "ResourceConfig.InstancePreferences"),
    **_refused(LEAVE_OUT, "ResourceConfig.SelectedInstanceType", "ResourceConfig.SelectedInstanceCount"),
    **_told(NETWORK, "VpcConfig"),
    **_done("StoppingCondition.MaxRuntimeInSeconds"),
    **_moot("nothing is waited for here", "StoppingCondition.MaxWaitTimeInSeconds"),
    **_moot("nothing is waited for here", "StoppingCondition.MaxPendingTimeInSeconds"),
    **_moot("a job has one machine", "EnableInterContainerTrafficEncryption"),
    **_moot("no capacity is taken away here", "EnableManagedSpotTraining"),
    **_told("there is no Debugger on this computer", "DebugHookConfig"),
    **_refused("there is no Debugger on this computer; " + LEAVE_OUT, "DebugRuleConfigurations"),
    **_refused("let the script write below /opt/ml/output/intermediate, which is synced", "TensorBoardOutputConfig"),
    **_told(EXPERIMENTS, "ExperimentConfig"),
    "ProfilerConfig": Decision(Kind.TOLD, "there is no profiler on this computer", off="DisableProfiler"),
    **_told("there is no profiler on this computer", "ProfilerRuleConfigurations"),
    **_told("no fault of the platform's is retried here", "RetryStrategy"),
    **_refused("run it in the foreground: instance type local_debug", "RemoteDebugConfig"),
    **_told(MACHINES, "InfraCheckConfig"),
    **_told("tags of a session go nowhere here", "SessionChainingConfig"),
    **_refused("give a TrainingImage and ResourceConfig", "ServerlessJobConfig"),
    **_refused("let the script write to MLflow itself", "MlflowConfig"),
    **_refused("there are no model packages here; " + LEAVE_OUT, "ModelPackageConfig"),
}

_DEFINITION = "TrainingJobDefinition"
_HYPERBAND = "use Strategy Bayesian, Random or Grid"


def _of_definition() -> Table:
    """What a tuning job does with its training job definition: what is done with the same fields of a training job."""
    shared = ("AlgorithmSpecification", "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig")
    more = ("StoppingCondition", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "Environment")
    names = {*shared, *more, "EnableManagedSpotTraining", "CheckpointConfig", "RetryStrategy"}
    of_training_jobs_alone = {
        *("AlgorithmSpecification.ContainerEntrypoint", "AlgorithmSpecification.ContainerArguments"),
        *("AlgorithmSpecification.EnableSageMakerMetricsTimeSeries", "AlgorithmSpecification.TrainingImageConfig"),
    }
    return {
        f"{_DEFINITION}.{path}": decision
        for path, decision in _TRAINING.items()
        if path.partition(".")[0] in names and path not in of_training_jobs_alone
    }


_TUNING_CONFIG = "HyperParameterTuningJobConfig"
_INSTEAD = f"{_DEFINITION}.HyperParameterTuningResourceConfig"
_TUNING: Table = {
    **_done("HyperParameterTuningJobName", "WarmStartConfig", "Tags"),
    **_done(f"{_TUNING_CONFIG}.Strategy", f"{_TUNING_CONFIG}.HyperParameterTuningJobObjective"),
    **_done(f"{_TUNING_CONFIG}.ResourceLimits", f"{_TUNING_CONFIG}.TrainingJobEarlyStoppingType"),
    **_done(f"{_TUNING_CONFIG}.TuningJobCompletionCriteria", f"{_TUNING_CONFIG}.RandomSeed"),
    **_done(f"{_TUNING_CONFIG}.ParameterRanges.IntegerParameterRanges"),
    **_done(f"{_TUNING_CONFIG}.ParameterRanges.ContinuousParameterRanges"),
    **_done(f"{_TUNING_CONFIG}.ParameterRanges.CategoricalParameterRanges"),
    **_refused("give the range of each hyperparameter", f"{_TUNING_CONFIG}.ParameterRanges.AutoParameters"),
    **_refused(_HYPERBAND, f"{_TUNING_CONFIG}.StrategyConfig"),
    **_of_definition(),
    **_done(f"{_DEFINITION}.DefinitionName", f"{_DEFINITION}.StaticHyperParameters"),
    **_refused(f"give it as {_TUNING_CONFIG}.HyperParameterTuningJobObjective", f"{_DEFINITION}.TuningObjective"),
    **_refused(f"give them as {_TUNING_CONFIG}.ParameterRanges", f"{_DEFINITION}.HyperParameterRanges"),
    **_done(f"{_INSTEAD}.InstanceType", f"{_INSTEAD}.InstanceCount"),
    **_moot("a job has the disk of this computer", f"{_INSTEAD}.VolumeSizeInGB"),
    **_told(ENCRYPTION, f"{_INSTEAD}.VolumeKmsKeyId"),
    **_refused("give InstanceType and InstanceCount", f"{_INSTEAD}.AllocationStrategy", f"{_INSTEAD}.InstanceConfigs"),
    **_refused(f"give one {_DEFINITION}", "TrainingJobDefinitions"),
    **_refused("give ranges and limits yourself", "Autotune"),
}

_TRANSFORM: Table = {
    **_done("TransformJobName", "ModelName", "MaxConcurrentTransforms", "ModelClientConfig", "MaxPayloadInMB"),
    **_done("BatchStrategy", "Environment", "TransformInput", "DataProcessing", "Tags"),
    **_done("TransformOutput.S3OutputPath", "TransformOutput.Accept", "TransformOutput.AssembleWith"),
    **_done("TransformResources.InstanceType", "TransformResources.InstanceCount"),
    **_told(ENCRYPTION, "TransformOutput.KmsKeyId", "TransformResources.VolumeKmsKeyId"),
    **_told(MACHINES, "TransformResources.TransformAmiVersion"),
    **_refused("join inputs to outputs: DataProcessing.JoinSource Input", "DataCaptureConfig"),
    **_told(EXPERIMENTS, "ExperimentConfig"),
}

_PROCESSED = "ProcessingOutputConfig.Outputs"
_PROCESSING: Table = {
    **_done("ProcessingJobName", "RoleArn", "Tags", "Environment", "StoppingCondition", "AppSpecification"),
    **_done("ProcessingInputs.InputName", "ProcessingInputs.AppManaged", "ProcessingInputs.S3Input"),
    **_refused("put the data into the object store and give S3Input", "ProcessingInputs.DatasetDefinition"),
    **_done(f"{_PROCESSED}.OutputName", f"{_PROCESSED}.S3Output", f"{_PROCESSED}.AppManaged"),
    **_refused("give S3Output", f"{_PROCESSED}.FeatureStoreOutput"),
    **_told(ENCRYPTION, "ProcessingOutputConfig.KmsKeyId", "ProcessingResources.ClusterConfig.VolumeKmsKeyId"),
    **_done("ProcessingResources.ClusterConfig.InstanceType", "ProcessingResources.ClusterConfig.InstanceCount"),
    **_moot("a job has the disk of this computer", "ProcessingResources.ClusterConfig.VolumeSizeInGB"),
    **_refused("give InstanceType and InstanceCount", "ProcessingResources.ClusterConfig.InstancePreferences"),
    **_refused(LEAVE_OUT, "ProcessingResources.ClusterConfig.SelectedInstanceType"),
    **_refused(LEAVE_OUT, "ProcessingResources.ClusterConfig.SelectedInstanceCount"),
    **_done("NetworkConfig.EnableNetworkIsolation"),
    **_moot("a job has one machine", "NetworkConfig.EnableInterContainerTrafficEncryption"),
    **_told(NETWORK, "NetworkConfig.VpcConfig"),
    **_told(EXPERIMENTS, "ExperimentConfig"),
}


def _container(at: str) -> Table:
    source = f"{at}.ModelDataSource.S3DataSource"
    return {
        **_done(f"{at}.Image", f"{at}.Mode", f"{at}.ModelDataUrl", f"{at}.Environment"),
        **_done(f"{source}.S3Uri", f"{source}.S3DataType", f"{source}.CompressionType"),
        **_moot("there is one container", f"{at}.ContainerHostname"),
        **_told(REGISTRY, f"{at}.ImageConfig"),
        **_refused("put the model into the object store", f"{source}.HubAccessConfig", f"{source}.ModelAccessConfig"),
        **_refused("name the model by S3Uri alone", f"{source}.ManifestS3Uri", f"{source}.ETag"),
        **_refused("name the model by S3Uri alone", f"{source}.ManifestEtag"),
        **_refused("put all data into one model", f"{at}.AdditionalModelDataSources"),
        **_refused("give Image and ModelDataUrl", f"{at}.ModelPackageName", f"{at}.InferenceSpecificationName"),
        **_refused("use Mode SingleModel", f"{at}.MultiModelConfig"),
        **_told("metrics of containers are not collected here", f"{at}.ContainerMetricsConfig"),
    }


_MODEL: Table = {
    **_done("ModelName", "ExecutionRoleArn", "Tags", "EnableNetworkIsolation"),
    **_container("PrimaryContainer"),
    **_container("Containers"),
    **_moot("there is one container", "InferenceExecutionConfig"),
    **_told(NETWORK, "VpcConfig"),
}

_VARIANT = "ProductionVariants"
_CONFIG: Table = {
    **_done("EndpointConfigName", "Tags", f"{_VARIANT}.VariantName", f"{_VARIANT}.ModelName"),
    **_done(f"{_VARIANT}.InitialInstanceCount", f"{_VARIANT}.InstanceType", f"{_VARIANT}.InitialVariantWeight"),
    **_done(f"{_VARIANT}.ContainerStartupHealthCheckTimeoutInSeconds"),
    **_refused(
        "give InstanceType and InitialInstanceCount", f"{_VARIANT}.InstancePools", f"{_VARIANT}.ServerlessConfig"
    ),
    **_refused("give InstanceType and InitialInstanceCount", f"{_VARIANT}.ManagedInstanceScaling"),
    **_refused(LEAVE_OUT, f"{_VARIANT}.CoreDumpConfig", f"{_VARIANT}.CapacityReservationConfig"),
    **_refused(LEAVE_OUT, f"{_VARIANT}.AcceleratorPartitionLayouts"),
    **_moot("a server has the disk of this computer", f"{_VARIANT}.VolumeSizeInGB"),
    **_told("machines need no time to come", f"{_VARIANT}.VariantInstanceProvisionTimeoutInSeconds"),
    **_told("a download is tried as long as it goes on", f"{_VARIANT}.ModelDataDownloadTimeoutInSeconds"),
    **_told(MACHINES, f"{_VARIANT}.AcceleratorType", f"{_VARIANT}.EnableSSMAccess", f"{_VARIANT}.InferenceAmiVersion"),
    **_told("servers of a variant take turns", f"{_VARIANT}.RoutingConfig"),
    "DataCaptureConfig": Decision(Kind.REFUSED, _CAPTURE, switch="EnableCapture"),
    **_told(ENCRYPTION, "KmsKeyId"),
    **_refused(LEAVE_OUT, "AsyncInferenceConfig", "ExplainerConfig", "ShadowProductionVariants"),
    **_refused(LEAVE_OUT, "CrossRegionTrafficConfig"),
    **_refused("set it in CreateModel", "EnableNetworkIsolation"),
    **_told("the role is the model's", "ExecutionRoleArn"),
    **_told(NETWORK, "VpcConfig"),
    **_told("metrics of endpoints are not collected here", "MetricsConfig"),
}

_ONE_ACCOUNT = "there is one account here"
_PAGE = _done(
    "NextToken", "MaxResults", "SortBy", "SortOrder", "NameContains", "CreationTimeAfter", "CreationTimeBefore"
)
_RUNS: Table = {**_PAGE, **_done("StatusEquals", "LastModifiedTimeAfter", "LastModifiedTimeBefore")}

# Operation -> what is done with each of its fields.
TABLES: Mapping[str, Table] = {
    "CreateTrainingJob": _TRAINING,
    "ListTrainingJobs": {**_RUNS, **_done("WarmPoolStatusEquals", "TrainingPlanArnEquals")},
    **dict.fromkeys(("DescribeTrainingJob", "StopTrainingJob", "DeleteTrainingJob"), _done("TrainingJobName")),
    "CreateTransformJob": _TRANSFORM,
    "ListTransformJobs": _RUNS,
    **dict.fromkeys(("DescribeTransformJob", "StopTransformJob"), _done("TransformJobName")),
    "CreateProcessingJob": _PROCESSING,
    "ListProcessingJobs": _RUNS,
    **dict.fromkeys(("DescribeProcessingJob", "StopProcessingJob", "DeleteProcessingJob"), _done("ProcessingJobName")),
    "CreateHyperParameterTuningJob": _TUNING,
    "ListHyperParameterTuningJobs": _RUNS,
    "ListTrainingJobsForHyperParameterTuningJob": _done(
        "HyperParameterTuningJobName", "NextToken", "MaxResults", "StatusEquals", "SortBy", "SortOrder"
    ),
    **dict.fromkeys(
        (
            "DescribeHyperParameterTuningJob",
            "StopHyperParameterTuningJob",
            "DeleteHyperParameterTuningJob",
        ),
        _done("HyperParameterTuningJobName"),
    ),
    "CreateModel": _MODEL,
    "ListModels": _PAGE,
    **dict.fromkeys(("DescribeModel", "DeleteModel"), _done("ModelName")),
    "CreateEndpointConfig": _CONFIG,
    "ListEndpointConfigs": _PAGE,
    **dict.fromkeys(("DescribeEndpointConfig", "DeleteEndpointConfig"), _done("EndpointConfigName")),
    "CreateEndpoint": {
        **_done("EndpointName", "EndpointConfigName", "Tags"),
        **_told("endpoints are not updated here", "DeploymentConfig"),
    },
    "ListEndpoints": _RUNS,
    **dict.fromkeys(("DescribeEndpoint", "DeleteEndpoint"), _done("EndpointName")),
    "AddTags": _done("ResourceArn", "Tags"),
    "ListTags": _done("ResourceArn", "NextToken", "MaxResults"),
    "DeleteTags": _done("ResourceArn", "TagKeys"),
    "DescribeLogGroups": {
        **_done("logGroupNamePrefix", "logGroupNamePattern"),
        **_moot("all groups are one page", "nextToken", "limit"),
        **_moot(_ONE_ACCOUNT, "accountIdentifiers", "includeLinkedAccounts"),
        **_refused("name groups by logGroupNamePrefix", "logGroupIdentifiers"),
        **_refused(LEAVE_OUT, "logGroupClass"),
    },
    "DescribeLogStreams": _done(
        *("logGroupName", "logGroupIdentifier", "logStreamNamePrefix", "orderBy", "descending", "nextToken", "limit")
    ),
    "GetLogEvents": {
        **_done("logGroupName", "logGroupIdentifier", "logStreamName", "startTime", "endTime", "nextToken", "limit"),
        **_done("startFromHead"),
        **_moot("nothing is masked here", "unmask"),
    },
    "FilterLogEvents": {
        **_done("logGroupName", "logGroupIdentifier", "logStreamNames", "logStreamNamePrefix", "startTime", "endTime"),
        **_done("filterPattern", "nextToken", "limit"),
        **_moot("events always come in the order of their times", "interleaved", "startFromHead"),
        **_moot("nothing is masked here", "unmask"),
    },
    "InvokeEndpoint": {
        **_done("EndpointName", "Body", "ContentType", "Accept", "CustomAttributes", "TargetVariant", "InferenceId"),
        **_refused("an endpoint here serves one model; choose among variants by TargetVariant", "TargetModel"),
        **_refused("a model here is one container; " + LEAVE_OUT, "TargetContainerHostname"),
        **_refused(LEAVE_OUT, "EnableExplanations", "InferenceComponentName", "SessionId", "PrefixAwareId"),
    },
}
