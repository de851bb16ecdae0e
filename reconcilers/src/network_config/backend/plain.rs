//! No backend at all: the kernel is asked itself, and nothing remembers it over a restart of the device but the agent.

use manifest_types::{kinds::network_config::NetworkConfigSpec, status::Capability};

use super::{Backend, BackendError, Kept, Saved, Unsupported, Wanted};
use crate::observation::Difference;

/// What it is called.
pub(super) const NAME: &str = "netlink";

/// Nobody manages the interfaces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Backend for Plain {
    async fn find(&self) -> Result<Option<Capability>, BackendError> {
        Ok(Some(Capability { name: NAME.into(), version: String::new(), api_version: None }))
    }

    async fn unsupported(&self, spec: &NetworkConfigSpec) -> Option<Unsupported> {
        let leases = |ip: &Option<_>| {
            ip.as_ref().is_some_and(|ip: &manifest_types::kinds::network_config::Ip| ip.dhcp)
        };
        let why = "nobody here speaks DHCP: install NetworkManager or systemd-networkd, or name addresses";
        if leases(&spec.ipv4) {
            Some(Unsupported { field: "ipv4.dhcp", why })
        } else if leases(&spec.ipv6) {
            Some(Unsupported { field: "ipv6.dhcp", why })
        } else if spec.dns.is_some() {
            let why = "nobody here keeps name servers by interface: hold /etc/resolv.conf as a File";
            Some(Unsupported { field: "dns", why })
        } else {
            None
        }
    }

    async fn differences(&self, _: &Wanted<'_>) -> Result<Vec<Difference>, BackendError> {
        Ok(Vec::new())
    }

    async fn save(&self, interfaces: &[String]) -> Result<Saved, BackendError> {
        let kept = || Kept { by: NAME.into(), ..Kept::default() };
        Ok(Saved(interfaces.iter().map(|name| (name.clone(), kept())).collect()))
    }

    async fn apply(&self, _: &[Wanted<'_>], _: bool) -> Result<(), BackendError> {
        Ok(())
    }

    async fn restore(&self, _: &Saved) -> Result<(), BackendError> {
        Ok(())
    }

    fn acts(&self) -> bool {
        false
    }
}
