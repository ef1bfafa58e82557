"""What the answers look like: examples for `/openapi.json`, checked against real answers."""

from typing import Any

Described = dict[int | str, dict[str, Any]]

SUMMARY: dict[str, Any] = {
    "id": 7,
    "dataset": "animals",
    "recipe": "crawl",
    "status": "running",
    "started_at": "2026-11-21T18:44:00+00:00",
    "finished_at": None,
    "seconds": 12.3,
    "version": None,
    "error": None,
    "said": None,
}
STEP: dict[str, Any] = {
    "number": 2,
    "name": "Crawl Images",
    "status": "running",
    "activity": "fetch",
    "done": 1200,
    "total": 5000,
    "tries": 1,
    "seconds": None,
    "result": None,
    "error": None,
}
SHOWN: dict[str, Any] = {
    **SUMMARY,
    "step": 2,
    "total_steps": 8,
    "progress": 15.5,
    "last_event": 41,
    "asked_at": "2026-11-21T18:44:12+00:00",
    "steps": [STEP],
    "metrics": {"images_crawled": 1200, "valid_images": 1150, "unique_images": 1100},
}
EVENT: dict[str, Any] = {
    "id": 41,
    "run": 7,
    "at": "2026-11-21T18:44:12+00:00",
    "kind": "progress",
    "step": 2,
    "data": {"name": "fetch", "done": 1200, "total": 5000},
}


def _problem(status: int, title: str, detail: str) -> dict[str, Any]:
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    content = {"application/problem+json": {"example": said}}
    return {"description": title, "content": content}


def _json(example: Any, description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": example}}}


NO_RUN = _problem(404, "Not Found", "no run 7 (the newest is 3)")
PROBLEMS: Described = {
    403: _problem(403, "Forbidden", "pages of other origins may not ask this server"),
    421: _problem(421, "Misdirected Request", "this server answers as localhost, 127.0.0.1 or "
                  "[::1], not as 'rebound.example.org'"),
    422: _problem(422, "Unprocessable Content", "path.run_id: Input should be a valid integer"),
    503: _problem(503, "Service Unavailable", "the catalog does not answer"),
}  # fmt: skip
RUNS: Described = {200: _json({"runs": [SUMMARY]}, "The runs.")}
RUN: Described = {200: _json(SHOWN, "The run, as `autods runs show --json` has it."), 404: NO_RUN}
CANCEL: Described = {
    202: _json({**SHOWN, "status": "cancelling"}, "It is asked to stop."),
    404: NO_RUN,
    409: _problem(409, "Conflict", "run 7 is done: nothing is at work that could be cancelled"),
}
EVENTS: Described = {
    200: {
        "description": "Events: `id` is the event's, `event` its kind, `data` JSON as here.",
        "content": {"text/event-stream": {"example": EVENT}},
    },
    204: {"description": "The run is over, and all of its events have been read."},
    404: NO_RUN,
}
