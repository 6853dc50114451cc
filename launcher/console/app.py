"""The console as a WSGI application: who may come in, which page is asked for, and what every answer carries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from batchrl.contract.errors import BatchRLError, InputError, Unreachable
from launcher.api.constants import TRAINING
from launcher.api.names import NAME_PATTERN
from launcher.console.access import FORM_WORD, TOKEN, Access
from launcher.console.artifacts import content_of
from launcher.console.comparison import MOST, comparison_page
from launcher.console.datapage import data_page
from launcher.console.given import Given
from launcher.console.joblist import Place, Scripts, Wanted, read_list
from launcher.console.jobpage import job_page, tone_of
from launcher.console.output import search
from launcher.console.pages import Page, message_page, pace
from launcher.console.remembered import Reports
from launcher.console.watched import WatchedCloud
from launcher.documents.html import environment, style
from launcher.jobs.handle import JobHandle
from launcher.jobs.handles import handle_of
from launcher.jobs.kinds import KINDS, STATUSES, api_kind
from launcher.jobs.training import Job
from launcher.local.server.connections import LET_IN

FOLDER = Path(__file__).parent / "templates"
MOST_FORM_BYTES = 16 * 1024
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Of an object that a job wrote, whatever a browser makes of it.
SEALED = "default-src 'none'; sandbox"
ASSETS = {"console.js": "text/javascript", "console.css": "text/css"}
PAGES = Map(
    [
        Rule("/", endpoint="list", methods=["GET"]),
        Rule("/compare", endpoint="compare", methods=["GET"]),
        Rule("/jobs/<kind>/<name>", endpoint="job", methods=["GET"]),
        Rule("/<any(loops, estimates):what>/<number>", endpoint="given", methods=["GET"]),
        Rule("/jobs/<kind>/<name>/data", endpoint="data", methods=["GET"]),
        Rule("/jobs/<kind>/<name>/log", endpoint="log", methods=["GET"]),
        Rule("/jobs/<kind>/<name>/files/<place>/<path:key>", endpoint="file", methods=["GET"]),
        Rule("/jobs/<kind>/<name>/stop", endpoint="stop", methods=["POST"]),
        Rule("/<any('console.js', 'console.css'):asset>", endpoint="asset", methods=["GET"]),
    ],
    strict_slashes=False,
    merge_slashes=False,
)


class Console:
    """The application.

    Args:
        cloud: what it shows.
        access: who may see it.
        on_fault: told a fault of our own; gives where its report is, empty for nowhere.
        given: what else has pages.
    """

    def __init__(
        self, cloud: WatchedCloud, access: Access, on_fault: Callable[[Exception], str], given: Given | None = None
    ) -> None:
        self._given = given or Given()
        self._cloud = cloud
        self._access = access
        self._on_fault = on_fault
        self._scripts = Scripts()
        self._reports = Reports()
        self._templates = environment(FOLDER)
        self._templates.globals.update(tone_of=tone_of, api_kind=api_kind, quote=quote)
        self._assets = {name: (FOLDER / name).read_bytes() for name in ASSETS}
        self._assets["console.css"] = style().encode() + self._assets["console.css"]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = request.max_form_memory_size = MOST_FORM_BYTES
        response = self._response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response(environ, start_response)

    def prepare(self) -> None:
        """Ask what the first page of the list will need, so that it comes at once; a fault is that page's to tell."""
        with suppress(BatchRLError):
            read_list(self._cloud.session(), Wanted(), self._scripts)

    def _response(self, request: Request) -> Response:
        access, host = self._access, request.headers.get("Host", "")
        if not access.is_host(host):
            return _plain(421, f"This server answers to {access.hosts[0]} alone.\n")
        if not access.is_origin(request.headers.get("Origin"), host):
            return _plain(403, "A page of another site has no business here.\n")
        try:
            asked, named = PAGES.bind(host).match(request.path, request.method)
            if asked == "asset":
                return self._asset(str(named["asset"]))
            if asked == "list" and TOKEN in request.args:
                return self._enter(request)
            if not access.knows_key(request.cookies.get(access.cookie)):
                return self._refused()
            request.environ.get(LET_IN, lambda: None)()
            return self._answer(request, str(asked), {key: str(value) for key, value in named.items()})
        except (NotFound, MethodNotAllowed):
            if not access.knows_key(request.cookies.get(access.cookie)):
                return self._refused()
            return self._rendered(_unknown("There is no such page."))
        except HTTPException as error:
            return _plain(error.code or 400, "The request cannot be read.\n")

    def _enter(self, request: Request) -> Response:
        """Take the token of the link, give the cookie.

        The page leads on by itself: a browser would not send a cookie that it got within a redirection from elsewhere.
        """
        if not self._access.knows_token(request.args[TOKEN]):
            return self._refused()
        response = self._rendered(Page("batchrl console", "enter.html.j2"))
        response.set_cookie(self._access.cookie, self._access.key, httponly=True, samesite="Strict", path="/")
        return response

    def _refused(self) -> Response:
        text = "This console opens by the link that `batchrl console` prints: it holds a word that is new each time."
        return self._rendered(message_page(401, "No entry", text, "Open that link in this browser."))

    def _answer(self, request: Request, asked: str, named: dict[str, str]) -> Response:
        try:
            if "kind" in named and (named["kind"] not in KINDS or not NAME_PATTERN.fullmatch(named["name"])):
                return self._rendered(_unknown("Nothing can have this name."))
            if asked == "stop":
                return self._stop(request, **named)
            if asked == "file":
                return self._file(**named)
            return self._rendered(self._page(request, asked, named))
        except Unreachable as error:
            again = pace(self._cloud.is_local)
            return self._rendered(message_page(503, "The cloud does not answer", error.message, error.hint, again))
        except InputError as error:
            return self._rendered(message_page(400, "That cannot be shown", error.message, error.hint))
        except BatchRLError as error:
            return self._rendered(message_page(500, "That cannot be shown", error.message, error.hint))
        except HTTPException:
            raise
        except Exception as error:
            place = self._on_fault(error)
            hint = f"The report is in {place}" if place else None
            return self._rendered(message_page(500, "A fault of ours", "This page could not be made.", hint))

    def _page(self, request: Request, asked: str, named: dict[str, str]) -> Page:
        if asked == "given":
            return self._given.page(**named) or _unknown("There is no such loop or estimate.")
        session = self._cloud.session()
        try:
            if asked == "list":
                return self._list(request)
            if asked == "compare":
                return comparison_page(session, request.args.getlist("job"), request.args.get("metric", ""))
            if asked == "log":
                return self._log(request.args.get("text", ""), **named)
            if asked == "data":
                page = (
                    data_page(session, named["name"], self._reports, self._scripts)
                    if api_kind(named["kind"]) == TRAINING
                    else None
                )
                return page or _unknown(f"There is no training job named {named['name']} on {self._cloud.name}.")
            page = job_page(session, named["kind"], named["name"], self._reports)
            return page or _unknown(f"There is no {named['kind']} named {named['name']} on {self._cloud.name}.")
        except Unreachable:
            self._cloud.found_again()
            raise

    def _list(self, request: Request) -> Page:
        given = request.args
        kind, status = given.get("kind", ""), given.get("status", "")
        wanted = Wanted(
            kind if kind in KINDS else "",
            status if status in STATUSES else "",
            given.get("name", "").strip(),
            Place.read(given.get("after")),
        )
        values: dict[str, Any] = {"wanted": wanted, "kinds": KINDS, "statuses": STATUSES, "most": MOST}
        session = self._cloud.session()
        try:
            found, fault = read_list(session, wanted, self._scripts), ""
        except InputError as error:
            found, fault = None, str(error)
        runs = wanted.after is None
        values |= {"found": found, "fault": fault, "filters": _filters(wanted), "given": self._given.links()}
        return Page("Jobs", "list.html.j2", values, 2 * pace(session.is_local) if runs else None)

    def _log(self, text: str, kind: str, name: str) -> Page:
        handle = handle_of(kind, name, self._cloud.session())
        if handle.find() is None:
            return _unknown(f"There is no {kind} named {name} on {self._cloud.name}.")
        values = {"name": name, "kind": handle.kind, "text": text}
        return Page(f"Log of {name}", "log.html.j2", values | {"output": search(handle, text) if text else None})

    def _file(self, kind: str, name: str, place: str, key: str) -> Response:
        handle = handle_of(kind, name, self._cloud.session())
        found = content_of(handle, place, key) if isinstance(handle, Job) else None
        if found is None:
            return self._rendered(_unknown("There is no such object."))
        response = Response(found.pieces, mimetype=found.media_type or "application/octet-stream")
        response.headers["Content-Length"] = str(found.length)
        response.headers["Content-Security-Policy"] = SEALED
        if found.media_type is None:
            response.headers.set("Content-Disposition", "attachment", filename=found.name)
        return response

    def _stop(self, request: Request, kind: str, name: str) -> Response:
        if not self._access.knows_form(request.form.get(FORM_WORD), request.headers.get("Origin")):
            return self._rendered(message_page(403, "Not done", "This request did not come from a page of ours."))
        handle = handle_of(kind, name, self._cloud.session())
        if not isinstance(handle, JobHandle):
            raise InputError(f"'{name}' is an endpoint, which serves until it is deleted.", f"batchrl rm {name}")
        if handle.find() is None:
            return self._rendered(_unknown(f"There is no {kind} named {name} on {self._cloud.name}."))
        handle.stop()
        return Response(status=303, headers={"Location": f"/jobs/{handle.kind}/{name}"})

    def _asset(self, name: str) -> Response:
        return Response(self._assets[name], mimetype=ASSETS[name])

    def _rendered(self, page: Page) -> Response:
        values = {"page": page, "form": (FORM_WORD, self._access.form_word), "cloud": self._cloud.name, **page.values}
        text = self._templates.get_template(page.template).render(values)
        return Response(text, page.status, mimetype="text/html")


def _unknown(text: str) -> Page:
    return message_page(404, "Not found", text, "The list of jobs has what there is.")


def _filters(wanted: Wanted) -> dict[str, str]:
    """The filters of a list as a link has them."""
    filters = replace(wanted, after=None)
    return {
        key: value
        for key, value in (("kind", filters.kind), ("status", filters.status), ("name", filters.name))
        if value
    }


def _plain(status: int, text: str) -> Response:
    return Response(text, status, mimetype="text/plain")
