"""Suppressions: addresses a tenant must not write to, where each came from, how it may be let go again.

entries.py writes and reads them in the caller's transaction (sending asks `suppressed_among` about every
block), domains.py knows entries for everybody at a domain, directory.py shows, adding.py, releasing.py,
importing.py, exporting.py and unsubscribing.py are what people do.
"""

from core.suppressions.adding import Added, add, add_several
from core.suppressions.directory import Story, count, list_suppressions, story
from core.suppressions.domains import entry_of, is_domain, is_whole_provider
from core.suppressions.entries import Provenance, suppress, suppressed_among, told
from core.suppressions.exporting import EXPORTED, export_csv
from core.suppressions.importing import Imported, Preflight, check_import, import_csv
from core.suppressions.releasing import Released, release, release_several
from core.suppressions.unsubscribing import address_of, unsubscribe, unsubscribe_token

__all__ = [
    "EXPORTED",
    "Added",
    "Imported",
    "Preflight",
    "Provenance",
    "Released",
    "Story",
    "add",
    "add_several",
    "address_of",
    "check_import",
    "count",
    "entry_of",
    "export_csv",
    "import_csv",
    "is_domain",
    "is_whole_provider",
    "list_suppressions",
    "release",
    "release_several",
    "story",
    "suppress",
    "suppressed_among",
    "told",
    "unsubscribe",
    "unsubscribe_token",
]
