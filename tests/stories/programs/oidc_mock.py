"""`oidc-provider-mock` as a program: an OpenID provider where everybody signs in by pressing a button.

Run as `python -m tests.stories.programs.oidc_mock CLAIMS... --port PORT`; each of CLAIMS is a person, as JSON with
`sub`. It prints `ready URL`, the URL being its issuer, when it accepts connections.
"""

import json
import os
import sys

from oidc_provider_mock import User, app
from werkzeug.serving import make_server


def main(*arguments: str) -> None:
    """Serve until killed."""
    *people, _, port = arguments
    users = [User(sub=claims.pop("sub"), claims=claims) for claims in map(json.loads, people)]
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # it refuses plain http otherwise, on loopback too
    server = make_server(
        "127.0.0.1", int(port), app(require_client_registration=True, user_claims=users), threaded=True
    )
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
