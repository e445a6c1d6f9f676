"""Models: every table. Read the modules in this order to learn the domain."""

from __future__ import annotations

from core.db.base import Base as Base
from core.db.models.accounts import Account as Account
from core.db.models.accounts import CallTurn as CallTurn
from core.db.models.accounts import Lane as Lane
from core.db.models.campaigns import Campaign as Campaign
from core.db.models.campaigns import Content as Content
from core.db.models.campaigns import Message as Message
from core.db.models.campaigns import Template as Template
from core.db.models.events import Event as Event
from core.db.models.events import Heartbeat as Heartbeat
from core.db.models.events import ParkedEvent as ParkedEvent
from core.db.models.events import Suppression as Suppression
from core.db.models.events import SuppressionComparison as SuppressionComparison
from core.db.models.events import SuppressionDifference as SuppressionDifference
from core.db.models.operation import Alert as Alert
from core.db.models.operation import AlertChannel as AlertChannel
from core.db.models.operation import AlertNotice as AlertNotice
from core.db.models.operation import Installation as Installation
from core.db.models.operation import JobRun as JobRun
from core.db.models.operation import Worker as Worker
from core.db.models.people import AuditEntry as AuditEntry
from core.db.models.people import SignInFailure as SignInFailure
from core.db.models.people import SignInTicket as SignInTicket
from core.db.models.people import User as User
from core.db.models.people import UserSession as UserSession
from core.db.models.people import UserTenant as UserTenant
from core.db.models.reputation import CampaignReputation as CampaignReputation
from core.db.models.reputation import DailyCount as DailyCount
from core.db.models.reputation import DeliveredHour as DeliveredHour
from core.db.models.reputation import DomainCount as DomainCount
from core.db.models.reputation import DomainTotal as DomainTotal
from core.db.models.reputation import OutcomeBucket as OutcomeBucket
from core.db.models.reputation import TenantReputation as TenantReputation
from core.db.models.senders import Identity as Identity
from core.db.models.senders import OnboardingLink as OnboardingLink
from core.db.models.senders import Sender as Sender
from core.db.models.tenants import Tenant as Tenant
from core.db.models.tenants import TenantResource as TenantResource
from core.db.models.tenants import TenantUsage as TenantUsage
from core.db.models.tenants import WarmUp as WarmUp
