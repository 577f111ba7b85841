"""The meeting point: enrolment, sync endpoint, store, conflicts as data and the JSON API."""
