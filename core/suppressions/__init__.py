"""Suppressions: addresses a tenant must not write to, where each came from, how it may be let go again.

entries.py writes and reads them in the caller's transaction (sending asks `suppressed_among` about every
block), domains.py knows entries for everybody at a domain, directory.py shows, adding.py, releasing.py,
importing.py, exporting.py and unsubscribing.py are what people do. comparing.py sets our lists beside SES's,
differences.py keeps what differs, ledger.py shows and repairs it.
"""

from core.suppressions.adding import Added, add, add_several, whole_providers_in
from core.suppressions.comparing import compare_due
from core.suppressions.differences import ALERT, Kind
from core.suppressions.directory import Story, count, list_suppressions, story
from core.suppressions.domains import domain_entry_of, entry_of, is_domain, is_whole_provider
from core.suppressions.entries import Provenance, suppress, suppressed_among, told
from core.suppressions.exporting import EXPORTED, export_csv
from core.suppressions.importing import Imported, Preflight, check_import, import_csv, inspect_import
from core.suppressions.ledger import (
    AccountDifference,
    Repaired,
    Standing,
    account_standing,
    compare_now,
    list_account_differences,
    list_differences,
    release_at_account,
    repair,
    repair_all,
    standing,
)
from core.suppressions.releasing import Released, release, release_several
from core.suppressions.unsubscribing import address_of, unsubscribe, unsubscribe_token

__all__ = [
    "ALERT",
    "EXPORTED",
    "AccountDifference",
    "Added",
    "Imported",
    "Kind",
    "Preflight",
    "Provenance",
    "Released",
    "Repaired",
    "Standing",
    "Story",
    "account_standing",
    "add",
    "add_several",
    "address_of",
    "check_import",
    "compare_due",
    "compare_now",
    "count",
    "domain_entry_of",
    "entry_of",
    "export_csv",
    "import_csv",
    "inspect_import",
    "is_domain",
    "is_whole_provider",
    "list_account_differences",
    "list_differences",
    "list_suppressions",
    "release",
    "release_at_account",
    "release_several",
    "repair",
    "repair_all",
    "standing",
    "story",
    "suppress",
    "suppressed_among",
    "told",
    "unsubscribe",
    "unsubscribe_token",
    "whole_providers_in",
]
