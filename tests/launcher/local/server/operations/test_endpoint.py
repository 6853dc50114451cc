"""Endpoint configurations, endpoints and their invocation through unmodified boto3 clients."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from api_servers import RunningServer, config_request, model_request
from botocore.exceptions import ClientError

from launcher.api.constants import ENDPOINT
from launcher.local.executors.address import ServerAddress
from launcher.local.records import states
from launcher.local.records.records import ServerRecord


def _error(call: Any, **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer: dict[str, Any] = caught.value.response
    return answer


@pytest.fixture
def client(api_server: RunningServer) -> Any:
    """A client of an API server that knows the model ``model-1``."""
    client = api_server.client("sagemaker")
    client.create_model(**model_request())
    return client


class Server:
    """A model server whose answers a test scripts; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.status, self.body = 200, b"[1]\n"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.status)
                self.send_header("content-type", "application/jsonlines")
                self.send_header("content-length", str(len(outer.body)))
                self.send_header("x-amzn-sagemaker-custom-attributes", "answered")
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> dict[str, Any]:
        return ServerAddress.tcp("127.0.0.1", self._server.server_port).to_json()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def _in_service(
    api_server: RunningServer, client: Any, *servers: ServerRecord, config: dict[str, Any] | None = None
) -> None:
    client.create_endpoint_config(**(config or config_request()))
    client.create_endpoint(EndpointName="e", EndpointConfigName="config-1")
    api_server.records.transition("e", states.IN_SERVICE, kind=ENDPOINT, servers=servers)


def test_configurations_come_and_go(client: Any) -> None:
    arn = client.create_endpoint_config(**config_request())["EndpointConfigArn"]
    described = client.describe_endpoint_config(EndpointConfigName="config-1")
    assert described["ProductionVariants"] == config_request()["ProductionVariants"]
    assert [one["EndpointConfigName"] for one in client.list_endpoint_configs()["EndpointConfigs"]] == ["config-1"]
    assert arn in _error(client.create_endpoint_config, **config_request())["Error"]["Message"]
    client.delete_endpoint_config(EndpointConfigName="config-1")
    for operation in (client.describe_endpoint_config, client.delete_endpoint_config):
        assert _error(operation, EndpointConfigName="config-1")["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ({"ModelName": "nobody"}, "Could not find model"),
        ({"InstanceType": "local_debug"}, "instanceType"),
        ({"InitialVariantWeight": 0.0}, "InitialVariantWeight"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}, "ServerlessConfig is not supported"),
    ],
)
def test_configurations_that_cannot_be_are_refused(client: Any, variant: dict[str, Any], said: str) -> None:
    error = _error(client.create_endpoint_config, **config_request(**variant))["Error"]
    assert error["Code"] == "ValidationException"
    assert said in error["Message"]


def test_an_endpoint_is_created_assigned_and_described(api_server: RunningServer, client: Any) -> None:
    client.create_endpoint_config(**config_request())
    arn = client.create_endpoint(EndpointName="e", EndpointConfigName="config-1")["EndpointArn"]
    assert api_server.handed == ["e"]
    described = client.describe_endpoint(EndpointName="e")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Creating", "config-1")
    assert arn in _error(client.create_endpoint, EndpointName="e", EndpointConfigName="config-1")["Error"]["Message"]
    server = ServerRecord("AllTraffic", 1.0, {"path": "/nowhere"})
    api_server.records.transition("e", states.IN_SERVICE, kind=ENDPOINT, servers=(server,))
    described = client.describe_endpoint(EndpointName="e")
    (variant,) = described["ProductionVariants"]
    assert (described["EndpointStatus"], variant["CurrentInstanceCount"]) == ("InService", 1)
    assert [one["EndpointStatus"] for one in client.list_endpoints()["Endpoints"]] == ["InService"]


def test_configuration_and_model_may_go_before_the_endpoint(api_server: RunningServer, client: Any) -> None:
    client.create_endpoint_config(**config_request())
    client.create_endpoint(EndpointName="e", EndpointConfigName="config-1")
    client.delete_endpoint_config(EndpointConfigName="config-1")
    client.delete_model(ModelName="model-1")
    kept = api_server.records.get("e", ENDPOINT)
    assert (kept.instances, list(kept.request["Models"])) == (1, ["model-1"])


def test_a_deleted_endpoint_is_deleting_until_its_shim_forgets_it(api_server: RunningServer, client: Any) -> None:
    _in_service(api_server, client)
    client.delete_endpoint(EndpointName="e")
    assert client.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Deleting"
    api_server.records.forget_endpoint(api_server.records.get("e", ENDPOINT))
    for operation in (client.describe_endpoint, client.delete_endpoint):
        assert _error(operation, EndpointName="e")["Error"]["Code"] == "ValidationException"


def test_a_failed_endpoint_says_why_and_is_deleted_at_once(api_server: RunningServer, client: Any) -> None:
    _in_service(api_server, client)
    api_server.records.transition("e", states.FAILED, kind=ENDPOINT, failure_reason="because", servers=())
    assert client.describe_endpoint(EndpointName="e")["FailureReason"] == "because"
    client.delete_endpoint(EndpointName="e")
    assert client.list_endpoints()["Endpoints"] == []


def test_C183_an_invocation_reaches_the_server_with_its_headers_alone(
    api_server: RunningServer, client: Any, server: Server
) -> None:
    _in_service(api_server, client, ServerRecord("AllTraffic", 1.0, server.address))
    answer = api_server.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="e",
        Body=b"[0.1, 0.2]\n",
        ContentType="application/jsonlines",
        Accept="application/jsonlines",
        CustomAttributes="from the caller",
        InferenceId="i-1",
    )
    assert answer["Body"].read() == b"[1]\n"
    assert answer["ContentType"] == "application/jsonlines"
    assert (answer["InvokedProductionVariant"], answer["CustomAttributes"]) == ("AllTraffic", "answered")
    ((headers, body),) = server.asked
    assert body == b"[0.1, 0.2]\n"
    assert headers["content-type"] == headers["accept"] == "application/jsonlines"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "from the caller"
    assert headers["x-amzn-sagemaker-inference-id"] == "i-1"
    assert not {"authorization", "user-agent", "x-amz-date"} & headers.keys()


def test_C184_a_servers_error_is_a_model_error(api_server: RunningServer, client: Any, server: Server) -> None:
    _in_service(api_server, client, ServerRecord("AllTraffic", 1.0, server.address))
    server.status, server.body = 400, b'{"error": "line 1: expected 4 features, got 2"}'
    runtime = api_server.client("sagemaker-runtime")
    answer = _error(runtime.invoke_endpoint, EndpointName="e", Body=b"[1]", ContentType="application/jsonlines")
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 400
    assert answer["OriginalMessage"] == server.body.decode()
    assert answer["LogStreamArn"].endswith("log-group:/aws/sagemaker/Endpoints/e")


def test_C184_a_server_that_is_gone_is_a_model_error_too(
    api_server: RunningServer, client: Any, server: Server
) -> None:
    _in_service(api_server, client, ServerRecord("AllTraffic", 1.0, server.address))
    server.close()
    answer = _error(api_server.client("sagemaker-runtime").invoke_endpoint, EndpointName="e", Body=b"[1]")
    assert (answer["Error"]["Code"], answer["OriginalStatusCode"]) == ("ModelError", 503)


def test_C182_a_body_above_the_limit_is_refused(api_server: RunningServer, client: Any, server: Server) -> None:
    _in_service(api_server, client, ServerRecord("AllTraffic", 1.0, server.address))
    runtime = api_server.client("sagemaker-runtime", validate=False)
    assert "6291456" in _error(runtime.invoke_endpoint, EndpointName="e", Body=b"x" * 6_291_457)["Error"]["Message"]
    assert server.asked == []
    assert runtime.invoke_endpoint(EndpointName="e", Body=b"x" * 6_291_456)["Body"].read() == b"[1]\n"


def test_only_an_endpoint_in_service_is_invoked(api_server: RunningServer, client: Any) -> None:
    runtime = api_server.client("sagemaker-runtime")
    assert "Could not find endpoint" in _error(runtime.invoke_endpoint, EndpointName="e", Body=b"")["Error"]["Message"]
    client.create_endpoint_config(**config_request())
    client.create_endpoint(EndpointName="e", EndpointConfigName="config-1")
    assert "Creating, not InService" in _error(runtime.invoke_endpoint, EndpointName="e", Body=b"")["Error"]["Message"]


def test_variants_share_requests_by_weight_unless_one_is_named(
    api_server: RunningServer, client: Any, server: Server
) -> None:
    variants = [
        config_request(VariantName=name, InitialVariantWeight=weight)["ProductionVariants"][0]
        for name, weight in (("new", 0.0), ("old", 1.0))
    ]
    records = [ServerRecord("new", 0.0, server.address), ServerRecord("old", 1.0, server.address)]
    config = {"EndpointConfigName": "config-1", "ProductionVariants": variants}
    _in_service(api_server, client, *records, config=config)
    runtime = api_server.client("sagemaker-runtime")
    invoked = {runtime.invoke_endpoint(EndpointName="e", Body=b"1")["InvokedProductionVariant"] for _ in range(8)}
    assert invoked == {"old"}
    named = runtime.invoke_endpoint(EndpointName="e", Body=b"1", TargetVariant="new")
    assert named["InvokedProductionVariant"] == "new"
    error = _error(runtime.invoke_endpoint, EndpointName="e", Body=b"1", TargetVariant="third")["Error"]
    assert "no variant 'third'" in error["Message"]


def test_where_no_variant_has_a_weight_any_may_answer(api_server: RunningServer, client: Any, server: Server) -> None:
    _in_service(api_server, client, ServerRecord("AllTraffic", 0.0, server.address))
    answer = api_server.client("sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=b"1")
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_an_endpoint_whose_servers_are_ended_answers_no_more(api_server: RunningServer, client: Any) -> None:
    _in_service(api_server, client)
    error = _error(api_server.client("sagemaker-runtime").invoke_endpoint, EndpointName="e", Body=b"1")
    assert error["Error"]["Code"] == "ServiceUnavailable"
    assert "are being ended" in error["Error"]["Message"]


def test_an_invocation_without_a_signature_is_refused(api_server: RunningServer, client: Any, server: Server) -> None:
    _in_service(api_server, client, ServerRecord("AllTraffic", 1.0, server.address))
    stranger = api_server.client("sagemaker-runtime", aws_secret_access_key="wrong")
    assert _error(stranger.invoke_endpoint, EndpointName="e", Body=b"1")["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert server.asked == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("TargetModel", "other.tar.gz"),
        ("TargetContainerHostname", "b"),
        ("SessionId", "NEW_SESSION"),
    ],
)
def test_what_an_invocation_asks_for_and_would_not_get_is_refused(
    api_server: RunningServer, member: str, value: str
) -> None:
    runtime = api_server.client("sagemaker-runtime")
    error = _error(runtime.invoke_endpoint, EndpointName="any", Body=b"[1]", **{member: value})["Error"]
    assert error["Message"].startswith(f"{member} is not supported by the local cloud")


def test_data_capture_is_refused_unless_it_is_off(client: Any) -> None:
    capture = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    asked = config_request() | {"DataCaptureConfig": capture | {"EnableCapture": True}}
    assert "DataCaptureConfig is not supported" in _error(client.create_endpoint_config, **asked)["Error"]["Message"]
    client.create_endpoint_config(**config_request() | {"DataCaptureConfig": capture | {"EnableCapture": False}})
