"""`mmkd serve`: an export behind HTTP, with NumPy for the lists and none of what trains models.

`names` and `catalogue` are an export in memory, `shown` its titles and pictures, `current` the version that is served
and the watch for the next. `answers` writes lists as JSON; `app` is the service by its schema, `gate` what surrounds
it, `protocol` the short way of the one request that comes often, and `start` a process of it all.
"""
