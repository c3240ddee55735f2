"""What is answered at which address."""

from sandbox import paper, signin, tokens
from sandbox.answers import plain
from sandbox.control import control
from sandbox.graph import ROOT, Graph
from sandbox.pages import pages
from sandbox.post import Post
from sandbox.wire import OWN_NAMES, Request, Response
from sandbox.world import World


class Application:
    """Graph, sign-in and control, each below its own addresses."""

    def __init__(self, world: World, post: Post) -> None:
        self._world = world
        self._post = post
        self._graph = Graph(world, post)

    def __call__(self, request: Request) -> Response:
        if request.path.startswith(f"/{ROOT}/"):
            return self._graph(request)
        if not _comes_from_here(request):
            return plain({"wrong": "Ask by the name 127.0.0.1 or localhost, from a page of mine or from none."}, 403)
        if request.path.startswith("/control/"):
            return control(self._world, self._post, request)
        if request.path == "/sandbox.css":
            return paper.stylesheet()
        return pages(self._world, self._post, request) or self._sign_in(request)

    def _sign_in(self, request: Request) -> Response:
        segment, *rest = request.segments or [""]
        match request.method, rest:
            case "GET", ["v2.0", ".well-known", "openid-configuration"]:
                return tokens.discovery(request, segment)
            case "GET", ["discovery", "instance"]:
                return tokens.instance_discovery(request)
            case "GET", ["discovery", "v2.0", "keys"]:
                return tokens.keys(request)
            case "GET", ["oauth2", "v2.0", "authorize"]:
                return signin.authorize(self._world, request, segment)
            case "POST", ["oauth2", "v2.0", "authorize"]:
                return signin.decide(self._world, request, segment)
            case "POST", ["oauth2", "v2.0", "token"]:
                return tokens.issue(self._world, request, segment)
            case "GET", ["v2.0", "adminconsent"]:
                return signin.admin_consent(self._world, request, segment)
            case "POST", ["v2.0", "adminconsent"]:
                return signin.decide_admin_consent(self._world, request, segment)
            case "GET", ["oauth2", "v2.0", "logout"]:
                return signin.signed_out(self._world, request, segment)
        return paper.page("Not found", "<main><h1>There is nothing here</h1></main>", status=404)


def _comes_from_here(request: Request) -> bool:
    """No page of another site may press buttons here, under whatever name it has found this program."""
    name = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    origin = request.headers.get("origin", "")
    return name in OWN_NAMES and origin in ("", "null", request.origin)
