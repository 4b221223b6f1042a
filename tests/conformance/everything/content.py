"""Small pieces of content that the fixture's tools, prompts and resources return."""

from typing import Any

Json = dict[str, Any]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
"""One red pixel."""

WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
"""One silent sample."""

IMAGE: Json = {"type": "image", "data": PNG, "mimeType": "image/png"}
AUDIO: Json = {"type": "audio", "data": WAV, "mimeType": "audio/wav"}


def text(value: str) -> Json:
    """One text block."""
    return {"type": "text", "text": value}


def embedded(uri: str, value: str, mime_type: str = "text/plain") -> Json:
    """One embedded text resource block."""
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": value}}


def result(*blocks: Json) -> Json:
    """A tool's result."""
    return {"content": list(blocks)}
