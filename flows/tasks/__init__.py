"""Which component call is a Prefect task, and how it is retried.

`policy` is the one table of timeouts and retries; `building`, `releasing` and `watching` hold the tasks of the flows of
those names. They are apart because a flow run is a process of its own: a monitor run that imported torch, or a release
that imported Evidently, would spend more seconds on importing than on its work.
"""
