"""Post a plan as one note of a GitLab merge request, the same note every time. Used by .gitlab-ci.yml; needs nothing but Python."""

import json
import os
import sys
import urllib.request

MARK = "<!-- cloudsync plan -->"


def ask(path: str, method: str = "GET", body: str | None = None) -> list[dict[str, object]]:
    """Return the answer of GitLab's API about the notes of this merge request."""
    base = f"{os.environ['CI_API_V4_URL']}/projects/{os.environ['CI_PROJECT_ID']}/merge_requests/{os.environ['CI_MERGE_REQUEST_IID']}/notes"
    data = json.dumps({"body": body}).encode() if body is not None else None
    headers = {"PRIVATE-TOKEN": os.environ["CLOUDSYNC_NOTES_TOKEN"], "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(base + path, data, headers, method=method), timeout=30) as answer:
        found = json.loads(answer.read())
    return found if isinstance(found, list) else [found]


def main(file: str) -> None:
    """Write the note, or write it anew."""
    with open(file, encoding="utf-8") as text:
        body = f"{MARK}\n{text.read()[:900_000]}"
    mine = [note for note in ask("?per_page=100&sort=asc") if str(note["body"]).startswith(MARK)]
    if mine:
        ask(f"/{mine[0]['id']}", "PUT", body)
    else:
        ask("", "POST", body)


if __name__ == "__main__":
    main(sys.argv[1])
