//! Counters of this room.

use edgeward_service::Counter;

pub(crate) static REPORTS: Counter = Counter::new("edgeward_fleet_reports_total", "twin and state reports taken");
pub(crate) static WRITES: Counter =
    Counter::new("edgeward_fleet_status_writes_total", "DeviceStatus writes; several reports may share one");
pub(crate) static UNCHANGED: Counter =
    Counter::new("edgeward_fleet_reports_unchanged_total", "reports that changed nothing and cost no write");
pub(crate) static UNLISTED: Counter =
    Counter::new("edgeward_fleet_properties_unlisted_total", "reported properties their Device does not list");
pub(crate) static ORPHANS: Counter =
    Counter::new("edgeward_fleet_reports_orphaned_total", "reports of devices that are gone");
pub(crate) static MIRRORS: Counter =
    Counter::new("edgeward_fleet_mirror_writes_total", "writes to Devices' own status");
