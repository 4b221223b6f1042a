"""The raw upstream as a stdio child: `python -m tests.stories.raw_upstream_stdio legacy` or `… modern`.

`raw/told` answers with everything it was sent, the names of the calls it holds, and of those cancelled.
"""

import json
import sys

from tests.stories.raw_upstream import encoded
from tests.stories.raw_upstream_script import Json, answers, say_of

TOLD = "raw/told"


def main(era: str) -> None:
    """Serve until stdin ends."""
    received: list[Json] = []
    held: dict[object, str] = {}
    cancelled: list[str] = []
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method") == TOLD:
            told = {"received": received, "held": list(held.values()), "cancelled": cancelled}
            _write({"jsonrpc": "2.0", "id": message["id"], "result": told})
            continue
        received.append(message)
        if message.get("method") == "notifications/cancelled":
            name = held.pop(message["params"]["requestId"], None)
            if name is not None:
                cancelled.append(name)
        elif "method" in message and "id" in message:
            hold = say_of(message).get("hold")
            if say_of(message).get("end"):
                return
            if hold is not None:
                held[message["id"]] = hold
                continue
            for answer in answers(message, era):
                _write(answer)


def _write(message: Json) -> None:
    sys.stdout.buffer.write(encoded(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
