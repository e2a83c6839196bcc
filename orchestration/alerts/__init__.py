"""Who is told when something goes wrong, once and not every minute.

alert.py    what an alert is and when two are the same
book.py     what was said already (HOME/alerts.json), and the log (HOME/alerts.jsonl)
message.py  an alert as a webhook receives it: Slack's format or plain JSON
webhook.py  its delivery
of_run.py   the alerts of a run

Pure Python but for of_run.py, which imports Dagster (seconds): import that late.
"""

from orchestration.alerts.alert import Alert, Kind, fingerprint
from orchestration.alerts.book import settle

__all__ = ["Alert", "Kind", "fingerprint", "settle"]
