"""Serving a model at an endpoint: the requests, in order, and nothing left behind when one of them is refused."""

from __future__ import annotations

import contextlib

from batchrl.contract.errors import BatchRLError
from launcher.api.endpoint import EndpointRequests, EndpointSpec, create_endpoint
from launcher.api.names import check_job_name, job_name_from
from launcher.api.options import settled
from launcher.api.servingoptions import DeployOptions
from launcher.base.notices import say
from launcher.jobs.endpoint import Endpoint
from launcher.local import preflight
from launcher.serving.modelplan import MODEL, ModelPlan, ServedModel
from launcher.serving.predictor import Predictor
from launcher.session.answers import known
from launcher.session.creation import Creation
from launcher.session.session import Session

ENDPOINT = Creation("an endpoint", "endpoint", "EndpointName", ("EndpointConfigName",))
CONFIG = Creation("an endpoint configuration", "endpoint_config", "EndpointConfigName", ("ProductionVariants",))


def deploy(model: ServedModel, options: DeployOptions) -> Predictor:
    """See ``Model.deploy``.

    Args:
        model: what is served.
        options: with an instance type.
    """
    assert options.instance_type is not None
    session = model.session_for(options.instance_type)
    plan, requests = planned(model, session, options)
    create(session, plan, requests)
    predictor = Predictor(requests.endpoint["EndpointName"], session)
    if options.wait:
        come_into_service(Endpoint(predictor.endpoint_name, session))
    return predictor


def planned(model: ServedModel, session: Session, options: DeployOptions) -> tuple[ModelPlan, EndpointRequests]:
    """The model and the requests of an endpoint, checked; nothing is sent.

    Raises:
        InputError: whatever is wrong.
    """
    made = job_name_from(f"{model.base_name}-endpoint")
    name = options.endpoint_name if options.endpoint_name is not None else made
    check_job_name(name, "an endpoint")
    plan = model.plan(session, name, options.env)
    spec = settled(EndpointSpec, options, endpoint_name=name, model_name=plan.name)
    return plan, create_endpoint(spec)


def create(session: Session, plan: ModelPlan, requests: EndpointRequests) -> None:
    """Create model, configuration and endpoint.

    Raises:
        InputError: a name is taken, or the cloud refuses; what this call made is removed again.
        Unreachable: cloud or store do not answer.
    """
    if session.is_local:
        preflight.check_instance(requests.config["ProductionVariants"][0]["InstanceType"], plan.image, session.home)
    ENDPOINT.check_free(session, requests.endpoint)
    CONFIG.check_free(session, requests.config)
    is_new = plan.ensure(session)
    made: list[tuple[str, dict[str, str]]] = [("delete_model", {"ModelName": plan.name})] if is_new else []
    try:
        CONFIG.create(session, requests.config)
        made.append(("delete_endpoint_config", {"EndpointConfigName": requests.config["EndpointConfigName"]}))
        ENDPOINT.create(session, requests.endpoint)
    except BaseException:
        for operation, key in reversed(made):
            # Why it could not be made is what the user has to know.
            with contextlib.suppress(BatchRLError), session.reported("removing what was made", session.sagemaker):
                getattr(session.sagemaker, operation)(**key)
        raise


def remove(session: Session, name: str) -> None:
    """Delete what ``deploy`` makes under a name: endpoint, configuration and model, each if it is there.

    What a process left that was killed while it made or deleted them goes as well.

    Raises:
        InputError: the cloud refuses.
        Unreachable: the cloud does not answer.
    """
    with session.reported(f"removing the endpoint {name}", session.sagemaker):
        for creation in (ENDPOINT, CONFIG, MODEL):
            known(getattr(session.sagemaker, f"delete_{creation.resource}"), **{creation.key: name})


def come_into_service(endpoint: Endpoint) -> None:
    """Wait for an endpoint; Ctrl-C leaves it to come into service by itself.

    Raises:
        JobFailed: it failed; the message says why, and how to remove it.
    """
    say(f"Endpoint {endpoint.name}")
    try:
        endpoint.wait()
    except KeyboardInterrupt:
        say(f"It goes on without you. Delete it with: batchrl rm {endpoint.name}")
        raise
