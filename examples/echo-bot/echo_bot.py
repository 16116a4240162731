#!/usr/bin/env python3
"""An echo bot: accepts who asks, and answers each text with the same text.

    baraza token create "Echo bot" --scope read --scope send --bound > token
    examples/echo-bot/echo_bot.py --token-file token --cursor-file cursor

It needs nothing but Python. The cursor of the last event that was dealt with is kept in a
file, and each answer has an Idempotency-Key made of what it answers: whenever bot or node
stop, each text is answered once.
"""

import argparse
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request


class Api:
    """The node's API."""

    def __init__(self, url, token):
        self.url, self.token = url.rstrip("/") + "/api/v1", token

    def ask(self, method, path, body=None, key=None):
        """A request; gives the answer's JSON. Tries again while the node cannot be reached."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        while True:
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=90) as answer:
                    text = answer.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                problem = json.loads(error.read() or b"{}")
                if error.code not in (429, 503) and problem.get("code") != "request_under_way":
                    raise SystemExit(f"{method} {path}: {problem.get('detail', error)}")
                time.sleep(float(error.headers.get("Retry-After", 1)))
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                print(f"the node does not answer ({error}); trying again", file=sys.stderr)
                time.sleep(2)


def deal_with(api, me, event):
    """Does what an event asks for."""
    account = event["local_account"]
    if event["event"] == "request_received":
        path = f"/accounts/{account}/requests/{event['conversation']}/accept"
        api.ask("POST", path, {})
    elif event["event"] == "message_received":
        message = event["message"]
        text = message.get("body", "")
        ours = message["author"] == me.get(account)
        changes = message.get("edit") or message.get("react-to")
        if ours or changes or message["type"] != "text/plain" or not text:
            return
        path = f"/accounts/{account}/conversations/{event['conversation']}/messages"
        api.ask("POST", path, {"body": text, "reply_to": message["id"]}, key=message["id"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8222")
    parser.add_argument("--token-file", required=True, type=pathlib.Path)
    parser.add_argument("--cursor-file", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    api = Api(arguments.url, arguments.token_file.read_text().strip())
    me = {one["account"]: one["jami_id"] for one in api.ask("GET", "/accounts")}
    if arguments.cursor_file.exists():
        cursor = int(arguments.cursor_file.read_text())
    else:
        cursor = api.ask("GET", "/events")["next"]
    print("ready", flush=True)
    while True:
        page = api.ask("GET", f"/events?since={cursor}&wait=60")
        for event in page["events"]:
            deal_with(api, me, event)
        if page["next"] != cursor:
            cursor = page["next"]
            new = arguments.cursor_file.with_suffix(".new")
            new.write_text(str(cursor))
            new.replace(arguments.cursor_file)


if __name__ == "__main__":
    main()
