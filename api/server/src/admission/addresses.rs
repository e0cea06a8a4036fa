//! Cluster IPs of Services: unique, given back on deletion, read again from the stored Services after a restart.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use edgeward_objects::{GroupResource, Object};
use edgeward_store::{Entry, ListQuery, Scope, Store, StoreError};
use ipnet::Ipv4Net;
use parking_lot::Mutex;
use rand::RngExt as _;

use crate::error::Error;

/// The addresses in use.
pub(crate) struct ServiceAddresses {
    network: Ipv4Net,
    used: Arc<Mutex<HashSet<Ipv4Addr>>>,
}

/// Why an address cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Taken,
    Outside(Ipv4Net),
    NoAddress,
    Exhausted,
}

/// Addresses held for an object that is not stored yet. Dropped without [`Reservation::keep`], they are free again.
#[must_use]
#[derive(Default)]
pub(crate) struct Reservation {
    held: Vec<Ipv4Addr>,
    used: Option<Arc<Mutex<HashSet<Ipv4Addr>>>>,
    /// Given back once the object is stored.
    freed: Vec<Ipv4Addr>,
}

impl Reservation {
    /// Nothing is held.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// The object is stored: its addresses stay, those it gave up are free.
    pub(crate) fn keep(mut self) {
        self.held.clear();
        if let Some(used) = &self.used {
            let mut used = used.lock();
            for address in &self.freed {
                used.remove(address);
            }
        }
    }

    /// Also frees these once the object is stored.
    pub(crate) fn and_free(mut self, addresses: &ServiceAddresses, freed: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        self.freed.extend(freed);
        self.used = Some(addresses.used.clone());
        self
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(used) = &self.used {
            let mut used = used.lock();
            for address in &self.held {
                used.remove(address);
            }
        }
    }
}

impl ServiceAddresses {
    pub(crate) fn new(network: Ipv4Net) -> Result<Self, Error> {
        if network.prefix_len() > 28 || network.prefix_len() < 8 {
            return Err(Error::ServiceNetwork(network.to_string()));
        }
        Ok(Self { network: network.trunc(), used: Arc::default() })
    }

    /// The address of the Service `kubernetes`: the first of the network.
    pub(crate) fn first(&self) -> Ipv4Addr {
        self.network.hosts().next().unwrap_or(self.network.network())
    }

    /// Reads the addresses of all stored Services.
    pub(crate) async fn load(&self, store: &dyn Store) -> Result<(), StoreError> {
        let scope = Scope::new(GroupResource::new("", "services"), None);
        let page = store.list(ListQuery { scope, at: None, limit: 0, after: None }).await?;
        let mut used = self.used.lock();
        used.extend(page.entries.iter().flat_map(|entry| of_entry(entry)));
        Ok(())
    }

    /// Holds one particular address.
    pub(crate) fn take(&self, address: &str) -> Result<Reservation, Refusal> {
        let address: Ipv4Addr = address.parse().map_err(|_| Refusal::NoAddress)?;
        if !self.network.contains(&address) || address == self.network.network() || address == self.network.broadcast()
        {
            return Err(Refusal::Outside(self.network));
        }
        if !self.used.lock().insert(address) {
            return Err(Refusal::Taken);
        }
        Ok(self.holding(address))
    }

    /// Holds any free address. Random, so that addresses are not reused right away; the lower part of the network (as
    /// upstream cuts it) is left to Services that ask for an address.
    pub(crate) fn any(&self) -> Result<(Ipv4Addr, Reservation), Refusal> {
        let size = 1_u32 << (32 - u32::from(self.network.prefix_len()));
        let reserved = (size / 16).clamp(16, 256).min(size / 2);
        let base = u32::from(self.network.network());
        let mut used = self.used.lock();
        let start = rand::rng().random_range(reserved..size - 1);
        let upper = (start..size - 1).chain(reserved..start);
        let found = upper
            .chain(1..reserved)
            .map(|offset| Ipv4Addr::from(base + offset))
            .find(|address| !used.contains(address));
        let address = found.ok_or(Refusal::Exhausted)?;
        used.insert(address);
        drop(used);
        Ok((address, self.holding(address)))
    }

    /// Frees the addresses of a Service that was removed.
    pub(crate) fn release(&self, entry: &Entry) {
        let mut used = self.used.lock();
        for address in of_entry(entry) {
            used.remove(&address);
        }
    }

    fn holding(&self, address: Ipv4Addr) -> Reservation {
        Reservation { held: vec![address], used: Some(self.used.clone()), freed: Vec::new() }
    }
}

fn of_entry(entry: &Entry) -> Vec<Ipv4Addr> {
    Object::from_bytes(&entry.value).map(|service| of_service(&service)).unwrap_or_default()
}

/// The addresses a Service has.
pub(crate) fn of_service(service: &Object) -> Vec<Ipv4Addr> {
    service.get_str(&["spec", "clusterIP"]).and_then(|text| text.parse().ok()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unique_and_come_back() {
        let addresses = ServiceAddresses::new("10.43.0.0/28".parse().unwrap()).unwrap();
        assert_eq!(addresses.take("10.44.0.1").err(), Some(Refusal::Outside("10.43.0.0/28".parse().unwrap())));
        assert_eq!(addresses.take("10.43.0.0").err(), Some(Refusal::Outside("10.43.0.0/28".parse().unwrap())));
        assert_eq!(addresses.take("x").err(), Some(Refusal::NoAddress));
        drop(addresses.take("10.43.0.5").unwrap());
        addresses.take("10.43.0.5").unwrap().keep();
        assert_eq!(addresses.take("10.43.0.5").err(), Some(Refusal::Taken));
        let mut seen = HashSet::new();
        for _ in 0..13 {
            let (address, reservation) = addresses.any().unwrap();
            assert!(seen.insert(address) && address != Ipv4Addr::new(10, 43, 0, 5));
            reservation.keep();
        }
        assert_eq!(addresses.any().err(), Some(Refusal::Exhausted));
        assert!(ServiceAddresses::new("10.43.0.0/30".parse().unwrap()).is_err());
    }
}
