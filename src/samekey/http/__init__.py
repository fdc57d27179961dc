"""The only place that knows httpx and httpx2: facts out, responses back, exceptions to phases.

`library_of` finds which of the two a client belongs to; `prepare` turns a call into a request and its facts, `thaw`
makes the same request again; `exchange` sends it once and says what is known afterwards; `rebuild` and its neighbours
make responses from records.
"""
