"""The few calls of Prometheus' HTTP API that are needed here."""

import json
import urllib.error
import urllib.parse
import urllib.request


class Refused(Exception):
    """Prometheus does not answer the query: it does not parse, or asks too much."""


class Prometheus:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def ask(self, path, **arguments):
        query = urllib.parse.urlencode(arguments)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            # While it starts, the answer is no JSON.
            raise Refused(error.read().decode()) from None

    def now(self, expression):
        """The series that an expression has now: [{"metric": labels, "value": [time, text]}...]."""
        return self.ask("query", query=expression)["result"]

    def over(self, expression, start, end, step):
        """The series of a span of time: [{"metric": labels, "values": [[time, text]...]}...]."""
        return self.ask("query_range", query=expression, start=start, end=end, step=step)["result"]
