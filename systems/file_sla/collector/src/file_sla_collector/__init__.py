"""Find files that stayed in a folder longer than its SLA and post the breaches to the file_sla API.

The parts, in the order in which a run uses them: `config` (what to watch), `scan` (what is late), `memory`
(what was reported already), `report` (the posts), `spool` (posts on disk until they are accepted), `client`
(the API), `run` (one run of all of it) and `cli` (the command).
"""

__version__ = "0.1.0"
